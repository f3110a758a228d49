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

// named gives a payment an identifier.
func named(p x402.Payment, id string) x402.Payment {
	p.Identifier = id
	return p
}

const order1, order2 = "the-first-order-of-mine", "the-second-order-of-mine"

// The same payment under the same identifier has the same answer; under another,
// or none, it is used. An authorization that was read off the chain is worth
// nothing without its identifier.
func TestIdentifierOfAPayment(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"", order1} {
		w := newWorld(t)
		p := w.start(t)
		p.event(t, "ada", "opera", 2)
		g := testnet.guest(t, price)
		order := w.order(t, "ada", "opera", g)
		payment := p.pays(t, g, order)
		paid, err := p.call(t.Context(), order, named(payment, first))
		if err != nil || paid.State != payments.Settled {
			t.Fatalf("%+v, %v", paid, err)
		}
		for _, restarted := range []bool{false, true} {
			if restarted {
				p.stop(t)
				p = w.start(t)
			}
			for _, id := range []string{"", order1, order2} {
				got, err := p.call(t.Context(), again(t, order), named(payment, id))
				if id != first {
					if !errors.Is(err, payments.ErrAlreadyUsed) {
						t.Errorf("%q again as %q: %+v, %v", first, id, got, err)
					}
				} else if diff := cmp.Diff(paid, got); diff != "" || err != nil {
					t.Errorf("%q again: %v\n%s", first, err, diff)
				}
			}
		}
		p.reconcile(t)
		p.finished(t, 0).wants(t, count{payments.Settled: 1})
	}
}

// An identifier names one payment of a payer on a Host. Another is refused
// before it is claimed, and before anything else is said about it.
func TestIdentifierOfTwoPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	p.event(t, "ada", "tea", 2)
	p.event(t, "bob", "opera", 1)
	g, other := testnet.guest(t, 10*price), testnet.guest(t, price)
	first := w.order(t, "ada", "opera", g)
	payment := named(p.pays(t, g, first), order1)
	if _, err := p.call(t.Context(), first, payment); err != nil {
		t.Fatal(err)
	}
	second := w.order(t, "ada", "tea", g)
	for name, order := range map[string]payments.Order{"for the same, which is sold out": again(t, first), "for something else": second} {
		p.set(p.noStep(t, find, identified, openLedger, lookUp))
		if paid, err := p.call(t.Context(), order, named(p.pays(t, g, order), order1)); !errors.Is(err, payments.ErrConflict) {
			t.Errorf("another payment %s: %+v, %v", name, paid, err)
		}
		p.set(nil)
		if paid, err := p.Pay(t.Context(), order, named(p.pays(t, g, order), order1)); !errors.Is(err, payments.ErrConflict) {
			t.Errorf("another payment %s, of which nobody asked first: %+v, %v", name, paid, err)
		}
	}
	if paid, err := p.call(t.Context(), second, payment); !errors.Is(err, payments.ErrAlreadyUsed) {
		t.Errorf("the same payment for something else: %+v, %v", paid, err)
	}
	if open, err := p.server.Claims().Open(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("%d claims, %v", len(open), err)
	}
	// Nobody else is in the way: not on another Host, not another payer.
	for name, c := range map[string]struct {
		guest
		order payments.Order
		id    string
	}{
		"another host":       {g, w.order(t, "bob", "opera", g), order1},
		"another payer":      {other, w.order(t, "ada", "tea", other), order1},
		"another identifier": {g, second, order2},
	} {
		if paid, err := p.call(t.Context(), c.order, named(p.pays(t, c.guest, c.order), c.id)); err != nil || paid.State != payments.Settled {
			t.Errorf("%s: %+v, %v", name, paid, err)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 4})
}

