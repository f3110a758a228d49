package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// named is a payment under an identifier, as a client sends it.
func named(t *testing.T, p x402.Payment, asked x402.PaymentRequired, id string) *x402.Payment {
	t.Helper()
	var err error
	if p.Extensions, err = x402.WithIdentifier(asked.Extensions, id); err != nil {
		t.Fatal(err)
	}
	return &p
}

// Each quote asks for an identifier, and a payment that has one is known by it:
// over REST a conflict is HTTP 409.
func TestPaymentIdentifier(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	url := w.base + "/api/users/" + o.User + "/events/" + w.event(o, map[string]any{"price": "0.05", "capacity": 1}) + "/rsvps"
	resp, raw := w.send(url, `{}`, nil)
	asked, err := x402.DecodeRequiredHeader(resp.Header.Get(x402.HeaderRequired))
	if err != nil || resp.StatusCode != http.StatusPaymentRequired {
		t.Fatalf("%s, %v: %s", resp.Status, err, raw)
	}
	purse := w.wallet(x402.USD)
	payment, other := sign(t, purse, asked, 2), sign(t, purse, asked, 2)
	const id = "my-order-0123456789"
	resp, first := w.send(url, `{}`, named(t, payment, asked, id))
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", resp.Status, first)
	}
	for _, test := range []struct {
		name    string
		payment *x402.Payment
		status  int
		says    string
	}{
		{"the same again", named(t, payment, asked, id), http.StatusCreated, string(first)},
		{"another payment under it, though it is sold out", named(t, other, asked, id), http.StatusConflict, "Conflict: this payment identifier"},
		{"under another", named(t, payment, asked, id+"0"), http.StatusConflict, "payment_already_used"},
		{"under none, as read off the chain", &payment, http.StatusConflict, "payment_already_used"},
		{"another under another", named(t, other, asked, id+"0"), http.StatusConflict, "event_full"},
		{"one that is none", &x402.Payment{Version: 2, Scheme: other.Scheme, Network: other.Network, Payload: other.Payload, Accepted: other.Accepted,
			Extensions: json.RawMessage(`{"payment-identifier":{"info":{"required":false,"id":"short"}}}`)}, http.StatusBadRequest, "not a payment identifier"},
	} {
		if resp, raw := w.send(url, `{}`, test.payment); resp.StatusCode != test.status || !strings.Contains(string(raw), test.says) {
			t.Errorf("%s: %s: %s", test.name, resp.Status, raw)
		}
	}
	if w.balance(purse.Address()) != x402.USD-50_000 {
		t.Errorf("%s left", w.balance(purse.Address()))
	}
	if strings.Contains(w.logged(), id) {
		t.Error("the identifier is in the log")
	}
}

// A payment that comes in two forms is known by the identifier of either.
func TestPaymentIdentifierInOneForm(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"})}
	asked := w.quote(o.URL, arguments)
	payment := sign(t, w.wallet(x402.USD), asked, 2)
	withID := named(t, payment, asked, "my-order-0123456789")
	plain, err := x402.Header(payment)
	if err != nil {
		t.Fatal(err)
	}
	first := w.call(o.URL, "rsvp_to_event", arguments, withID, x402.HeaderPaymentV1, plain)
	if first.isError {
		t.Fatal(first.text)
	}
	if again := w.call(o.URL, "rsvp_to_event", arguments, withID); again.text != first.text {
		t.Error(again.text)
	}
	if other := w.call(o.URL, "rsvp_to_event", arguments, &payment); other.code != "payment_already_used" {
		t.Error(other.text)
	}
	header, err := x402.Header(named(t, payment, asked, "another-order-0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	if both := w.call(o.URL, "rsvp_to_event", arguments, withID, x402.HeaderPaymentV1, header); !strings.Contains(both.text, "two different payments") {
		t.Error(both.text)
	}
}

// Hosts sign, when they are told to, what they offer and what they were paid
// for: with the wallet that is paid to, and the same whenever it is asked for.
func TestSignedOffersAndReceipts(t *testing.T) {
	w := newWorld(t)
	w.hosts.SignReceipts = true
	o := w.register("owner@example.org")
	for _, version := range []int{1, 2} {
		arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"}), "seats": 2}
		asked := w.quote(o.URL, arguments)
		offers, err := asked.SignedOffers()
		if err != nil || len(offers) != 1 {
			t.Fatal(offers, err)
		}
		offer, r := offers[0].Payload, asked.Accepts[0]
		if signer, err := evm.Recover(evm.OfferDigest(offer), offers[0].Signature); err != nil || signer != o.Wallet {
			t.Errorf("the offer is signed by %s, %v", signer, err)
		}
		if offer.ResourceURL != asked.Resource.URL || offer.PayTo != o.Wallet.String() || offer.Amount != "100000" || offer.Asset != r.Asset.String() ||
			offer.Network != r.Network || offer.Scheme != r.Scheme || offers[0].AcceptIndex != 0 {
			t.Errorf("offered %+v for %+v", offer, asked)
		}
		payment := sign(t, w.wallet(x402.USD), asked, version)
		payment.Extensions = asked.Extensions
		var headers [20]string
		var wg sync.WaitGroup
		for i := range headers {
			wg.Go(func() {
				headers[i] = w.call(o.URL, "rsvp_to_event", arguments, &payment).header.Get(x402.HeaderResponseV2)
			})
		}
		wg.Wait()
		for _, h := range headers {
			if h != headers[0] {
				t.Fatal("two receipts of one payment differ")
			}
		}
		settled, err := x402.DecodeReceiptHeader(headers[0])
		if err != nil {
			t.Fatal(err)
		}
		signed, err := settled.SignedReceipt()
		if err != nil || signed == nil {
			t.Fatalf("version %d: %+v, %v", version, settled, err)
		}
		if signer, err := evm.Recover(evm.ReceiptDigest(signed.Payload), signed.Signature); err != nil || signer != o.Wallet {
			t.Errorf("the receipt is signed by %s, %v", signer, err)
		}
		want := x402.ReceiptPayload{Version: 1, Network: x402.BaseSepolia, ResourceURL: asked.Resource.URL,
			Payer: payment.Payload.Authorization.From.String(), IssuedAt: signed.Payload.IssuedAt, Transaction: settled.Transaction}
		if signed.Payload != want || settled.Transaction == "" || offer.ValidUntil < want.IssuedAt || offer.ValidUntil > want.IssuedAt+300 {
			t.Errorf("version %d: receipt %+v of offer %+v", version, signed.Payload, offer)
		}
	}
}

// Who is paid elsewhere has no key here to sign with. Nobody signs unasked.
func TestUnsigned(t *testing.T) {
	w := newWorld(t)
	unsigned := func(o owner) {
		t.Helper()
		arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"})}
		asked := w.quote(o.URL, arguments)
		payment := sign(t, w.wallet(x402.USD), asked, 2)
		a := w.call(o.URL, "rsvp_to_event", arguments, &payment)
		settled, err := x402.DecodeReceiptHeader(a.header.Get(x402.HeaderResponseV2))
		if err != nil || !settled.Success || strings.Contains(string(asked.Extensions), "offer-receipt") || settled.Extensions != nil {
			t.Errorf("%v: offered with %s, settled %+v", err, asked.Extensions, settled)
		}
	}
	unsigned(w.register("a@example.org"))
	w.hosts.SignReceipts = true
	var o owner
	body := map[string]string{"email": "b@example.org", "wallet_address": w.wallet(0).Address().String()}
	if status := w.do("POST", "/api/users", "", body, &o); status != http.StatusCreated {
		t.Fatal(status)
	}
	unsigned(o)
}
