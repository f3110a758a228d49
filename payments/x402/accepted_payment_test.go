package x402_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

// Payments that look unusual and mean the same as the vector.
func TestSamePayment(t *testing.T) {
	const deepNote = `{"a": [1e999, {"payload": {}}], "Payload": null}`
	tests := []struct{ name, vector, path, value string }{
		{"address in lower case", "v1a", "payload.authorization.from", quote(strings.ToLower(payer))},
		{"address in upper case", "v1a", "payload.authorization.from", quote("0x" + strings.ToUpper(payer[2:]))},
		{"asset in lower case", "v2", "accepted.asset", `"0x036cbd53842c5426634e7929541ec2318f3dcf7e"`},
		{"unknown member", "v1a", "memo", deepNote},
		{"unknown member in payload", "v2", "payload.memo", deepNote},
		{"unknown member in authorization", "v2", "payload.authorization.memo", deepNote},
		{"unknown member in accepted", "v2", "accepted.memo", deepNote},
		{"other members in extra", "v2", "accepted.extra", `{"name": "USDC", "version": "2", "assetTransferMethod": "eip3009"}`},
		{"no extensions", "v2", "extensions", `null`},
		// What only the other version knows is an unknown member.
		{"v1 with accepted", "v1a", "accepted", `"exact"`},
		{"v1 with resource", "v1a", "resource", `"https://example.com/"`},
		{"v1 with extensions", "v1a", "extensions", `[]`},
		{"v2 with scheme", "v2", "scheme", `{}`},
		{"v2 with network", "v2", "network", `"base-sepolia"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			payment := vectors(t)[test.vector]
			want, err := x402.DecodePayment(payment)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x402.DecodePayment(edit(t, payment, test.path, test.value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Payments at the edge of what is taken come back unchanged.
func TestPaymentLimits(t *testing.T) {
	const most = `"115792089237316195423570985008687907853269984665640564039457584007913129639935"`
	tests := []struct{ name, vector, path, value string }{
		{"longest signature", "v2", "payload.signature", quote("0x" + strings.Repeat("64", x402.MaxSignature))},
		{"one byte of signature", "v1a", "payload.signature", `"0x00"`},
		{"largest value", "v1a", "payload.authorization.value", most},
		{"valid for ever", "v2", "payload.authorization.validBefore", most},
		{"zero", "v2", "payload.authorization.value", `"0"`},
		{"largest amount", "v2", "accepted.amount", most},
		{"longest timeout", "v2", "accepted.maxTimeoutSeconds", `2147483648`},
		{"another EVM network", "v2", "accepted.network", `"eip155:1337"`},
		{"version 1 on a network without a short name", "v1a", "network", `"eip155:1337"`},
		{"no resource", "v2", "resource", removed},
		{"resource without description", "v2", "resource", `{"url": "https://example.com/"}`},
		{"no domain", "v2", "accepted.extra", removed},
		{"markup", "v2", "resource.description", `"<b>Q&A</b> \u2028 \ud83c\udf89"`},
		{"extensions", "v2", "extensions", `{ "another": {"info": {"id": "<&>", "ID": 1.50}} }`},
		{"a large unknown member", "v2", "note", quote(strings.Repeat(" ", x402.MaxPayment-1400))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := x402.DecodePayment(edit(t, vectors(t)[test.vector], test.path, test.value))
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			again, err := x402.DecodePayment(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, again); diff != "" {
				t.Errorf("-first +again:\n%s", diff)
			}
		})
	}
}

func TestPaymentOfExactlyTheLimit(t *testing.T) {
	v := string(vectors(t)["v2"])
	v += strings.Repeat(" ", x402.MaxPayment-len(v))
	if _, err := x402.DecodePayment([]byte(v)); err != nil {
		t.Error(err)
	}
	if _, err := x402.DecodeHeader(toBase64([]byte(v))); err != nil {
		t.Error("header:", err)
	}
	if _, err := x402.DecodeMeta(json.RawMessage(quote(toBase64([]byte(v))))); err != nil {
		t.Error("meta:", err)
	}
}

// Cloudflare's agents make base64 by btoa(JSON.stringify(payment)): of a
// description with é there arrives Latin-1. That is no reason to refuse money.
func TestLatin1FromBtoa(t *testing.T) {
	v := edit(t, vectors(t)["v2"], "resource.description", `"Caf#"`)
	v = edit(t, v, "extensions", `{"#": "Caf#", "##": 1}`)
	latin1 := strings.ReplaceAll(string(v), "#", "\xe9")
	p, err := x402.DecodeMeta(json.RawMessage(quote(toBase64([]byte(latin1)))))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Resource.Description; got != "Caf\ufffd" {
		t.Errorf("description %q", got)
	}
	if got, want := string(p.Extensions), strings.ReplaceAll(`{"#":"Caf#","##":1}`, "#", "\ufffd"); got != want {
		t.Errorf("extensions %q, want %q", got, want)
	}
	checkPaymentAgain(t, p)
}

func TestPaymentThatCannotBeEncoded(t *testing.T) {
	for _, test := range []struct {
		name    string
		payment x402.Payment
		want    error
	}{
		{"no version", x402.Payment{}, x402.ErrVersion},
		{"version 3", x402.Payment{Version: 3}, x402.ErrVersion},
		{"version 2 that accepts nothing", x402.Payment{Version: 2}, x402.ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := json.Marshal(test.payment)
			checkClass(t, err, test.want)
			_, err = x402.Header(test.payment)
			checkClass(t, err, test.want)
		})
	}
}

func TestWindow(t *testing.T) {
	for _, test := range []struct {
		name, after, before string
		ok                  bool
	}{
		{"ordinary", "1750000000", "1750000900", true},
		{"since ever", "0", "1750000900", true},
		{"the farthest a clock shows", "0", "1099511627776", true},
		{"one second later", "0", "1099511627777", false},
		{"starts beyond", "1099511627777", "1750000900", false},
		{"int64 overflow", "0", "9223372036854775808", false},
		{"uint64 overflow", "18446744073709551616", "1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := x402.Authorization{ValidAfter: mustUint256(t, test.after), ValidBefore: mustUint256(t, test.before)}
			after, before, ok := a.Window()
			if ok != test.ok {
				t.Fatalf("ok is %v", ok)
			}
			if ok && (x402.NewUint256(uint64(after.Unix())) != a.ValidAfter || x402.NewUint256(uint64(before.Unix())) != a.ValidBefore) {
				t.Errorf("window %v to %v", after, before)
			}
		})
	}
}

func mustUint256(tb testing.TB, s string) x402.Uint256 {
	tb.Helper()
	n, err := x402.ParseUint256(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
