package payments_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
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
			if taken(t, q) != map[bool]int{true: 1}[sold] {
				t.Errorf("%d seats taken", taken(t, q))
			}
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "settled" {
				t.Errorf("at last it is %s", got)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

// Calls that are under way are none of the reconciler's business.
func TestReconcileWhileSelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	var all sync.Mutex
	var at []point
	slow := map[point]chan struct{}{}
	for _, s := range []step{claim, head, authorization, verify, hold, settle, await, confirm} {
		slow[point{s, true}] = make(chan struct{})
	}
	reached := make(chan point, 2*len(slow))
	p.set(func(_ context.Context, now point) error {
		all.Lock()
		at = append(at, now)
		all.Unlock()
		if wait, ok := slow[now]; ok {
			reached <- now
			<-wait
		}
		return nil
	})
	got := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
	for range slow {
		now := <-reached
		all.Lock()
		at = nil
		all.Unlock()
		w.clock.Advance(time.Minute)
		p.reconcile(t)
		all.Lock()
		if want := (point{openClaims, false}); len(at) != 2 || at[0] != want {
			t.Errorf("%s: the reconciler meddles: %v", now, at)
		}
		all.Unlock()
		close(slow[now])
	}
	if o := <-got; class(o.Payment, o.err) != "settled" {
		t.Errorf("%+v, %v", o.Payment, o.err)
	}
	p.set(nil)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// Two processes on the same files find the same payments, at the same time.
func TestTwoReconcilers(t *testing.T) {
	t.Parallel()
	const guests = 20 // more than one pass works on at a time
	w := newWorld(t)
	p, q := w.start(t), w.start(t)
	p.event(t, "ada", "opera", guests)
	var (
		preparing sync.WaitGroup
		payment   [guests]x402.Payment
		orders    [guests]payments.Order
	)
	p.settles = lost
	for i := range guests {
		preparing.Go(func() {
			g := testnet.guest(t, price)
			orders[i] = w.order(t, "ada", "opera", g)
			payment[i] = p.pays(t, g, orders[i])
			if got := class(p.call(t.Context(), orders[i], payment[i])); got != "settling" {
				t.Errorf("it is %s", got)
			}
		})
	}
	preparing.Wait()
	p.settles = nil
	w.clock.Advance(time.Minute)
	both := []*process{p, q}
	for _, o := range together(4, func(i int) (payments.Payment, error) {
		return payments.Payment{}, both[i%2].Reconcile(t.Context())
	}) {
		if o.err != nil {
			t.Error(o.err)
		}
	}
	p.reconcile(t)
	q.finished(t, 0).wants(t, count{payments.Settled: guests})
	if got := class(q.call(t.Context(), again(t, orders[0]), payment[0])); got != "settled" {
		t.Errorf("at last it is %s", got)
	}
}

// A payment that one process has just held is not submitted by another. If the
// first gives no sign of life it is, and then the chain takes it once.
func TestHandover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, q := w.start(t), w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	slow := newGate(point{settle, false})
	p.set(slow.hook)
	got := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
	<-slow.reached
	q.set(q.noStep(t, openClaims, openLedger, lookUp, authorization, find))
	w.clock.Advance(29 * time.Second)
	q.reconcile(t)
	if got := class(q.call(t.Context(), again(t, order), payment)); got != "settling" {
		t.Errorf("in the other process it is %s", got)
	}
	q.set(nil)
	w.clock.Advance(time.Second)
	q.reconcile(t)
	q.agree(t, 0).wants(t, count{payments.Settled: 1})
	slow.open()
	if o := <-got; class(o.Payment, o.err) != "settled" {
		t.Errorf("in the first process: %+v, %v", o.Payment, o.err)
	}
	q.reconcile(t)
	q.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// Run goes on, whatever happens in one pass, until its context ends.
func TestRun(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	ctx, end := context.WithCancel(t.Context())
	passes := 0
	p.on(point{openClaims, false}, func(context.Context) error {
		if passes++; passes == 3 {
			end()
		}
		return errOutage
	})
	p.Run(ctx, time.Nanosecond)
	if passes < 3 {
		t.Errorf("%d passes", passes)
	}
	if err := p.Reconcile(t.Context()); !errors.Is(err, errOutage) {
		t.Errorf("one pass: %v", err)
	}
}

// One Host that can't be opened does not keep the others from being reconciled.
func TestReconcileWithOneBrokenHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, 10*x402.USD)
	for _, user := range []string{"ada", "bob"} {
		p.event(t, user, "opera", 1)
		order := w.order(t, user, "opera", g)
		if got := class(p.call(t.Context(), order, p.pays(t, g, order))); got != "settled" {
			t.Fatal(got)
		}
	}
	p.set(once(point{openLedger, false}, func() error { return errOutage }))
	if err := p.Reconcile(t.Context()); !errors.Is(err, errOutage) {
		t.Errorf("nobody hears of it: %v", err)
	}
	if open, err := p.server.Claims().Open(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("%d claims are open, %v", len(open), err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 2})
}
