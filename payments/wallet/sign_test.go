package wallet_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

var (
	_ wallet.Signer = (*wallet.Local)(nil)
	_ evm.Key       = (*wallet.Local)(nil)
)

func TestVectors(t *testing.T) {
	w := publicWallet(t)
	for name, p := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			got, err := w.SignAuthorization(t.Context(), required(), p.Payload.Authorization)
			if err != nil || !bytes.Equal(got, p.Payload.Signature) {
				t.Errorf("%x, %v\nwant %x", got, err, p.Payload.Signature)
			}
		})
	}
}

func TestSignAuthorizationRefuses(t *testing.T) {
	w := publicWallet(t)
	good := vectors(t)["v1a"].Payload.Authorization
	for name, change := range map[string]func(r *x402.Requirements, a *x402.Authorization){
		"from another account":  func(_ *x402.Requirements, a *x402.Authorization) { a.From[0]++ },
		"from nobody":           func(_ *x402.Requirements, a *x402.Authorization) { a.From = x402.Address{} },
		"to somebody else":      func(_ *x402.Requirements, a *x402.Authorization) { a.To[0]++ },
		"of more":               func(_ *x402.Requirements, a *x402.Authorization) { a.Value = x402.NewUint256(10_001) },
		"of less":               func(_ *x402.Requirements, a *x402.Authorization) { a.Value = x402.NewUint256(9_999) },
		"required by another":   func(r *x402.Requirements, _ *x402.Authorization) { r.PayTo[0]++ },
		"more required":         func(r *x402.Requirements, _ *x402.Authorization) { r.Amount = x402.NewUint256(10_001) },
		"on no network":         func(r *x402.Requirements, _ *x402.Authorization) { r.Network = "" },
		"on no EVM network":     func(r *x402.Requirements, _ *x402.Authorization) { r.Network = "solana:mainnet" },
		"on a network by alias": func(r *x402.Requirements, _ *x402.Authorization) { r.Network = "base-sepolia" },
	} {
		t.Run(name, func(t *testing.T) {
			r, a := required(), good
			change(&r, &a)
			if sig, err := w.SignAuthorization(t.Context(), r, a); err == nil || sig != nil {
				t.Errorf("%x, %v", sig, err)
			}
		})
	}
}

// Another asset, network or domain is another payment: its signature must not
// be good for this one.
func TestSignaturesDiffer(t *testing.T) {
	w := publicWallet(t)
	a := vectors(t)["v1a"].Payload.Authorization
	seen := map[string]string{}
	for name, change := range map[string]func(*x402.Requirements){
		"as required":     func(*x402.Requirements) {},
		"another asset":   func(r *x402.Requirements) { r.Asset[0]++ },
		"another network": func(r *x402.Requirements) { r.Network = x402.Base },
		"another name":    func(r *x402.Requirements) { r.Extra.Name = "USD Coin" },
		"another version": func(r *x402.Requirements) { r.Extra.Version = "1" },
	} {
		r := required()
		change(&r)
		sig, err := w.SignAuthorization(t.Context(), r, a)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(sig)]; ok {
			t.Errorf("%s: the signature of %s", name, other)
		}
		seen[string(sig)] = name
		domain, err := evm.DomainOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if who, err := evm.Recover(domain.Digest(a), sig); err != nil || who != w.Address() {
			t.Errorf("%s: signed by %s, %v", name, who, err)
		}
	}
}

func TestSignHash(t *testing.T) {
	w := publicWallet(t)
	digest := crypto.Keccak256Hash([]byte("a transaction"))
	sig, err := w.SignHash(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := evm.Recover(digest, sig); err != nil || who != w.Address() {
		t.Errorf("signed by %s, %v", who, err)
	}
}
