package payments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

var errOutage = errors.New("outage")

// lost is a facilitator that does not answer, and has done nothing.
func lost(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{}, errOutage
}

// The same payment for the same booking is answered as before, whatever has
// happened since.
func TestRepeated(t *testing.T) {
	t.Parallel()
	restart := func(t *testing.T, p *process) *process { p.stop(t); return p.world.start(t) }
	reconciled := func(t *testing.T, p *process) *process { p.reconcile(t); return p }
	full := func(t *testing.T, p *process) *process { // by another
		g := testnet.guest(t, price)
		order := p.world.order(t, "ada", "opera", g)
		if _, err := p.call(t.Context(), order, p.pays(t, g, order)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, c := range map[string]struct {
		meanwhile []func(*testing.T, *process) *process
		amount    x402.Amount
		others    int
	}{
		"at once":                      {nil, price, 0},
		"reconciled":                   {[]func(*testing.T, *process) *process{reconciled}, price, 0},
		"after a restart":              {[]func(*testing.T, *process) *process{restart}, price, 0},
		"restarted and reconciled":     {[]func(*testing.T, *process) *process{restart, reconciled}, price, 0},
		"at another price":             {nil, price + 1, 0},
		"when the event is full":       {[]func(*testing.T, *process) *process{full}, price, 1},
		"when all of that has changed": {[]func(*testing.T, *process) *process{full, reconciled, restart}, price + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 2)
			g := testnet.guest(t, 10*x402.USD)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			first, err := p.call(t.Context(), order, payment)
			if err != nil || first.State != payments.Settled {
				t.Fatalf("%+v, %v", first, err)
			}
			for _, f := range c.meanwhile {
				p = f(t, p)
			}
			order = again(t, order)
			order.Amount = c.amount
			second, err := p.call(t.Context(), order, payment)
			if diff := cmp.Diff(first, second); diff != "" || err != nil {
				t.Errorf("%v (-first +second):\n%s", err, diff)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1 + c.others})
		})
	}
}

// A payment that failed is asked about again, and is not submitted again.
func TestRepeatedAfterFailure(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order, window(t, -time.Minute, time.Minute))
	p.on(point{hold, true}, func(context.Context) error { testnet.spend(t, g, price); return nil })
	for _, again := range []string{"first", "second", "after a restart", "after the window"} {
		switch again {
		case "second":
			p.set(p.noStep(t, find, openLedger, lookUp, authorization))
		case "after a restart":
			p.stop(t)
			p = w.start(t)
		case "after the window":
			testnet.advance(t, 2*time.Minute)
		}
		paid, err := p.call(t.Context(), order, payment)
		if err != nil || paid.State != payments.Failed || paid.Reason != x402.ReasonTransactionFailed || paid.Open != (again != "after the window") {
			t.Errorf("%s: %+v, %v", again, paid, err)
		}
		if seats := p.taken(t, "opera"); seats != 0 {
			t.Errorf("%s: %d seats taken", again, seats)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Failed: 1})
}

// taken returns the seats taken at an event of ada's.
func (p *process) taken(tb testing.TB, event string) int {
	tb.Helper()
	e, err := p.books(tb, "ada").Event(tb.Context(), event)
	if err != nil {
		tb.Fatal(err)
	}
	return e.SeatsTaken
}

// While the outcome is open every answer is "settling", also after a restart.
func TestRepeatedWhileSettling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.settles = lost
	first, err := p.call(t.Context(), order, payment)
	if err != nil || first.State != payments.Settling {
		t.Fatalf("%+v, %v", first, err)
	}
	for range 2 {
		paid, err := p.call(t.Context(), again(t, order), payment)
		if err != nil || paid.State != payments.Settling || paid.RSVPID != first.RSVPID {
			t.Errorf("%+v, %v", paid, err)
		}
		p.reconcile(t)
		p.agree(t, 0).wants(t, count{payments.Settling: 1})
		p.stop(t)
		p = w.start(t)
	}
	// The process that holds it has given no sign of life: it is submitted anew.
	w.clock.Advance(time.Minute)
	paid, err := p.call(t.Context(), again(t, order), payment)
	if err != nil || paid.State != payments.Settled || paid.RSVPID != first.RSVPID {
		t.Errorf("%+v, %v", paid, err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// Nonce and payer of a payment are public once it is on the chain. Who knows no
// more is told no more.
func TestRepeatedByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g, thief := testnet.guest(t, price), guest{newWallet(t)}
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	if _, err := p.call(t.Context(), order, payment); err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string]x402.Signature{
		"signed by the thief": sign(t, thief, p.Quote(order).Accepts[0], payment.Payload.Authorization),
		"with a high s":       signedHigh(payment.Payload.Signature),
		"cut off":             payment.Payload.Signature[:64],
		"unsigned":            {},
	} {
		t.Run(name, func(t *testing.T) {
			p.set(p.noStep(t, find, signed))
			stolen := payment
			stolen.Payload.Signature = sig
			paid, ok, err := p.Repeat(t.Context(), "ada", order.Booking, stolen)
			if diff := cmp.Diff(payments.Payment{}, paid); diff != "" || ok || err != nil {
				t.Errorf("told: %+v, %t, %v", paid, ok, err)
			}
			var refused *payments.Refused
			if _, err := p.Pay(t.Context(), order, stolen); !errors.As(err, &refused) || refused.Reason != x402.ReasonSignature {
				t.Errorf("paid with it: %v", err)
			}
		})
	}
	t.Run("on another network", func(t *testing.T) {
		elsewhere := payment
		elsewhere.Network = x402.Base
		if _, ok, err := p.Repeat(t.Context(), "ada", order.Booking, elsewhere); ok || err != nil {
			t.Error(ok, err)
		}
	})
}

// A payment that was refused after it was claimed is as good as new.
func TestRepeatedAfterRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price-1)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	for range 2 {
		var refused *payments.Refused
		if paid, err := p.call(t.Context(), order, payment); !errors.As(err, &refused) || refused.Reason != x402.ReasonInsufficientFunds {
			t.Errorf("%+v, %v", paid, err)
		}
		p.finished(t, 0).wants(t, count{})
	}
	for _, o := range together(50, func(int) (payments.Payment, error) { return p.call(t.Context(), order, payment) }) {
		var refused *payments.Refused
		if !errors.As(o.err, &refused) {
			t.Errorf("one of many: %+v, %v", o.Payment, o.err)
		}
	}
	if _, err := testnet.chain.Fund(t.Context(), [20]byte(g.Address()), 1); err != nil {
		t.Fatal(err)
	}
	if paid, err := p.call(t.Context(), order, payment); err != nil || paid.State != payments.Settled {
		t.Errorf("with enough: %+v, %v", paid, err)
	}
}
