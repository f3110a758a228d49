package payments_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// unsent is a facilitator that has certainly not submitted anything.
var unsent = settles(false, x402.SettleResponse{}, fmt.Errorf("%w: no gas", payments.ErrNotSettled))

// A payment that was certainly not submitted costs nothing and blocks nothing.
func TestNotSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, 10*x402.USD)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.settles = unsent
	if got := class(p.call(t.Context(), order, payment)); got != "unavailable" {
		t.Errorf("the answer is %s", got)
	}
	if p.isClaimed(t, payment) || p.taken(t, "opera") != 0 {
		t.Errorf("claimed: %t, seats taken: %d", p.isClaimed(t, payment), p.taken(t, "opera"))
	}
	p.finished(t, 0).wants(t, count{payments.Failed: 1})
	p.settles = nil
	if got := class(p.call(t.Context(), again(t, order), payment)); got != "settled" {
		t.Errorf("the same call again is %s", got)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Failed: 1, payments.Settled: 1})
}

// The real case: the account that pays for gas has none. Verify does not see
// it, for a simulation costs nothing.
func TestNoGas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.facilitator = payments.NewLocal(testnet.client, evm.NewSender(testnet.client, newWallet(t), evm.SenderOptions{}), []x402.Address{p.Asset}, w.clock.Now, p.Log)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	if got := class(p.call(t.Context(), order, p.pays(t, g, order))); got != "unavailable" {
		t.Errorf("the answer is %s", got)
	}
	p.finished(t, 0).wants(t, count{payments.Failed: 1})
}

// It takes more than the facilitator's word to close a payment that it could not
// submit: somebody else may have, or the ledger may not take it.
func TestNotSettledAndMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		also   point
		f      func(*world) error
		answer string
		last   payments.State
	}{
		"so late that another process may have submitted it": {
			point{settle, false}, func(w *world) error { w.clock.Advance(time.Minute); return nil }, "settling", payments.Settled},
		"the ledger does not take it":     {point{fail, false}, func(*world) error { return errOutage }, "settling", payments.Settled},
		"the ledger's answer is lost":     {point{fail, true}, func(*world) error { return errOutage }, "settling", payments.Failed},
		"the claim can't be released":     {point{release, false}, func(*world) error { return errOutage }, "unavailable", payments.Failed},
		"killed before it is released":    {point{release, false}, func(*world) error { panic("dead") }, "settling", payments.Failed},
		"killed after the claim has gone": {point{release, true}, func(*world) error { panic("dead") }, "settling", payments.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			p.settles = unsent
			p.set(once(c.also, func() error { return c.f(w) }))
			got := class(p.call(t.Context(), order, payment))
			if got != c.answer {
				t.Errorf("the answer is %s, want %s", got, c.answer)
			}
			p.set(nil)
			w.clock.Advance(time.Minute)
			p.reconcile(t) // still nothing can be submitted
			p.agree(t, 0)
			p.settles = nil
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{c.last: 1})
			honest(t, got, moved(t, payment.Payload.Authorization))
		})
	}
}

// The list of claims was lost, or is older than the Host's file: the ledger knows
// what was used, too.
func TestLostClaims(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.settles = settles(false, x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil)
	if got := class(p.call(t.Context(), order, payment)); got != "failed" {
		t.Fatal(got)
	}
	p.stop(t)
	if err := os.WriteFile(filepath.Join(w.dir, "server.db"), testnet.server, 0o600); err != nil {
		t.Fatal(err)
	}
	p = w.start(t)
	if got := class(p.call(t.Context(), again(t, order), payment)); got != "used" {
		t.Errorf("the call again is %s", got)
	}
	p.finished(t, 0).wants(t, count{payments.Failed: 1})
}

// A call whose caller has left before it began does nothing.
func TestGoneBefore(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	p.set(p.noStep(t))
	if got := class(p.Pay(ctx, order, payment)); got != "gone" {
		t.Errorf("the answer is %s", got)
	}
}
