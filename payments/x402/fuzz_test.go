package x402_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

// What is decoded can be encoded, and then decodes to the same. Only a size
// limit may come in between, for encoding/json writes "<" as "\u003c".

func FuzzDecodePayment(f *testing.F) {
	for _, raw := range paymentSeeds(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p, err := x402.DecodePayment(raw); err == nil {
			checkPaymentAgain(t, p)
		} else {
			checkOneClass(t, err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, value := range vectorHeaders(f) {
		f.Add(value)
		f.Add(strings.TrimRight(value, "="))
	}
	for _, raw := range paymentSeeds(f) {
		f.Add(toBase64(raw))
	}
	f.Fuzz(func(t *testing.T, value string) {
		p, err := x402.DecodeHeader(value)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		checkPaymentAgain(t, p)
		// The header is one spelling of its bytes; so is the string in `_meta`.
		fromMeta, err := x402.DecodeMeta(json.RawMessage(quote(value)))
		if err != nil || !cmp.Equal(p, fromMeta) {
			t.Errorf("meta: %v\n%s", err, cmp.Diff(p, fromMeta))
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	for _, raw := range paymentSeeds(f) {
		f.Add(raw)
		f.Add([]byte(quote(toBase64(raw))))
		f.Add([]byte(strings.ReplaceAll(quote(toBase64(raw)), "/", `\/`)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p, err := x402.DecodeMeta(raw); err == nil {
			checkPaymentAgain(t, p)
		} else {
			checkOneClass(t, err)
		}
	})
}

func FuzzDecodeRequired(f *testing.F) {
	for _, raw := range requests(f) {
		f.Add(raw)
		f.Add(edit(f, raw, "accepts", `[{"scheme": "upto"}, {"scheme": "exact", "network": "eip155:1"}]`))
		f.Add(edit(f, raw, "extensions", `{"bazaar": {"info": {}}}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := x402.DecodeRequired(raw)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		var encoded []byte
		if p.X402Version == 1 {
			encoded, err = json.Marshal(p.V1())
		} else {
			encoded, err = json.Marshal(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > x402.MaxRequired {
			return
		}
		again, err := x402.DecodeRequired(encoded)
		if err != nil || !cmp.Equal(p, again, exceptRaw) {
			t.Errorf("%v\n%s", err, cmp.Diff(p, again, exceptRaw))
		}
	})
}

func FuzzDecodeReceipt(f *testing.F) {
	for _, r := range receipts {
		f.Add([]byte(r.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := x402.DecodeReceipt(raw)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > 16<<10 {
			return
		}
		if again, err := x402.DecodeReceipt(encoded); err != nil || !cmp.Equal(r, again) {
			t.Errorf("%v\n%s", err, cmp.Diff(r, again))
		}
	})
}

func FuzzDecodeSignedReceipt(f *testing.F) {
	v := extensionVectors(f)
	for _, raw := range [][]byte{v.receipt(f), v.offer(f)} {
		f.Add(raw)
		f.Add(edit(f, raw, "payload.transaction", removed))
		f.Add(edit(f, raw, "format", `"jws"`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkSignedAgain(t, raw, x402.DecodeSignedReceipt)
		checkSignedAgain(t, raw, x402.DecodeSignedOffer)
	})
}

// FuzzExtensions is for what is found in the extensions of a message.
func FuzzExtensions(f *testing.F) {
	v := extensionVectors(f)
	for _, raw := range []json.RawMessage{v.Required.Extensions, v.Echoed, v.Identified, v.Settled.Extensions, v.Private.Extensions} {
		f.Add([]byte(raw))
		f.Add(edit(f, raw, "payment-identifier", `{"info": {"required": true, "id": "0123456789-abc_DEF"}}`))
	}
	base := vectors(f)["v2"]
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		if p, err := x402.DecodePayment(edit(t, base, "extensions", string(raw))); err == nil {
			checkPaymentAgain(t, p)
			checkIdentified(t, p)
		} else {
			checkOneClass(t, err)
		}
		if _, err := (x402.PaymentRequired{Extensions: raw}).SignedOffers(); err != nil {
			checkOneClass(t, err)
		}
		if _, err := (x402.SettleResponse{Extensions: raw}).SignedReceipt(); err != nil {
			checkOneClass(t, err)
		}
	})
}

// checkIdentified wants an identifier to be found where it has been put.
func checkIdentified(t *testing.T, p x402.Payment) {
	t.Helper()
	const id = "another-identifier"
	var err error
	if p.Extensions, err = x402.WithIdentifier(p.Extensions, id); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(p)
	if err != nil || len(encoded) > x402.MaxPayment {
		return
	}
	again, err := x402.DecodePayment(encoded)
	if err != nil || p.Identifier != "" && again.Identifier != id || again.Identifier != "" && again.Identifier != id {
		t.Errorf("%v, identifier %q", err, again.Identifier)
	}
}

// checkSignedAgain wants what is decoded to be encoded as it was.
func checkSignedAgain[T any](t *testing.T, raw []byte, decode func([]byte) (T, error)) {
	t.Helper()
	signed, err := decode(raw)
	if err != nil {
		checkOneClass(t, err)
		return
	}
	encoded, err := json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > 16<<10 {
		return
	}
	if again, err := decode(encoded); err != nil || !cmp.Equal(signed, again) {
		t.Errorf("%v\n%s", err, cmp.Diff(signed, again))
	}
}

func FuzzParseUSD(f *testing.F) {
	for _, s := range []string{"0", "2.50", "0.000001", "9223372036854.775807", "9223372036854.775808", "-1", "1e3", ".5", "5.", "01", "0.29"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := x402.ParseUSD(s)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		if a < 0 {
			t.Fatalf("%q is %d", s, int64(a))
		}
		if again, err := x402.ParseUSD(a.USD()); err != nil || again != a {
			t.Errorf("%q is %d, its USD %q is %d, %v", s, int64(a), a.USD(), int64(again), err)
		}
		if again, err := x402.ParseAtomic(a.String()); err != nil || again != a {
			t.Errorf("%q is %d, its String %q is %d, %v", s, int64(a), a, int64(again), err)
		}
		whole, _, _ := strings.Cut(a.USD(), ".")
		if got, _, _ := strings.Cut(s, "."); got != whole {
			t.Errorf("%q has become %q", s, a.USD())
		}
	})
}

// paymentSeeds returns the vectors and variations that reach every member.
func paymentSeeds(tb testing.TB) (seeds [][]byte) {
	tb.Helper()
	all := vectors(tb)
	for _, raw := range all {
		seeds = append(seeds, raw, edit(tb, raw, "payload.signature", `"0x12"`))
	}
	return append(seeds,
		edit(tb, all["v1a"], "network", `"eip155:1337"`),
		edit(tb, all["v2"], "extensions", `{"another": {"info": {"id": "<&>\u2028"}}}`),
		edit(tb, all["v2"], "resource", removed),
		edit(tb, all["v2"], "accepted.extra", removed))
}

func checkPaymentAgain(t *testing.T, p x402.Payment) {
	t.Helper()
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > x402.MaxPayment {
		return
	}
	again, err := x402.DecodePayment(encoded)
	if err != nil || !cmp.Equal(p, again) {
		t.Fatalf("%v\n%s", err, cmp.Diff(p, again))
	}
	header, err := x402.Header(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err = x402.DecodeHeader(header)
	if err != nil || !cmp.Equal(p, again) {
		t.Errorf("header: %v\n%s", err, cmp.Diff(p, again))
	}
}

// checkOneClass fails the test unless err is of exactly one class and short.
func checkOneClass(t *testing.T, err error) {
	t.Helper()
	for _, class := range classes {
		if errors.Is(err, class) {
			checkRefused(t, err, class, "")
			return
		}
	}
	t.Errorf("an error of no class: %v", err)
}
