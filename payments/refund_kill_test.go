package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// cancelled is a cancellation by a process that dies in it.
type cancelled struct {
	*world
	guest guest
	paid  payments.Payment
}

// killRefund lets a process cancel a paid RSVP of ada's opera until its life
// ends. The guest has nothing but what comes back.
func killRefund(t *testing.T, hook func(context.Context, point) error) *cancelled {
	t.Helper()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	c := &cancelled{world: w, guest: testnet.guest(t, price)}
	c.paid = p.buy(t, "opera", c.guest)
	p.set(hook)
	func() {
		defer func() { _ = recover() }()
		_, _ = p.undo(t.Context(), t, c.paid)
	}()
	p.stop(t)
	return c
}

// back checks that the guest has the ticket or the money, and returns whether
// it is the money.
func (c *cancelled) back(t *testing.T, p *process) bool {
	t.Helper()
	r, err := p.books(t, "ada").RSVP(t.Context(), c.paid.RSVPID)
	if err != nil {
		t.Fatal(err)
	}
	has := testnet.balance(t, c.guest.Address())
	refunded := r.Status == store.RSVPRefunded
	if want := map[bool]x402.Amount{true: price}[refunded]; has != want || !refunded && r.Status != store.RSVPConfirmed {
		t.Errorf("the RSVP is %s and the guest has %s", r.Status, has)
	}
	return refunded
}

// Killed at any point of a cancellation: after a restart it has not begun, or
// it is finished without anybody asking for it. Cancelled again, the money comes
// back, once.
func TestKilledWhileRefunding(t *testing.T) {
	t.Parallel()
	begun := 0
	for _, l := range lives(t, []bool{false, true}, func(hook func(context.Context, point) error) { killRefund(t, hook) }) {
		t.Run(l.String(), func(t *testing.T) {
			c := killRefund(t, l.hook)
			p := c.start(t)
			p.reconcile(t) // at once, when nobody knows yet who is dead
			p.agree(t, 0)
			c.clock.Advance(2 * time.Minute) // past handover
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0)
			if c.back(t, p) {
				begun++
			}
			if back, err := p.undo(t.Context(), t, c.paid); err != nil || back.State != payments.Settled {
				t.Errorf("cancelled again: %s, %v", back.State, err)
			}
			p.reconcile(t)
			p.finished(t, 0)
			if !c.back(t, p) {
				t.Error("the money is not back")
			}
		})
	}
	if begun < 10 {
		t.Errorf("only %d were begun", begun)
	}
}

// The same, found by the next process when the refund's authorization has
// expired: what had not moved by then moves by another one.
func TestKilledWhileRefundingAndExpired(t *testing.T) {
	all := lives(t, []bool{false}, func(hook func(context.Context, point) error) { killRefund(t, hook) })
	dead := make([]*cancelled, len(all))
	for i, l := range all {
		dead[i] = killRefund(t, l.hook)
	}
	testnet.advance(t, 11*time.Minute)
	anew := 0
	for i, l := range all {
		t.Run(l.String(), func(t *testing.T) {
			c := dead[i]
			c.clock.Advance(11 * time.Minute)
			p := c.start(t)
			h := p.books(t, "ada")
			before, _ := h.Refund(t.Context(), c.paid.ID)
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0)
			c.back(t, p)
			if after, err := h.Refund(t.Context(), c.paid.ID); err == nil && before.State == payments.Settling && before.Nonce != after.Nonce {
				anew++
			}
		})
	}
	if anew < 3 {
		t.Errorf("only %d were signed anew", anew)
	}
}

// Killed after signing, and then again at any point of the reconciliation.
func TestKilledWhileReconcilingRefunds(t *testing.T) {
	t.Parallel()
	found := func(t *testing.T) *cancelled {
		c := killRefund(t, once(point{settle, false}, func() error { panic(errDead) }))
		c.clock.Advance(2 * time.Minute)
		return c
	}
	reconcile := func(t *testing.T, c *cancelled, hook func(context.Context, point) error) {
		p := c.start(t)
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
			c := found(t)
			reconcile(t, c, l.hook)
			p := c.start(t)
			c.clock.Advance(2 * time.Minute)
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0)
			if !c.back(t, p) {
				t.Error("the money is not back")
			}
		})
	}
}
