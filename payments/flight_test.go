package payments_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// gate stops the first call that comes to a point until it is opened.
type gate struct {
	reached, opened chan struct{}
	hook            func(context.Context, point) error
}

func newGate(at point) *gate {
	g := &gate{reached: make(chan struct{}), opened: make(chan struct{})}
	g.hook = once(at, func() error { close(g.reached); <-g.opened; return nil })
	return g
}

func (g *gate) open() { close(g.opened) }

// answers makes a call in the background.
func answers(call func() (payments.Payment, error)) <-chan outcome {
	got := make(chan outcome, 1)
	go func() {
		p, err := call()
		got <- outcome{p, err}
	}()
	return got
}

// A caller whose patience ends is told what is known: that it is settling, once
// the seats are held, and before that to ask again. It is settled all the same.
func TestPatience(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t, func(c *payments.Config) { c.Patience = 1 })
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	slow := newGate(point{settle, false})
	p.set(slow.hook)
	if got := class(p.call(t.Context(), order, payment)); got != "undecided" && got != "settling" {
		t.Errorf("the first answer is %s", got)
	}
	<-slow.reached
	paid, err := p.call(t.Context(), again(t, order), payment)
	if err != nil || paid.State != payments.Settling || paid.RSVPID != order.Booking.RSVPID {
		t.Errorf("while it is settled: %+v, %v", paid, err)
	}
	if r := payments.Receipt(paid); r.Success || r.ErrorReason != x402.ReasonSettlementPending {
		t.Errorf("receipt: %+v", r)
	}
	slow.open()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	p.agree(t, 0).wants(t, count{payments.Settled: 1})
}

// Before the seats are held nothing is known, and nobody may be told that
// nothing is charged: the call goes on, and it may be.
func TestPatienceBeforeTheHold(t *testing.T) {
	t.Parallel()
	for _, at := range []point{{claim, false}, {claim, true}, {verify, false}, {hold, false}} {
		t.Run(at.String(), func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t, func(c *payments.Config) { c.Patience = 1 })
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			slow := newGate(at)
			p.set(slow.hook)
			got := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
			<-slow.reached
			if o := <-got; class(o.Payment, o.err) != "undecided" {
				t.Errorf("%+v, %v", o.Payment, o.err)
			}
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "undecided" {
				t.Errorf("again: %s", got)
			}
			other := again(t, order)
			other.Booking.Name = "Somebody else"
			if got := class(p.call(t.Context(), other, payment)); got != "undecided" && got != "used" {
				t.Errorf("somebody else is told %s", got)
			}
			slow.open()
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			p.agree(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

// Close waits for what is under way, as long as it may, and lets nothing new in.
func TestClose(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 0)
	first, second, third := testnet.guest(t, price), testnet.guest(t, price), testnet.guest(t, price)
	done := w.order(t, "ada", "opera", third)
	settled := p.pays(t, third, done)
	if got := class(p.call(t.Context(), done, settled)); got != "settled" {
		t.Fatal(got)
	}
	slow := newGate(point{settle, false})
	p.set(slow.hook)
	order := w.order(t, "ada", "opera", first)
	got := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, p.pays(t, first, order)) })
	<-slow.reached

	soon, now := context.WithCancel(t.Context())
	now()
	if err := p.Close(soon); !errors.Is(err, context.Canceled) {
		t.Errorf("closed with a payment under way: %v", err)
	}
	order = w.order(t, "ada", "opera", second)
	payment := p.pays(t, second, order)
	if got := class(p.call(t.Context(), order, payment)); got != "unavailable" {
		t.Errorf("a new payment is %s", got)
	}
	if p.isClaimed(t, payment) {
		t.Error("a new payment is claimed")
	}
	// Of one that was settled nobody may say that nothing was charged.
	if got := class(p.call(t.Context(), again(t, done), settled)); got != "undecided" {
		t.Errorf("an old payment is %s", got)
	}
	p.reconcile(t) // finds nothing to do, and does not complain

	slow.open()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if o := <-got; class(o.Payment, o.err) != "settled" {
		t.Errorf("the last answer: %+v, %v", o.Payment, o.err)
	}
	p.agree(t, 0).wants(t, count{payments.Settled: 2})
	for tries := 0; running("payments.(*Cashier).fly.func") > 0; tries++ { // the last one may be on its way out
		if tries == 1000 {
			t.Fatal("goroutines are left behind")
		}
		runtime.Gosched()
	}
}

