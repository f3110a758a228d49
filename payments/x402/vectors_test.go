package x402_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestVectors(t *testing.T) {
	version := map[string]int{"v1a": 1, "v1b": 1, "v2": 2}
	all := vectors(t)
	if len(all) != len(version) {
		t.Fatalf("%d payments in testdata, want %d", len(all), len(version))
	}
	for name, raw := range all {
		t.Run(name, func(t *testing.T) {
			p, err := x402.DecodePayment(raw)
			if err != nil {
				t.Fatal(err)
			}
			a := p.Payload.Authorization
			got := []any{p.Version, p.Scheme, p.Network, a.From.String(), a.To.String(), a.Value.String(), a.Nonce.String(), len(p.Payload.Signature)}
			want := []any{version[name], "exact", x402.BaseSepolia, payer, payTo, "10000", nonce, 65}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if sig, _ := p.Payload.Signature.MarshalText(); string(sig) != signatureOf(t, raw) {
				t.Error("the signature changed")
			}
		})
	}
}

// What @x402/core wrote beside the payload of version 2.
func TestVectorV2Accepted(t *testing.T) {
	p, err := x402.DecodePayment(vectors(t)["v2"])
	if err != nil {
		t.Fatal(err)
	}
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	accepted := &x402.Requirements{
		Scheme: x402.SchemeExact, Network: x402.BaseSepolia, Amount: x402.NewUint256(10000),
		Asset: asset, PayTo: mustAddress(t, payTo), MaxTimeoutSeconds: 300, Extra: domain,
	}
	if diff := cmp.Diff(accepted, p.Accepted); diff != "" {
		t.Errorf("accepted -want +got:\n%s", diff)
	}
	resource := &x402.Resource{URL: "mcp://tool/echo", Description: "echo", MimeType: "application/json"}
	if diff := cmp.Diff(resource, p.Resource); diff != "" {
		t.Errorf("resource -want +got:\n%s", diff)
	}
	after, before, ok := p.Payload.Authorization.Window()
	if !ok || !after.Equal(time.Unix(0, 0)) || !before.Equal(time.Unix(1750000900, 0)) {
		t.Errorf("window %v to %v, %v", after, before, ok)
	}
}

func TestVectorHeaders(t *testing.T) {
	objects := vectors(t)
	for name, header := range vectorHeaders(t) {
		t.Run(name, func(t *testing.T) {
			want, err := x402.DecodePayment(objects[name])
			if err != nil {
				t.Fatal(err)
			}
			got, err := x402.DecodeHeader(header)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-object +header:\n%s", diff)
			}
		})
	}
}

// Both ways in which MCP clients put a payment into `_meta`.
func TestVectorsInMeta(t *testing.T) {
	for name, raw := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			want, err := x402.DecodePayment(raw)
			if err != nil {
				t.Fatal(err)
			}
			for form, meta := range map[string]string{"object": string(raw), "base64": quote(toBase64(raw)), "spaced base64": "\n " + quote(toBase64(raw)) + " "} {
				got, err := x402.DecodeMeta(json.RawMessage(meta))
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s -object +meta:\n%s", form, diff)
				}
			}
		})
	}
}

func TestV1VectorsAgree(t *testing.T) {
	a, errA := x402.DecodePayment(vectors(t)["v1a"])
	b, errB := x402.DecodePayment(vectors(t)["v1b"])
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("-v1a +v1b:\n%s", diff)
	}
}

// What this package writes has the members and values that the packages wrote.
func TestVectorsEncodeAgain(t *testing.T) {
	for name, raw := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			p, err := x402.DecodePayment(raw)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(generic(t, raw), generic(t, encoded)); diff != "" {
				t.Errorf("-theirs +ours:\n%s", diff)
			}
			var again x402.Payment
			if err := json.Unmarshal(encoded, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, again); diff != "" {
				t.Errorf("-first +again:\n%s", diff)
			}
			header, err := x402.Header(p)
			if err != nil {
				t.Fatal(err)
			}
			if again, err = x402.DecodeHeader(header); err != nil || !cmp.Equal(p, again) {
				t.Errorf("header: %v\n%s", err, cmp.Diff(p, again))
			}
		})
	}
}

// generic returns the JSON as Go's own types, so that order doesn't count.
func generic(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
