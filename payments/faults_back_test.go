package payments_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// Faults on the ways back: where a claim is released, a payment fails, or what a
// dead process has left is cleared away. Each case breaks one call once.
type wayBack struct {
	name string
	at   point
	want map[string]string // by kind of fault
}

func waysBack(steps map[step]string, onPanic string) (all []wayBack) {
	for s, want := range steps {
		for _, after := range []bool{false, true} {
			at := point{s, after}
			all = append(all, wayBack{fmt.Sprint("error ", at), at, map[string]string{"error": want}},
				wayBack{fmt.Sprint("panic ", at), at, map[string]string{"panic": onPanic}})
		}
	}
	return all
}

// both is the fault, and what the answer to it should be.
func (w wayBack) both() (hook func(context.Context, point) error, want string) {
	if want, ok := w.want["panic"]; ok {
		return once(w.at, func() error { panic("at the disco") }), want
	}
	return once(w.at, func() error { return errOutage }), w.want["error"]
}

// The payer has too little: the claim is to be released.
func TestFaultsOfRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 0)
	for _, c := range waysBack(map[step]string{release: "refused"}, "undecided") {
		t.Run(c.name, func(t *testing.T) {
			g := testnet.guest(t, price-1)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			hook, want := c.both()
			p.set(hook)
			if got := class(p.call(t.Context(), order, payment)); got != want {
				t.Errorf("the answer is %s, want %s", got, want)
			}
			p.set(nil)
			w.clock.Advance(2 * time.Minute)
			p.reconcile(t)
			if p.isClaimed(t, payment) {
				t.Error("claimed still")
			}
			if _, err := testnet.chain.Fund(t.Context(), [20]byte(g.Address()), 1); err != nil {
				t.Fatal(err)
			}
			if got := class(p.call(t.Context(), order, payment)); got != "settled" {
				t.Errorf("with enough money it is %s", got)
			}
		})
	}
	p.reconcile(t)
	p.finished(t, 0)
}

// The payer moves the money away in the last moment: the seats are to be freed.
func TestFaultsOfFailure(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	cases := waysBack(map[step]string{fail: "settling"}, "settling")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order, window(t, -time.Hour, 4*time.Minute))
			hook, want := c.both()
			spent := once(point{hold, true}, func() error { testnet.spend(t, g, price); return nil })
			p.set(func(ctx context.Context, at point) error {
				if err := spent(ctx, at); err != nil {
					return err
				}
				return hook(ctx, at)
			})
			if got := class(p.call(t.Context(), order, payment)); got != want {
				t.Errorf("the answer is %s, want %s", got, want)
			}
			p.set(nil)
			w.clock.Advance(2 * time.Minute)
			p.reconcile(t) // it would not settle now, but its window is open
			if got := class(p.call(t.Context(), order, payment)); got != "settling" && got != "failed" {
				t.Errorf("meanwhile it is %s", got)
			}
			testnet.advance(t, 5*time.Minute)
			p.reconcile(t)
			if got := class(p.call(t.Context(), order, payment)); got != "failed" {
				t.Errorf("at last it is %s", got)
			}
			if p.taken(t, "opera") != 0 {
				t.Error("the seat is taken")
			}
		})
	}
	p.finished(t, 0).wants(t, count{payments.Failed: len(cases)})
}

// A process has died between its claim and its hold: the claim is to be released.
func TestFaultsOfReaping(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 0)
	for _, c := range waysBack(map[step]string{lookUp: "", find: "", abandon: "", release: "", openLedger: ""}, "") {
		t.Run(c.name, func(t *testing.T) {
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			p.set(once(point{head, false}, func() error { panic("dead") }))
			if got := class(p.call(t.Context(), order, payment)); got != "undecided" || !p.isClaimed(t, payment) {
				t.Fatalf("it is %s", got)
			}
			w.clock.Advance(2 * time.Minute)
			hook, _ := c.both()
			p.set(hook)
			_ = p.Reconcile(t.Context()) // the fault is its error, or in the log
			p.set(nil)
			p.reconcile(t)
			if p.isClaimed(t, payment) {
				t.Error("claimed still")
			}
			if got := class(p.call(t.Context(), order, payment)); got != "settled" {
				t.Errorf("at last it is %s", got)
			}
		})
	}
	p.reconcile(t)
	p.finished(t, 0)
}

// Two faults in a row leave it open whether the seats are held. Whoever says
// "nothing was charged" then is wrong, for the reconciler goes on with it.
func TestHeldOrNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, 10*x402.USD)
	for name, at := range map[string]point{"held": {hold, true}, "not held": {hold, false}} {
		t.Run(name, func(t *testing.T) {
			event := newID(t)
			p.event(t, "ada", event, 1)
			order := w.order(t, "ada", event, g)
			payment := p.pays(t, g, order)
			p.set(func(_ context.Context, now point) error {
				if now == at || now == (point{lookUp, false}) {
					return errOutage
				}
				return nil
			})
			if got := class(p.call(t.Context(), order, payment)); got != "undecided" {
				t.Errorf("the answer is %s", got)
			}
			p.set(nil)
			w.clock.Advance(2 * time.Minute)
			p.reconcile(t)
			if held := at.after; moved(t, payment.Payload.Authorization) != held {
				t.Errorf("held: %t, and charged: %t", held, !held)
			}
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "settled" {
				t.Errorf("at last it is %s", got)
			}
		})
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 2})
}
