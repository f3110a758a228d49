package evm_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// signedByOthers is what @x402/extensions has signed with the public key.
type signedByOthers struct {
	Required                   x402.PaymentRequired
	Settled                    x402.SettleResponse
	OfferDigest, ReceiptDigest common.Hash
}

func readSigned(tb testing.TB) (v signedByOthers, offer x402.SignedOffer, receipt x402.SignedReceipt) {
	tb.Helper()
	raw, err := os.ReadFile("../x402/testdata/x402-extensions.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		tb.Fatal(err)
	}
	offers, err := v.Required.SignedOffers()
	if err != nil || len(offers) != 1 {
		tb.Fatal(offers, err)
	}
	r, err := v.Settled.SignedReceipt()
	if err != nil {
		tb.Fatal(err)
	}
	return v, offers[0], *r
}

// Offers and receipts have the digests of the reference, and the same key signs
// them with the same bytes.
func TestOfferAndReceiptVectors(t *testing.T) {
	v, offer, receipt := readSigned(t)
	key, err := crypto.HexToECDSA(publicKey[2:])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got, want common.Hash
		signature x402.Signature
	}{
		"offer":   {evm.OfferDigest(offer.Payload), v.OfferDigest, offer.Signature},
		"receipt": {evm.ReceiptDigest(receipt.Payload), v.ReceiptDigest, receipt.Signature},
	} {
		if c.got != c.want {
			t.Errorf("%s: digest %s, want %s", name, c.got, c.want)
		}
		if signer, err := evm.Recover(c.got, c.signature); err != nil || signer != publicWallet(t).Address() {
			t.Errorf("%s: signed by %s, %v", name, signer, err)
		}
		if again, err := evm.Sign(key, c.got); err != nil || !bytes.Equal(again, c.signature) {
			t.Errorf("%s: signed again %x, %v", name, again, err)
		}
	}
}

// Whatever is changed in an offer or a receipt is signed.
func TestOfferAndReceiptDigestsCoverEveryField(t *testing.T) {
	_, offer, receipt := readSigned(t)
	seen := map[common.Hash]string{evm.OfferDigest(offer.Payload): "offer", evm.ReceiptDigest(receipt.Payload): "receipt"}
	is := func(name string, digest common.Hash) {
		t.Helper()
		if other, ok := seen[digest]; ok {
			t.Errorf("%s: the same digest as %s", name, other)
		}
		seen[digest] = name
	}
	for name, change := range map[string]func(*x402.OfferPayload){
		"version":     func(o *x402.OfferPayload) { o.Version++ },
		"resourceUrl": func(o *x402.OfferPayload) { o.ResourceURL += "0" },
		"scheme":      func(o *x402.OfferPayload) { o.Scheme = "upto" },
		"network":     func(o *x402.OfferPayload) { o.Network = x402.Base },
		"asset":       func(o *x402.OfferPayload) { o.Asset = o.PayTo },
		"payTo":       func(o *x402.OfferPayload) { o.PayTo = o.Asset },
		"amount":      func(o *x402.OfferPayload) { o.Amount += "0" },
		"validUntil":  func(o *x402.OfferPayload) { o.ValidUntil++ },
		"swapped":     func(o *x402.OfferPayload) { o.Asset, o.PayTo = o.PayTo, o.Asset },
	} {
		o := offer.Payload
		change(&o)
		is("offer's "+name, evm.OfferDigest(o))
	}
	for name, change := range map[string]func(*x402.ReceiptPayload){
		"version":     func(r *x402.ReceiptPayload) { r.Version++ },
		"network":     func(r *x402.ReceiptPayload) { r.Network = x402.Base },
		"resourceUrl": func(r *x402.ReceiptPayload) { r.ResourceURL += "0" },
		"payer":       func(r *x402.ReceiptPayload) { r.Payer = r.Transaction },
		"issuedAt":    func(r *x402.ReceiptPayload) { r.IssuedAt++ },
		"transaction": func(r *x402.ReceiptPayload) { r.Transaction = "" },
	} {
		r := receipt.Payload
		change(&r)
		is("receipt's "+name, evm.ReceiptDigest(r))
	}
}
