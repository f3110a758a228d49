package x402_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/events-concierge/concierge/payments/x402"
)

// A settlement's answer is a receipt: see FuzzDecodeReceipt.

func FuzzDecodeFacilitatorRequest(f *testing.F) {
	for _, raw := range asked(f) {
		f.Add(raw)
		f.Add(edit(f, raw, "paymentRequirements.extra", removed))
		f.Add(edit(f, raw, "paymentRequirements.network", `"eip155:1337"`))
		f.Add(edit(f, raw, "paymentPayload.extensions", `{"payment-identifier": {"info": {"id": "<&>\u2028"}}}`))
		f.Add(edit(f, raw, "x402Version", `1`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := x402.DecodeFacilitatorRequest(raw)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		payment, err := json.Marshal(r.Payment)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > x402.MaxFacilitatorRequest || len(payment) > x402.MaxPayment {
			return
		}
		again, err := x402.DecodeFacilitatorRequest(encoded)
		if err != nil || !cmp.Equal(r, again) {
			t.Errorf("%v\n%s", err, cmp.Diff(r, again))
		}
	})
}

func FuzzDecodeVerifyResponse(f *testing.F) {
	for _, v := range verdicts {
		f.Add([]byte(v.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := x402.DecodeVerifyResponse(raw)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > x402.MaxVerifyResponse {
			return
		}
		if again, err := x402.DecodeVerifyResponse(encoded); err != nil || again != v {
			t.Errorf("%v\n%s", err, cmp.Diff(v, again))
		}
	})
}

func FuzzDecodeSupported(f *testing.F) {
	f.Add([]byte(fieldSupported))
	f.Add([]byte(`{"kinds":[]}`))
	f.Add([]byte(`{"kinds":[{"x402Version":1,"scheme":"exact","network":"base","extra":{"<":"\ud800"}}],"signers":{"a":null}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := x402.DecodeSupported(raw)
		if err != nil {
			checkOneClass(t, err)
			return
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > x402.MaxSupported {
			return
		}
		again, err := x402.DecodeSupported(encoded)
		if err != nil || !cmp.Equal(s, again, cmpopts.EquateEmpty()) {
			t.Errorf("%v\n%s", err, cmp.Diff(s, again))
		}
	})
}
