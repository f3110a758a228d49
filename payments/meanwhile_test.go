package payments_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// Whoever has an authorization may use it, and its payer may spend the money on
// something else: between Verify and Settle too (x402 issue 1169, cloudflare/agents
// issue 1603).
func TestMeanwhile(t *testing.T) {
	type deed func(*testing.T, *process, guest, x402.Payment)
	broadcast := deed(func(t *testing.T, _ *process, _ guest, p x402.Payment) { testnet.broadcast(t, p) })
	cancel := deed(func(t *testing.T, _ *process, g guest, p x402.Payment) { testnet.cancel(t, g, p.Payload.Authorization) })
	spend := deed(func(t *testing.T, _ *process, g guest, _ x402.Payment) { testnet.spend(t, g, price) })
	// The same nonce signed for something else.
	reuse := deed(func(t *testing.T, p *process, g guest, payment x402.Payment) {
		payment.Payload.Authorization.To = x402.Address{2}
		domain := x402.Requirements{Network: p.Network, Asset: p.Asset, Extra: p.Domain}
		payment.Payload.Signature = sign(t, g, domain, payment.Payload.Authorization)
		testnet.broadcast(t, payment)
	})
	w := newWorld(t)
	p := w.start(t)
	total := count{}
	for _, c := range []struct {
		name   string
		do     deed
		answer payments.State
		reason x402.Reason
		open   bool // until the window has closed
	}{
		{"broadcast by another", broadcast, payments.Settled, "", false},
		{"cancelled by the payer", cancel, payments.Failed, x402.ReasonTransactionState, false},
		{"the money is gone", spend, payments.Failed, x402.ReasonTransactionFailed, true},
		{"the nonce is used otherwise", reuse, payments.Failed, x402.ReasonTransactionState, false},
	} {
		for _, at := range []point{{verify, true}, {hold, true}, {settle, false}} {
			t.Run(fmt.Sprintf("%s %s", c.name, at), func(t *testing.T) {
				event := newID(t)
				p.event(t, "ada", event, 1)
				g := testnet.guest(t, price)
				order := w.order(t, "ada", event, g)
				payment := p.pays(t, g, order, window(t, -10*time.Hour, 10*time.Minute))
				p.set(once(at, func() error { c.do(t, p, g, payment); return nil }))
				paid, err := p.call(t.Context(), order, payment)
				if err != nil || paid.State != c.answer || paid.Reason != c.reason || paid.Open != c.open {
					t.Errorf("%+v, %v", paid, err)
				}
				if seats := p.taken(t, event); (seats == 1) != (c.answer == payments.Settled) {
					t.Errorf("%d seats taken", seats)
				}
				p.set(nil)
				if c.open {
					testnet.advance(t, 11*time.Minute)
				}
				p.reconcile(t)
				if got := class(p.call(t.Context(), order, payment)); got != string(c.answer) {
					t.Errorf("at last it is %s", got)
				}
				total[c.answer]++
			})
		}
	}
	p.finished(t, 0).wants(t, total)
}

// An authorization that was used before anybody showed it here buys nothing,
// even if the facilitator finds it good.
func TestUsedBefore(t *testing.T) {
	later := func(t *testing.T) { testnet.advance(t, time.Minute) }
	for name, c := range map[string]struct {
		used   func(*testing.T, guest, x402.Payment)
		then   func(*testing.T)
		lie    bool
		answer string
		stray  x402.Amount
	}{
		"broadcast":                 {func(t *testing.T, _ guest, p x402.Payment) { testnet.broadcast(t, p) }, later, false, "used", price},
		"broadcast just now":        {func(t *testing.T, _ guest, p x402.Payment) { testnet.broadcast(t, p) }, func(*testing.T) {}, false, "used", price},
		"broadcast, a lie":          {func(t *testing.T, _ guest, p x402.Payment) { testnet.broadcast(t, p) }, later, true, "unavailable", price},
		"broadcast just now, a lie": {func(t *testing.T, _ guest, p x402.Payment) { testnet.broadcast(t, p) }, func(*testing.T) {}, true, "used", price},
		"cancelled":                 {func(t *testing.T, g guest, p x402.Payment) { testnet.cancel(t, g, p.Payload.Authorization) }, later, false, "used", 0},
		"cancelled, a lie":          {func(t *testing.T, g guest, p x402.Payment) { testnet.cancel(t, g, p.Payload.Authorization) }, later, true, "unavailable", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, 2*price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			c.used(t, g, payment)
			c.then(t)
			if c.lie {
				p.verifies = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
					return x402.VerifyResponse{IsValid: true}, nil
				}
			}
			for range 2 {
				if got := class(p.call(t.Context(), order, payment)); got != c.answer {
					t.Errorf("the answer is %s, want %s", got, c.answer)
				}
				p.finished(t, c.stray).wants(t, count{})
			}
		})
	}
}

// A payment counts as failed, and then its money moves after all.
func TestLateMoney(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others bool // have taken the seat by then
		last   payments.State
	}{
		"seats still there": {false, payments.Settled},
		"seats gone":        {true, payments.Owed},
	} {
		for _, how := range []string{"found by the reconciler", "found by the guest", "found after a restart"} {
			t.Run(name+", "+how, func(t *testing.T) {
				w := newWorld(t)
				p := w.start(t)
				p.event(t, "ada", "opera", 1)
				g := testnet.guest(t, price)
				order := w.order(t, "ada", "opera", g)
				payment := p.pays(t, g, order)
				p.settles = settles(false, x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil)
				if got := class(p.call(t.Context(), order, payment)); got != "failed" {
					t.Fatalf("the answer is %s", got)
				}
				p.settles = nil
				want := count{c.last: 1}
				if c.others {
					other := testnet.guest(t, price)
					order := w.order(t, "ada", "opera", other)
					if got := class(p.call(t.Context(), order, p.pays(t, other, order))); got != "settled" {
						t.Fatalf("the other's answer is %s", got)
					}
					want[payments.Settled] = 1
				}
				testnet.broadcast(t, payment)
				switch how {
				case "found by the guest":
					if got := class(p.call(t.Context(), order, payment)); got != string(c.last) {
						t.Errorf("the guest is told %s", got)
					}
				case "found after a restart":
					p.stop(t)
					p = w.start(t)
				}
				p.reconcile(t)
				p.reconcile(t)
				p.finished(t, 0).wants(t, want)
				paid, err := p.call(t.Context(), again(t, order), payment)
				if err != nil || paid.State != c.last || paid.Transaction == (x402.Bytes32{}) {
					t.Errorf("at last: %+v, %v", paid, err)
				}
				if has := testnet.balance(t, g.Address()); (has == price) != c.others {
					t.Errorf("the guest has %s", has)
				}
			})
		}
	}
}

// A payer without any ether: the facilitator pays for the gas.
func TestPayerWithoutGas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	rich := testnet.guest(t, price)
	key, err := wallet.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	poor := guest{key}
	testnet.give(t, rich, common.Address(poor.Address()), price)
	order := w.order(t, "ada", "opera", poor)
	if got := class(p.call(t.Context(), order, p.pays(t, poor, order))); got != "settled" {
		t.Errorf("it is %s", got)
	}
	if wei, err := testnet.client.GasBalance(t.Context(), poor.Address()); err != nil || wei.Sign() != 0 {
		t.Errorf("the payer has %s wei, %v", wei, err)
	}
}