// Of many payments with one identifier that come at once, in two processes, one
// is taken.
func TestIdentifierOfManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	processes := []*process{p, w.start(t)}
	p.event(t, "ada", "opera", 0)
	g := testnet.guest(t, 100*price)
	const many = 20
	var orders [many]payments.Order
	var paying [many]x402.Payment
	for i := range many {
		orders[i] = w.order(t, "ada", "opera", g)
		orders[i].Booking.Email = newID(t) + "@example.com"
		paying[i] = named(p.pays(t, g, orders[i]), order1)
	}
	settled := 0
	for _, o := range together(many, func(i int) (payments.Payment, error) {
		return processes[i%2].call(t.Context(), orders[i], paying[i])
	}) {
		switch {
		case o.err == nil && o.Payment.State == payments.Settled:
			settled++
		case !errors.Is(o.err, payments.ErrConflict):
			t.Errorf("%+v, %v", o.Payment, o.err)
		}
	}
	if settled != 1 {
		t.Errorf("%d were settled", settled)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// What came to nothing has used up no identifier: its payer has been told to pay
// anew.
func TestIdentifierAfterFailure(t *testing.T) {
	refused := func(t *testing.T, p *process, g guest, order payments.Order) x402.Payment {
		payment := p.pays(t, g, order)
		p.verifies = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
			return x402.VerifyResponse{InvalidReason: x402.ReasonInsufficientFunds}, nil
		}
		var why *payments.Refused
		if _, err := p.call(t.Context(), order, named(payment, order1)); !errors.As(err, &why) {
			t.Fatal(err)
		}
		p.verifies = nil
		return payment
	}
	failed := func(t *testing.T, p *process, g guest, order payments.Order) x402.Payment {
		payment := p.pays(t, g, order, window(t, -time.Minute, time.Minute))
		p.settles = settles(false, x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil)
		if paid, err := p.call(t.Context(), order, named(payment, order1)); err != nil || paid.State != payments.Failed {
			t.Fatalf("%+v, %v", paid, err)
		}
		p.settles = nil
		return payment
	}
	restart := func(t *testing.T, p *process) *process { p.stop(t); return p.world.start(t) }
	stay := func(_ *testing.T, p *process) *process { return p }
	for name, c := range map[string]struct {
		fails     func(*testing.T, *process, guest, payments.Order) x402.Payment
		meanwhile func(*testing.T, *process) *process
		want      count
	}{
		"refused":                  {refused, stay, count{payments.Settled: 1}},
		"failed":                   {failed, stay, count{payments.Settled: 1, payments.Failed: 1}},
		"failed, before a restart": {failed, restart, count{payments.Settled: 1, payments.Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, 2*price)
			order := w.order(t, "ada", "opera", g)
			old := c.fails(t, p, g, order)
			p = c.meanwhile(t, p)
			order = again(t, order)
			payment := named(p.pays(t, g, order), order1)
			for range 2 {
				if paid, err := p.call(t.Context(), order, payment); err != nil || paid.State != payments.Settled {
					t.Fatalf("%+v, %v", paid, err)
				}
			}
			if c.want[payments.Failed] > 0 { // it is still told of under its identifier
				if paid, err := p.call(t.Context(), order, named(old, order1)); err != nil || paid.State != payments.Failed {
					t.Errorf("the failed one: %+v, %v", paid, err)
				}
				testnet.advance(t, 2*time.Minute)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, c.want)
		})
	}
}

// While nobody knows what becomes of a payment its identifier is taken, also if
// it has not come as far as the ledger; and it is not when the claim is released.
func TestIdentifierOfAnOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, 2*price)
	order := w.order(t, "ada", "opera", g)
	p.set(func(_ context.Context, at point) error {
		if at == (point{hold, false}) || at.step == release || at.step == lookUp {
			return errOutage
		}
		return nil
	})
	if paid, err := p.call(t.Context(), order, named(p.pays(t, g, order), order1)); err == nil {
		t.Fatalf("%+v", paid)
	}
	p.set(nil)
	order = again(t, order)
	payment := named(p.pays(t, g, order), order1)
	if paid, err := p.call(t.Context(), order, payment); !errors.Is(err, payments.ErrConflict) {
		t.Errorf("while the claim stands: %+v, %v", paid, err)
	}
	w.clock.Advance(2 * time.Minute)
	p.reconcile(t)
	if paid, err := p.call(t.Context(), order, payment); err != nil || paid.State != payments.Settled {
		t.Errorf("when it is released: %+v, %v", paid, err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// Steps that fail on the way leave no money moved and no payment without its answer.
func TestIdentifierUnderFaults(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, 2*price)
	order := w.order(t, "ada", "opera", g)
	p.settles = settles(false, x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil)
	if paid, err := p.call(t.Context(), order, named(p.pays(t, g, order, window(t, -time.Minute, time.Minute)), order1)); err != nil || paid.State != payments.Failed {
		t.Fatalf("%+v, %v", paid, err)
	}
	p.settles = nil
	order = again(t, order)
	payment := named(p.pays(t, g, order), order1)
	for _, s := range []step{identified, lookUp, unname, claim} {
		for _, after := range []bool{false, true} {
			once := false
			p.set(func(_ context.Context, at point) error {
				if at == (point{s, after}) && !once {
					once = true
					return errOutage
				}
				return nil
			})
			if _, err := p.call(t.Context(), order, payment); !errors.Is(err, errOutage) {
				t.Errorf("%s: %v", point{s, after}, err)
			}
			p.agree(t, 0).wants(t, count{payments.Failed: 1})
		}
	}
	p.set(nil)
	if paid, err := p.call(t.Context(), order, payment); err != nil || paid.State != payments.Settled {
		t.Errorf("%+v, %v", paid, err)
	}
	testnet.advance(t, 2*time.Minute)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1, payments.Failed: 1})
}
