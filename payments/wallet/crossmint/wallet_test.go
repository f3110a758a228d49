package crossmint_test

import (
	"bytes"
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/x402"
)

var _ wallet.Signer = (*crossmint.Wallet)(nil)

// A wallet signs before it is on the chain and after, and the chain takes both.
func TestSigns(t *testing.T) {
	w := newWorld(t, nil)
	opened := w.mustOpen(t, "userId:alice")
	r, a := payment(t, opened.Address())
	before, err := opened.SignAuthorization(t.Context(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) <= 65 {
		t.Errorf("%d bytes do not say how the wallet is deployed", len(before))
	}
	w.takes(t, r, a, before)
	if polls := len(w.requests("GET", "")); polls != 3 { // two of them in vain
		t.Errorf("asked %d times for the signature", polls)
	}
	w.deploy(t, before)
	w.takes(t, r, a, before) // wrapped as it is
	_, next := payment(t, opened.Address())
	after, err := opened.SignAuthorization(t.Context(), r, next)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) >= len(before) {
		t.Errorf("%d bytes, before it was deployed %d", len(after), len(before))
	}
	w.takes(t, r, next, after)
}

// The same authorization has the same signature, made once, whoever asks again.
func TestSignsOnce(t *testing.T) {
	w := newWorld(t, nil)
	opened := w.mustOpen(t, "userId:alice")
	r, a := payment(t, opened.Address())
	first, err := opened.SignAuthorization(t.Context(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.mustOpen(t, "userId:alice").SignAuthorization(t.Context(), r, a)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("%x, %v\nfirst %x", again, err, first)
	}
	asked := w.requests("POST", "/signatures")
	if len(asked) != 2 || asked[0].Header.Get("x-idempotency-key") != asked[1].Header.Get("x-idempotency-key") {
		t.Errorf("%d requests", len(asked))
	}
	_, other := payment(t, opened.Address())
	if _, err := opened.SignAuthorization(t.Context(), r, other); err != nil {
		t.Fatal(err)
	}
	if asked = w.requests("POST", "/signatures"); asked[2].Header.Get("x-idempotency-key") == asked[0].Header.Get("x-idempotency-key") {
		t.Error("two payments were asked for as one")
	}
}

func TestSameOwnerSameWallet(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.mustOpen(t, "userId:alice"), w.mustOpen(t, "email:bob@example.org")
	if alice.Address() == bob.Address() {
		t.Error("two owners have one wallet")
	}
	if again := w.mustOpen(t, "userId:alice"); again.Address() != alice.Address() {
		t.Errorf("%s, before %s", again.Address(), alice.Address())
	}
	for _, r := range w.requests("POST", "/wallets") {
		if r.Header.Get("x-idempotency-key") == "" {
			t.Error("a wallet may be made twice")
		}
	}
}

func TestOwners(t *testing.T) {
	w := newWorld(t, nil)
	for _, owner := range []string{"", "alice", "userId:", "wallet:alice", "userId:a b", "userId:\nx", "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"} {
		if opened, err := w.open(t, owner); err == nil {
			t.Errorf("%q has wallet %s", owner, opened.Address())
		}
	}
	if len(w.asked) > 0 {
		t.Errorf("%d requests", len(w.asked))
	}
}

// Nothing is asked for that does not pay what is required, on this network.
func TestSignAuthorizationRefuses(t *testing.T) {
	w := newWorld(t, nil)
	opened := w.mustOpen(t, "userId:alice")
	for name, change := range map[string]func(*x402.Requirements, *x402.Authorization){
		"from another account": func(_ *x402.Requirements, a *x402.Authorization) { a.From[0]++ },
		"to somebody else":     func(_ *x402.Requirements, a *x402.Authorization) { a.To[0]++ },
		"of more":              func(_ *x402.Requirements, a *x402.Authorization) { a.Value = x402.NewUint256(100_001) },
		"on another network":   func(r *x402.Requirements, _ *x402.Authorization) { r.Network = x402.Base },
		"on no network":        func(r *x402.Requirements, _ *x402.Authorization) { r.Network = "" },
	} {
		r, a := payment(t, opened.Address())
		change(&r, &a)
		if s, err := opened.SignAuthorization(t.Context(), r, a); err == nil || s != nil {
			t.Errorf("%s: %x, %v", name, s, err)
		}
	}
	if asked := w.requests("POST", "/signatures"); len(asked) > 0 {
		t.Errorf("%d requests", len(asked))
	}
}
