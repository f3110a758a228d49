package payments_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

var errDead = errors.New("the process is dead")

// life lets a process pass n points; from then on it reaches nobody and changes
// nothing any more. It ends by an error or by a panic.
type life struct {
	n      int64
	panics bool
	passed atomic.Int64
}

func (l *life) hook(context.Context, point) error {
	if l.passed.Add(1) <= l.n {
		return nil
	}
	if l.panics {
		panic(errDead)
	}
	return errDead
}

// lives are all ends that a process can find during work, which is given a hook.
func lives(t *testing.T, panics []bool, work func(hook func(context.Context, point) error)) (all []*life) {
	t.Helper()
	whole := &life{n: 1 << 60}
	work(whole.hook)
	for n := range whole.passed.Load() {
		for _, p := range panics {
			if p && n%2 == 1 {
				continue // after a call, which is before the next one
			}
			all = append(all, &life{n: n, panics: p})
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d points", len(all))
	}
	return all
}

func (l *life) String() string {
	return fmt.Sprintf("point %d, panics %t", l.n, l.panics)
}

// killed is a sale by a process that dies in it.
type killed struct {
	*world
	guest   guest
	order   payments.Order
	payment x402.Payment
	class   string // of the answer, if there was one
}

// kill lets a process sell one seat of ada's opera until its life ends.
func kill(t *testing.T, g guest, hook func(context.Context, point) error, changes ...func(*x402.Payment)) *killed {
	t.Helper()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	k := &killed{world: w, guest: g, order: w.order(t, "ada", "opera", g)}
	k.payment = p.pays(t, g, k.order, changes...)
	p.set(hook)
	func() {
		defer func() { _ = recover() }()
		k.class = class(p.call(t.Context(), k.order, k.payment))
	}()
	p.stop(t)
	return k
}

// Killed at any point, with the guest still there: after a restart the payment
// is finished, or forgotten; and the same call again ends in one booking.
func TestKilledWhileSelling(t *testing.T) {
	t.Parallel()
	g := testnet.guest(t, 1000*x402.USD)
	for _, l := range lives(t, []bool{false, true}, func(hook func(context.Context, point) error) { kill(t, g, hook) }) {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			k := kill(t, g, l.hook)
			p := k.start(t)
			p.reconcile(t) // at once, when nobody knows yet who is dead
			p.agree(t, 0)
			k.clock.Advance(2 * time.Minute) // past lease and handover
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0)
			honest(t, k.class, moved(t, k.payment.Payload.Authorization))
			if got := class(p.call(t.Context(), again(t, k.order), k.payment)); got != "settled" {
				t.Errorf("the call again is %s", got)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

// Killed at any point, and found by the next process when the authorization has
// expired: what had moved by then is booked, all else is free again.
func TestKilledAndExpired(t *testing.T) {
	g := testnet.guest(t, 1000*x402.USD)
	all := lives(t, []bool{false}, func(hook func(context.Context, point) error) { kill(t, g, hook) })
	dead := make([]*killed, len(all))
	for i, l := range all {
		dead[i] = kill(t, g, l.hook, window(t, -time.Hour, 10*time.Minute))
	}
	testnet.advance(t, 11*time.Minute)
	for i, l := range all {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			k := dead[i]
			charged := moved(t, k.payment.Payload.Authorization)
			k.clock.Advance(12 * time.Minute)
			p := k.start(t)
			p.reconcile(t)
			p.reconcile(t)
			n := p.finished(t, 0)
			if moved(t, k.payment.Payload.Authorization) != charged || charged != (n[payments.Settled] == 1) || p.taken(t, "opera") != n[payments.Settled] {
				t.Errorf("charged: %t, books: %v, seats taken: %d", charged, n, p.taken(t, "opera"))
			}
			honest(t, k.class, charged)
		})
	}
}

// Killed between hold and settlement, and then killed again at any point of the
// reconciliation: in the end it is the same.
func TestKilledWhileReconciling(t *testing.T) {
	t.Parallel()
	g := testnet.guest(t, 1000*x402.USD)
	// found is a world in which a payment waits to be settled.
	found := func(t *testing.T) *killed {
		k := kill(t, g, once(point{settle, false}, func() error { panic(errDead) }))
		k.clock.Advance(2 * time.Minute)
		return k
	}
	reconcile := func(t *testing.T, k *killed, hook func(context.Context, point) error) {
		p := k.start(t)
		p.set(hook)
		defer func() {
			_ = recover()
			p.stop(t)
		}()
		_ = p.Reconcile(t.Context())
	}
	for _, l := range lives(t, []bool{false}, func(hook func(context.Context, point) error) { reconcile(t, found(t), hook) }) {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			k := found(t)
			reconcile(t, k, l.hook)
			p := k.start(t)
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
			if got := class(p.call(t.Context(), again(t, k.order), k.payment)); got != "settled" {
				t.Errorf("the call again is %s", got)
			}
		})
	}
}
