package x402_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

const transaction = "0x2222222222222222222222222222222222222222222222222222222222222222"

// receipts are answers of facilitators and servers in the field.
var receipts = []struct {
	name, raw string
	want      x402.SettleResponse
}{
	{
		"settled, version 2",
		`{"success": true, "payer": "` + payer + `", "transaction": "` + transaction + `", "network": "eip155:84532", "amount": "10000"}`,
		x402.SettleResponse{Success: true, Payer: payer, Transaction: transaction, Network: "eip155:84532", Amount: "10000"},
	},
	{
		"settled, version 1",
		`{"success": true, "transaction": "` + transaction + `", "network": "base-sepolia", "payer": "` + payer + `"}`,
		x402.SettleResponse{Success: true, Payer: payer, Transaction: transaction, Network: "base-sepolia"},
	},
	{
		"failed",
		`{"success": false, "errorReason": "insufficient_funds", "transaction": "", "network": "eip155:84532"}`,
		x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds, Network: "eip155:84532"},
	},
	{
		"broadcast, not yet confirmed",
		`{"success": false, "errorReason": "settlement_pending", "transaction": "` + transaction + `", "network": "eip155:84532"}`,
		x402.SettleResponse{ErrorReason: x402.ReasonSettlementPending, Transaction: transaction, Network: "eip155:84532"},
	},
	{
		"a reason of a facilitator's own",
		`{"success": false, "errorReason": "sanctioned", "errorMessage": "no", "transaction": "", "network": "eip155:84532"}`,
		x402.SettleResponse{ErrorReason: "sanctioned", Network: "eip155:84532"},
	},
	{
		"null for what there is not, extensions",
		`{"success": true, "errorReason": null, "payer": null, "transaction": "` + transaction + `", "network": "eip155:84532", "amount": null, "extensions": {"offer-receipt": {"a": 1, "A": 2}}}`,
		x402.SettleResponse{Success: true, Transaction: transaction, Network: "eip155:84532",
			Extensions: json.RawMessage(`{"offer-receipt":{"a":1,"A":2}}`)},
	},
	{"success alone", `{"success":false}`, x402.SettleResponse{}},
}

func TestReceipts(t *testing.T) {
	for _, test := range receipts {
		t.Run(test.name, func(t *testing.T) {
			got, err := x402.DecodeReceipt([]byte(test.raw))
			if err != nil || !cmp.Equal(got, test.want) {
				t.Fatalf("%v\n%s", err, cmp.Diff(test.want, got))
			}
			got, err = x402.DecodeReceiptHeader(toBase64([]byte(test.raw)))
			if err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("header: %v\n%s", err, cmp.Diff(test.want, got))
			}
			header, err := x402.Header(test.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err = x402.DecodeReceiptHeader(header)
			if err != nil || !cmp.Equal(got, test.want) {
				t.Errorf("again: %v\n%s", err, cmp.Diff(test.want, got))
			}
		})
	}
}

func TestReceiptGolden(t *testing.T) {
	golden(t, "receipt-settled", receipts[0].want)
	golden(t, "receipt-failed", receipts[2].want)
	golden(t, "verify-valid", x402.VerifyResponse{IsValid: true, Payer: payer})
	golden(t, "verify-invalid", x402.VerifyResponse{InvalidReason: x402.ReasonSignature, Payer: payer})
}

// A receipt that can't be read is never a success.
func TestDamagedReceipt(t *testing.T) {
	good := receipts[0].raw
	for _, test := range []struct {
		name, raw string
		want      error
	}{
		{"nothing", "", x402.ErrJSON},
		{"null", "null", x402.ErrMissing},
		{"success missing", string(edit(t, []byte(good), "success", removed)), x402.ErrMissing},
		{"success null", string(edit(t, []byte(good), "success", "null")), x402.ErrMissing},
		{"success a string", string(edit(t, []byte(good), "success", `"true"`)), x402.ErrJSON},
		{"success a number", string(edit(t, []byte(good), "success", `1`)), x402.ErrJSON},
		{"success twice", strings.Replace(good, "{", `{"success": false, `, 1), x402.ErrJSON},
		{"success in two cases", strings.Replace(good, "{", `{"Success": false, `, 1), x402.ErrJSON},
		{"transaction a number", string(edit(t, []byte(good), "transaction", `1`)), x402.ErrJSON},
		{"network an object", string(edit(t, []byte(good), "network", `{}`)), x402.ErrJSON},
		{"extensions a list", string(edit(t, []byte(good), "extensions", `[]`)), x402.ErrJSON},
		{"amount a number", string(edit(t, []byte(good), "amount", `10000`)), x402.ErrJSON},
		{"truncated", good[:len(good)-1], x402.ErrJSON},
		{"trailing", good + good, x402.ErrTrailing},
		{"a list", "[" + good + "]", x402.ErrJSON},
		{"oversized", good + strings.Repeat(" ", 16<<10), x402.ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := x402.DecodeReceipt([]byte(test.raw))
			checkClass(t, err, test.want)
			if !cmp.Equal(got, x402.SettleResponse{}) {
				t.Errorf("and returned %+v", got)
			}
			_, err = x402.DecodeReceiptHeader(toBase64([]byte(test.raw)))
			checkClass(t, err, test.want)
		})
	}
	t.Run("header not base64", func(t *testing.T) {
		_, err := x402.DecodeReceiptHeader(good)
		checkClass(t, err, x402.ErrBase64)
	})
}

func TestHeaderNames(t *testing.T) {
	for version, want := range map[int]string{1: "X-PAYMENT", 2: "PAYMENT-SIGNATURE"} {
		if got := x402.PaymentHeader(version); got != want {
			t.Errorf("version %d: %s", version, got)
		}
	}
	if got, err := x402.Header(map[string]string{"a": "<&>?"}); err != nil || strings.ContainsAny(got, "-_\n") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := x402.Header(json.RawMessage("{")); err == nil {
		t.Error("broken JSON became a header")
	}
}
