package payments_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

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
		if want := []point{{openClaims, false}, {openClaims, true}, {listDebtors, false}, {listDebtors, true}}; !slices.Equal(at, want) {
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
	const guests = 17 // more than one pass works on at a time
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
	q.set(q.noStep(t, openClaims, listDebtors, openLedger, lookUp, authorization, find))
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

// A transfer that is not deep enough yet may be taken away again: the payment
// stays settling until enough blocks are on it.
func TestConfirmations(t *testing.T) {
	deep, err := evm.NewClient(t.Context(), testnet.chain.RPC(), evm.Options{Confirmations: 3, Finality: 3})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	p := w.start(t)
	p.chain = deep
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.settles = settles(true, x402.SettleResponse{}, errOutage)
	for blocks, want := range []string{"settling", "settling", "settled"} {
		if blocks > 0 {
			testnet.advance(t, 3*time.Second)
		}
		if got := class(p.call(t.Context(), again(t, order), payment)); got != want {
			t.Errorf("with %d blocks on it, it is %s", blocks, got)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
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

// What is submitted again is what the payer sent, as far as it concerns money.
func TestResubmitted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x402.Payment){"version 1": version1, "version 2": func(*x402.Payment) {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order, change, func(p *x402.Payment) { p.Resource = nil })
			tries := 0
			p.settles = func(ctx context.Context, real payments.Facilitator, got x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
				if diff := cmp.Diff(payment, got); diff != "" {
					t.Errorf("try %d (-sent +submitted):\n%s", tries, diff)
				}
				if diff := cmp.Diff(p.Quote(order).Accepts[0], r); diff != "" {
					t.Errorf("try %d (-quoted +required):\n%s", tries, diff)
				}
				if tries++; tries == 1 {
					return x402.SettleResponse{}, errOutage
				}
				return real.Settle(ctx, got, r)
			}
			if got := class(p.call(t.Context(), order, payment)); got != "settling" {
				t.Errorf("it is %s", got)
			}
			w.clock.Advance(time.Minute)
			p.reconcile(t)
			p.agree(t, 0).wants(t, count{payments.Settled: 1})
			if tries != 2 {
				t.Errorf("submitted %d times", tries)
			}
		})
	}
}