// running counts the goroutines that are in a function, of all tests.
func running(function string) int {
	stacks := make([]byte, 8<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), function)
}

// What another booking tries with a payment does not come between the payment's
// own booking and its answer.
func TestOthersDoNotDisturb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	w.share(t, "ada", "bob")
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order, other := w.order(t, "ada", "opera", g), w.order(t, "bob", "opera", g)
	payment := p.pays(t, g, order, func(p *x402.Payment) { p.Resource = nil })
	if got := class(p.call(t.Context(), order, payment)); got != "settled" {
		t.Fatal(got)
	}
	slow := newGate(point{openLedger, false})
	p.set(slow.hook)
	theirs := answers(func() (payments.Payment, error) { return p.Pay(t.Context(), other, payment) })
	<-slow.reached
	ours := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
	slow.open()
	if o := <-ours; class(o.Payment, o.err) != "settled" {
		t.Errorf("ours: %+v, %v", o.Payment, o.err)
	}
	if o := <-theirs; class(o.Payment, o.err) != "used" {
		t.Errorf("theirs: %+v, %v", o.Payment, o.err)
	}
}

// A payment that waits while another booking fails to use it is next in line.
// Not parallel: it counts all who wait.
func TestNextInLine(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	w.share(t, "ada", "bob")
	p.event(t, "bob", "opera", 1)
	g := testnet.guest(t, price)
	order, next := w.order(t, "ada", "gone", g), w.order(t, "bob", "opera", g)
	payment := p.pays(t, g, order, func(p *x402.Payment) { p.Resource = nil })
	slow := newGate(point{openLedger, false})
	p.set(slow.hook)
	first := answers(func() (payments.Payment, error) { return p.call(t.Context(), order, payment) })
	<-slow.reached
	second := answers(func() (payments.Payment, error) { return p.call(t.Context(), next, payment) })
	for running("payments.(*flight).wait(") < 2 {
		runtime.Gosched()
	}
	p.set(once(point{openLedger, true}, func() error { return errOutage }))
	slow.open()
	if o := <-first; !errors.Is(o.err, errOutage) {
		t.Errorf("the first: %+v, %v", o.Payment, o.err)
	}
	if o := <-second; class(o.Payment, o.err) != "settled" {
		t.Errorf("the next in line: %+v, %v", o.Payment, o.err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// No question to the outside can take for ever, and none ends with its caller;
// and what is known is written, however long it took to know it.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		has   x402.Amount
		spend bool
		want  count
	}{
		"settled": {price, false, count{payments.Settled: 1}},
		"failed":  {price, true, count{payments.Failed: 1}},
		"refused": {price - 1, false, count{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, c.has)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			p.set(func(ctx context.Context, at point) error {
				leave() // at the first step; all others come after
				_, has := ctx.Deadline()
				switch at.step {
				case release, confirm, fail:
					if has || ctx.Err() != nil {
						t.Errorf("%s can be interrupted", at)
					}
				default:
					if !has || ctx.Err() != nil {
						t.Errorf("%s has no deadline of its own", at)
					}
				}
				if c.spend && at == (point{hold, true}) {
					testnet.spend(t, g, price)
				}
				return nil
			})
			if got := class(p.Pay(ctx, order, payment)); got != "gone" && got != name {
				t.Errorf("the answer is %s", got)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			p.agree(t, 0).wants(t, c.want)
		})
	}
}
