package tools

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// Whatever comes of a call is written as mcp-go writes it, prices and receipts too.
func TestOutcomePlain(t *testing.T) {
	quote := &PaymentRequired{PaymentRequired: x402.PaymentRequired{Error: "pay <this>"}}
	refused := &PaymentRequired{PaymentRequired: x402.PaymentRequired{Error: "not that"}, Code: CodePaymentInvalid, Message: "Pay & \"try\" again."}
	receipt := &x402.SettleResponse{Success: true, Transaction: "0x<1>"}
	for name, c := range map[string]*Call{
		"nothing": {}, "a price": {Required: quote}, "a refused payment": {Required: refused}, "a receipt": {Receipt: receipt},
		"a receipt and a price": {Required: quote, Receipt: receipt}, "a receipt and a refused payment": {Required: refused, Receipt: receipt},
	} {
		for _, failed := range []bool{false, true} {
			o := outcome{failed: failed}
			if o.json = mustJSON(map[string]string{"a": "\"\\<\u2028\x01"}); c.Required != nil {
				o.json = mustJSON(c.Required)
			}
			var want bytes.Buffer
			if err := json.NewEncoder(&want).Encode(mcp.NewJSONRPCResultResponse(mcp.NewRequestId("id"), o.result(c))); err != nil {
				t.Fatal(err)
			}
			head, rest := o.plain(c, []byte(`"id"`))
			if got := string(head) + string(rest); got != want.String() {
				t.Errorf("%s:\n%s", name, cmp.Diff(want.String(), got))
			}
		}
	}
}
