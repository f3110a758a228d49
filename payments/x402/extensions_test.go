package x402_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

// extensionFile is testdata/x402-extensions.json.
type extensionFile struct {
	Required           x402.PaymentRequired
	Echoed, Identified json.RawMessage // extensions of payments
	Settled, Private   x402.SettleResponse
}

func extensionVectors(tb testing.TB) (v extensionFile) {
	tb.Helper()
	raw, err := os.ReadFile("testdata/x402-extensions.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// at returns the member of an object at a path, as it is written.
func at(tb testing.TB, object json.RawMessage, path ...string) json.RawMessage {
	tb.Helper()
	for _, name := range path {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(object, &members); err != nil {
			tb.Fatal(err)
		}
		object = members[name]
	}
	return object
}

func (v extensionFile) receipt(tb testing.TB) []byte {
	tb.Helper()
	return at(tb, v.Settled.Extensions, "offer-receipt", "info", "receipt")
}

func (v extensionFile) offer(tb testing.TB) []byte {
	tb.Helper()
	var offers []json.RawMessage
	if err := json.Unmarshal(at(tb, v.Required.Extensions, "offer-receipt", "info", "offers"), &offers); err != nil {
		tb.Fatal(err)
	}
	return offers[0]
}

// same compares JSON without its spaces and the order of its members.
func same(tb testing.TB, what string, want, got json.RawMessage) {
	tb.Helper()
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const identifier = "pay_7d5d747be160e280504c099d984bcfe0"

// A declaration is that of the reference, and so is a payment that answers it.
func TestIdentifierAsTheReference(t *testing.T) {
	v := extensionVectors(t)
	same(t, "declared", at(t, v.Required.Extensions, x402.ExtensionIdentifier), x402.IdentifierExtension())
	got, err := x402.WithIdentifier(v.Required.Extensions, identifier)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "with an identifier", v.Identified, got)
	for want, extensions := range map[string]json.RawMessage{"": v.Echoed, identifier: v.Identified} {
		p, err := x402.DecodePayment(edit(t, vectors(t)["v2"], "extensions", string(extensions)))
		if err != nil || p.Identifier != want {
			t.Errorf("identifier %q, %v; want %q", p.Identifier, err, want)
		}
	}
}

func TestIdentifier(t *testing.T) {
	in := func(info string) string { return `{"payment-identifier": {"info": ` + info + `}}` }
	id := func(id string) string { return in(`{"required": false, "id": "` + id + `"}`) }
	for _, test := range []struct {
		name, extensions, want string
		class                  error
	}{
		{"no extensions", removed, "", nil},
		{"null", `null`, "", nil},
		{"others", `{"bazaar": {"info": []}}`, "", nil},
		{"null for the extension", `{"payment-identifier": null}`, "", nil},
		{"another case", `{"Payment-Identifier": 1}`, "", nil},
		{"echoed", in(`{"required": false}`), "", nil},
		{"null for the id", in(`{"required": false, "id": null}`), "", nil},
		{"id in another case", in(`{"required": false, "ID": "` + identifier + `"}`), "", nil},
		{"id", id(identifier), identifier, nil},
		{"where it is required", in(`{"id": "` + identifier + `", "required": true}`), identifier, nil},
		{"16", id("0123456789abcDE-"), "0123456789abcDE-", nil},
		{"128", id(strings.Repeat("_", 128)), strings.Repeat("_", 128), nil},
		{"escaped", id(`\u0030123456789abcdef`), "0123456789abcdef", nil},
		{"15", id("0123456789abcde"), "", x402.ErrIdentifier},
		{"129", id(strings.Repeat("a", 129)), "", x402.ErrIdentifier},
		{"empty", id(""), "", x402.ErrIdentifier},
		{"a space", id("0123456789abcdef 0"), "", x402.ErrIdentifier},
		{"a letter of another alphabet", id("0123456789abcdéf"), "", x402.ErrIdentifier},
		{"a number", in(`{"required": false, "id": 1234567890123456}`), "", x402.ErrIdentifier},
		{"required missing", in(`{"id": "` + identifier + `"}`), "", x402.ErrMissing},
		{"required a string", in(`{"required": "false", "id": "` + identifier + `"}`), "", x402.ErrMissing},
		{"info missing", `{"payment-identifier": {"id": "` + identifier + `"}}`, "", x402.ErrMissing},
		{"info a list", in(`[]`), "", x402.ErrJSON},
		{"a text", `{"payment-identifier": "` + identifier + `"}`, "", x402.ErrJSON},
		{"twice", in(`{"required": false, "id": "` + identifier + `", "id": "0123456789abcdef"}`), "", x402.ErrJSON},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := x402.DecodePayment(edit(t, vectors(t)["v2"], "extensions", test.extensions))
			if test.class != nil {
				checkRefused(t, err, test.class, "")
				return
			}
			if err != nil || p.Identifier != test.want {
				t.Errorf("%q, %v; want %q", p.Identifier, err, test.want)
			}
		})
	}
}

