package payments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// What the facilitator of this process says to payments that would not settle,
// in the words that x402 facilitators use. It is asked directly, without a
// Cashier that would have looked first.
func TestLocalRefuses(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	rich, poor := testnet.guest(t, 100*x402.USD), testnet.guest(t, price-1)
	type change = func(*testing.T, *x402.Payment, *x402.Requirements)
	accepted := func(f func(*x402.Requirements)) change { // both sides agree
		return func(_ *testing.T, p *x402.Payment, r *x402.Requirements) {
			f(r)
			*p.Accepted = *r
		}
	}
	for name, c := range map[string]struct {
		change change
		reason x402.Reason
	}{
		"another chain":               {accepted(func(r *x402.Requirements) { r.Network = x402.Base }), x402.ReasonNetwork},
		"no chain":                    {accepted(func(r *x402.Requirements) { r.Network = "base-sepolia" }), x402.ReasonNetwork},
		"another token":               {accepted(func(r *x402.Requirements) { r.Asset = x402.Address{1} }), x402.ReasonRequirements},
		"another scheme":              {accepted(func(r *x402.Requirements) { r.Scheme = "upto" }), x402.ReasonScheme},
		"a payment in another scheme": {func(_ *testing.T, p *x402.Payment, _ *x402.Requirements) { p.Scheme = "upto" }, x402.ReasonScheme},
		"another amount":              {func(_ *testing.T, p *x402.Payment, r *x402.Requirements) { r.Amount = x402.NewUint256(price + 1) }, x402.ReasonValue},
		"another payee":               {func(_ *testing.T, p *x402.Payment, r *x402.Requirements) { r.PayTo = rich.Address() }, x402.ReasonRecipient},
		// What follows is for the chain alone to know.
		"too little money": {func(t *testing.T, p *x402.Payment, r *x402.Requirements) {
			p.Payload.Authorization.From = poor.Address()
			p.Payload.Signature = sign(t, poor, *r, p.Payload.Authorization)
		}, x402.ReasonInsufficientFunds},
		"used": {func(t *testing.T, p *x402.Payment, _ *x402.Requirements) { testnet.broadcast(t, *p) }, x402.ReasonNonceUsed},
		"cancelled": {func(t *testing.T, p *x402.Payment, _ *x402.Requirements) {
			testnet.cancel(t, rich, p.Payload.Authorization)
		}, x402.ReasonNonceUsed},
		"signed in a domain that the token does not have": {func(t *testing.T, p *x402.Payment, r *x402.Requirements) {
			r.Extra.Name, p.Accepted.Extra.Name = "Coin", "Coin"
			p.Payload.Signature = sign(t, rich, *r, p.Payload.Authorization)
		}, x402.ReasonSignature},
		"to nobody": {func(t *testing.T, p *x402.Payment, r *x402.Requirements) {
			r.PayTo = x402.Address{}
			p.Accepted.PayTo, p.Payload.Authorization.To = r.PayTo, r.PayTo
			p.Payload.Signature = sign(t, rich, *r, p.Payload.Authorization)
		}, x402.ReasonSimulation},
		"expired on the chain, not by the clock": {func(t *testing.T, p *x402.Payment, r *x402.Requirements) {
			last := w.clock.Now().Add(time.Minute)
			p.Payload.Authorization.ValidBefore = unix(last)
			p.Payload.Signature = sign(t, rich, *r, p.Payload.Authorization)
			testnet.advance(t, last.Sub(testnet.head(t).Time)+time.Minute)
		}, x402.ReasonValidBefore},
		"not yet valid on the chain, but by the clock": {func(t *testing.T, p *x402.Payment, r *x402.Requirements) {
			head := testnet.head(t).Time
			p.Payload.Authorization.ValidAfter, p.Payload.Authorization.ValidBefore = unix(head.Add(time.Hour)), unix(head.Add(3*time.Hour))
			p.Payload.Signature = sign(t, rich, *r, p.Payload.Authorization)
			w.clock.Advance(head.Add(2 * time.Hour).Sub(w.clock.Now()))
			t.Cleanup(func() { w.clock.Advance(-2 * time.Hour) })
		}, x402.ReasonValidAfter},
	} {
		t.Run(name, func(t *testing.T) {
			payment := p.pays(t, rich, w.order(t, "ada", "opera", rich))
			r := *payment.Accepted
			c.change(t, &payment, &r)
			got, err := p.facilitator.Verify(t.Context(), payment, r)
			if want := (x402.VerifyResponse{InvalidReason: c.reason, Payer: payment.Payload.Authorization.From.String()}); got != want || err != nil {
				t.Errorf("verify: %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// A payment that does not pass the local check is not submitted either.
func TestLocalSettleRefuses(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, price)
	payment := p.pays(t, g, w.order(t, "ada", "opera", g))
	r := *payment.Accepted
	r.Amount = x402.NewUint256(price + 1)
	got, err := p.facilitator.Settle(t.Context(), payment, r)
	want := x402.SettleResponse{ErrorReason: x402.ReasonValue, Payer: g.Address().String(), Network: "eip155:84532", Amount: "2500001"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if moved(t, payment.Payload.Authorization) {
		t.Error("it was submitted")
	}
}

func TestLocal(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*x402.Payment)
		network string
	}{
		"version 1": {version1, "base-sepolia"},
		"version 2": {func(*x402.Payment) {}, "eip155:84532"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment, r := p.pays(t, g, order, c.change), p.Quote(order).Accepts[0]
			verdict, err := p.facilitator.Verify(t.Context(), payment, r)
			if want := (x402.VerifyResponse{IsValid: true, Payer: g.Address().String()}); verdict != want || err != nil {
				t.Errorf("verify: %+v, %v", verdict, err)
			}
			got, err := p.facilitator.Settle(t.Context(), payment, r)
			tx, hash := x402.ParseBytes32(got.Transaction)
			if err != nil || hash != nil {
				t.Fatalf("settle: %+v, %v", got, err)
			}
			want := x402.SettleResponse{ErrorReason: x402.ReasonSettlementPending, Payer: g.Address().String(),
				Transaction: got.Transaction, Network: c.network, Amount: "2500000"}
			if !cmp.Equal(got, want) {
				t.Errorf("settle: %+v, want %+v", got, want)
			}
			testnet.mined(t.Context(), common.Hash(tx))
			if !moved(t, payment.Payload.Authorization) {
				t.Error("nothing has moved")
			}
		})
	}
}

// Without a chain nothing is found out, and certainly nothing is submitted.
func TestLocalWithoutChain(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, price)
	payment := p.pays(t, g, w.order(t, "ada", "opera", g))
	gone, leave := context.WithCancel(t.Context())
	leave()
	if got, err := p.facilitator.Verify(gone, payment, *payment.Accepted); err == nil || got.IsValid || got.InvalidReason != "" {
		t.Errorf("verify: %+v, %v", got, err)
	}
	if got, err := p.facilitator.Settle(gone, payment, *payment.Accepted); !errors.Is(err, payments.ErrNotSettled) || got.Success {
		t.Errorf("settle: %+v, %v", got, err)
	}
}
