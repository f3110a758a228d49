package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
)

// A claim without a payment may belong to somebody who is at work on it, for as
// long as the lease. Then it is nobody's.
func TestReap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t, func(c *payments.Config) { c.Lease = 10 * time.Second })
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.set(once(point{head, false}, func() error { panic("dead") }))
	for range 3 {
		if got := class(p.call(t.Context(), again(t, order), payment)); got != "undecided" {
			t.Errorf("within the lease it is %s", got)
		}
		p.reconcile(t)
		if !p.isClaimed(t, payment) {
			t.Fatal("released within the lease")
		}
		w.clock.Advance(3 * time.Second)
	}
	w.clock.Advance(time.Second)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{})
	if got := class(p.call(t.Context(), order, payment)); got != "settled" {
		t.Errorf("after the lease it is %s", got)
	}
}

// The lease begins with the claim, and not with the call, which may have had to
// wait.
func TestLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, q := w.start(t), w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	p.set(func(_ context.Context, at point) error {
		switch at {
		case point{openLedger, false}:
			w.clock.Advance(2 * time.Minute)
		case point{head, false}:
			q.reconcile(t)
		}
		return nil
	})
	if got := class(p.call(t.Context(), order, p.pays(t, g, order))); got != "settled" {
		t.Errorf("it is %s", got)
	}
}

// The guest is faster than the reconciler: the call takes over what is nobody's.
func TestReapedByTheGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.set(once(point{head, false}, func() error { panic("dead") }))
	if got := class(p.call(t.Context(), order, payment)); got != "undecided" {
		t.Fatal(got)
	}
	w.clock.Advance(2 * time.Minute)
	for _, o := range together(20, func(int) (payments.Payment, error) { return p.call(t.Context(), order, payment) }) {
		if got := class(o.Payment, o.err); got != "settled" {
			t.Errorf("one of many: %s", got)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// A process that was stopped for longer than the lease, between its claim and
// its hold, finds the payment given up.
func TestHoldAfterAbandon(t *testing.T) {
	t.Parallel()
	for name, sold := range map[string]bool{"released": false, "sold by another process": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, q := w.start(t), w.start(t)
			p.event(t, "ada", "opera", 2)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			stopped := newGate(point{hold, false})
			p.set(stopped.hook)
			got := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
			<-stopped.reached
			w.clock.Advance(2 * time.Minute)
			q.reconcile(t)
			if q.isClaimed(t, payment) {
				t.Error("claimed still")
			}
			if sold {
				if got := class(q.call(t.Context(), again(t, order), payment)); got != "settled" {
					t.Errorf("in the other process it is %s", got)
				}
			}
			stopped.open()
			// By now another call may have it: "nothing was charged" would be a guess.
			if o := <-got; class(o.Payment, o.err) != "undecided" {
				t.Errorf("the answer is %+v, %v", o.Payment, o.err)
			}
			if q.taken(t, "opera") != map[bool]int{true: 1}[sold] {
				t.Errorf("%d seats taken", q.taken(t, "opera"))
			}
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "settled" {
				t.Errorf("at last it is %s", got)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}