// A payer puts an identifier where it is declared, and nothing else anywhere.
func TestWithIdentifier(t *testing.T) {
	for name, test := range map[string]struct{ declared, want string }{
		"no extensions":     {``, ``},
		"others":            {`{"bazaar": {"info": {}}}`, `{"bazaar": {"info": {}}}`},
		"declared oddly":    {`{"payment-identifier": {"info": {}}}`, `{"payment-identifier": {"info": {}}}`},
		"not an object":     {`{"payment-identifier": 1}`, `{"payment-identifier": 1}`},
		"beside others":     {`{"a": 1, "payment-identifier": {"x": [2], "info": {"required": true, "y": 3}}}`, `{"a": 1, "payment-identifier": {"x": [2], "info": {"required": true, "y": 3, "id": "` + identifier + `"}}}`},
		"in place of one":   {`{"payment-identifier": {"info": {"required": true, "id": "x"}}}`, `{"payment-identifier": {"info": {"required": true, "id": "` + identifier + `"}}}`},
		"null is not there": {`{"payment-identifier": null}`, `{"payment-identifier": null}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := x402.WithIdentifier(json.RawMessage(test.declared), identifier)
			if err != nil || len(got) == 0 && test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			same(t, name, json.RawMessage(test.want), got)
		})
	}
	_, err := x402.WithIdentifier(x402.IdentifierExtension(), "too short")
	checkClass(t, err, x402.ErrIdentifier)
}

// What the reference signs is read, and written again in its form: ours says the
// format in the schema too, as the specification does.
func TestOfferReceiptAsTheReference(t *testing.T) {
	v := extensionVectors(t)
	offers, err := v.Required.SignedOffers()
	if err != nil || len(offers) != 1 {
		t.Fatal(offers, err)
	}
	o, err := x402.OfferExtension(offers[0].Payload, offers[0].Signature)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "offers", at(t, v.Required.Extensions, "offer-receipt", "info"), at(t, o, "info"))
	for name, settled := range map[string]x402.SettleResponse{"with its transaction": v.Settled, "private": v.Private} {
		signed, err := settled.SignedReceipt()
		if err != nil || signed == nil {
			t.Fatal(signed, err)
		}
		r, err := x402.ReceiptExtension(signed.Payload, signed.Signature)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, at(t, settled.Extensions, "offer-receipt", "info"), at(t, r, "info"))
	}
	for name, none := range map[string]string{"nothing": ``, "others": `{"a": 1}`, "null": `{"offer-receipt": {"info": {"receipt": null, "offers": null}}}`} {
		signed, err := x402.SettleResponse{Extensions: json.RawMessage(none)}.SignedReceipt()
		if signed != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, signed, err)
		}
		offers, err := x402.PaymentRequired{Extensions: json.RawMessage(none)}.SignedOffers()
		if offers != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, offers, err)
		}
	}
}

func TestExtensionsGolden(t *testing.T) {
	v := extensionVectors(t)
	offers, err := v.Required.SignedOffers()
	if err != nil {
		t.Fatal(err)
	}
	o, err := x402.OfferExtension(offers[0].Payload, offers[0].Signature)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "offer", o)
	signed, err := v.Settled.SignedReceipt()
	if err != nil {
		t.Fatal(err)
	}
	r, err := x402.ReceiptExtension(signed.Payload, signed.Signature)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "signed-receipt", r)
}

func TestDamagedSigned(t *testing.T) {
	v := extensionVectors(t)
	receipt, offer := v.receipt(t), v.offer(t)
	type damage struct {
		path, value string
		want        error
	}
	both := []damage{
		{"format", removed, x402.ErrMissing}, {"format", `null`, x402.ErrMissing}, {"format", `"jws"`, x402.ErrFormat},
		{"format", `"EIP712"`, x402.ErrFormat}, {"format", `1`, x402.ErrJSON},
		{"payload", removed, x402.ErrMissing}, {"payload", `null`, x402.ErrMissing}, {"payload", `[]`, x402.ErrJSON}, {"payload", `"e30="`, x402.ErrJSON},
		{"signature", removed, x402.ErrMissing}, {"signature", `null`, x402.ErrMissing}, {"signature", `"0x"`, x402.ErrHexLength}, {"signature", `"1234"`, x402.ErrHex}, {"signature", `1`, x402.ErrJSON},
		{"payload.version", removed, x402.ErrMissing}, {"payload.version", `2`, x402.ErrVersion}, {"payload.version", `0`, x402.ErrVersion},
		{"payload.version", `"1"`, x402.ErrJSON}, {"payload.version", `1.5`, x402.ErrJSON}, {"payload.version", `-1`, x402.ErrJSON},
		{"payload.network", removed, x402.ErrMissing}, {"payload.network", `"base"`, x402.ErrNetwork}, {"payload.network", `"solana:1"`, x402.ErrNetwork},
		{"payload.resourceUrl", removed, x402.ErrMissing}, {"payload.resourceUrl", `1`, x402.ErrJSON},
	}
	run := func(name string, raw []byte, cases []damage, decode func([]byte) error) {
		for _, d := range append(cases, both...) {
			t.Run(name+" "+d.path+" "+d.value, func(t *testing.T) {
				checkRefused(t, decode(edit(t, raw, d.path, d.value)), d.want, "")
			})
		}
		checkClass(t, decode(nil), x402.ErrJSON)
		checkClass(t, decode(append(raw[:len(raw):len(raw)], '1')), x402.ErrTrailing)
		checkClass(t, decode(append([]byte(strings.Repeat(" ", 16<<10)), raw...)), x402.ErrTooLarge)
		checkClass(t, decode([]byte(strings.Replace(string(raw), `"payload"`, `"Payload": {}, "payload"`, 1))), x402.ErrJSON)
	}
	run("receipt", receipt, []damage{
		{"payload.payer", removed, x402.ErrMissing}, {"payload.payer", `{}`, x402.ErrJSON},
		{"payload.issuedAt", removed, x402.ErrMissing}, {"payload.issuedAt", `"1750000000"`, x402.ErrJSON}, {"payload.issuedAt", `1e99`, x402.ErrJSON},
		{"payload.issuedAt", `18446744073709551615`, x402.ErrRange},
		{"payload.transaction", `1`, x402.ErrJSON},
	}, func(raw []byte) error { _, err := x402.DecodeSignedReceipt(raw); return err })
	run("offer", offer, []damage{
		{"acceptIndex", `"0"`, x402.ErrJSON},
		{"payload.scheme", removed, x402.ErrMissing}, {"payload.asset", removed, x402.ErrMissing}, {"payload.payTo", removed, x402.ErrMissing},
		{"payload.amount", removed, x402.ErrMissing}, {"payload.amount", `5000000`, x402.ErrJSON}, {"payload.validUntil", `"1"`, x402.ErrJSON},
		{"payload.validUntil", `18446744073709551615`, x402.ErrRange},
	}, func(raw []byte) error { _, err := x402.DecodeSignedOffer(raw); return err })

	many := `{"offer-receipt": {"info": {"offers": [` + strings.Repeat(string(offer)+",", 40) + `{}]}}}`
	_, err := x402.PaymentRequired{Extensions: json.RawMessage(many)}.SignedOffers()
	checkClass(t, err, x402.ErrTooLarge)
	_, err = x402.SettleResponse{Extensions: json.RawMessage(`{"offer-receipt": []}`)}.SignedReceipt()
	checkClass(t, err, x402.ErrJSON)
}
