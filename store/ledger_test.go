package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// wantPayment is what the ledger has of payment n when it is in this state.
func wantPayment(n, seats int, state payments.State, change func(*payments.Payment)) payments.Payment {
	p := paid(n, seats)
	p.RSVPID = fmt.Sprintf("rsvp-%d", n)
	p.State, p.Open = state, state == payments.Settling
	p.CreatedAt, p.UpdatedAt = start, start
	if !p.Open {
		p.Signature = nil
	}
	if change != nil {
		change(&p)
	}
	return p
}

// check compares a payment, its RSVP and the seats of the event opera.
func (h *host) check(t *testing.T, want payments.Payment, status store.RSVPStatus, taken int) {
	t.Helper()
	got, err := h.Payment(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payment (-want +got):\n%s", diff)
	}
	r, err := h.RSVP(t.Context(), want.RSVPID)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != status || r.Payer != want.Payer || r.Amount != want.Amount {
		t.Errorf("RSVP %+v, want it %s", r, status)
	}
	if diff := cmp.Diff(&want, r.Payment); diff != "" {
		t.Errorf("payment of the RSVP (-want +got):\n%s", diff)
	}
	if n := h.taken(t, "opera"); n != taken {
		t.Errorf("%d seats taken, want %d", n, taken)
	}
}

func TestHold(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(5))
	p := paid(1, 2)
	p.State, p.Open, p.CreatedAt, p.Reason = payments.Owed, false, time.Unix(1, 0), "made up" // not for the caller to say
	if err := h.Hold(t.Context(), p, booking("opera", 1, 2)); err != nil {
		t.Fatal(err)
	}
	h.check(t, wantPayment(1, 2, payments.Settling, nil), store.RSVPPending, 2)
	if _, err := h.Payment(t.Context(), "pay-2"); !errors.Is(err, payments.ErrNoPayment) {
		t.Errorf("no payment: %v", err)
	}

	t.Run("repeated", func(t *testing.T) {
		if err := h.Hold(t.Context(), paid(1, 2), booking("opera", 1, 2)); err != nil {
			t.Error(err)
		}
		h.check(t, wantPayment(1, 2, payments.Settling, nil), store.RSVPPending, 2)
	})
	t.Run("by the same payer", func(t *testing.T) {
		p := paid(2, 1)
		p.Payer = address(2)
		if err := h.Hold(t.Context(), p, booking("opera", 2, 1)); !errors.Is(err, store.ErrAlreadyBooked) {
			t.Error(err)
		}
	})
	t.Run("of the same authorization", func(t *testing.T) {
		h.event(t, "another", priced(0))
		p := paid(1, 1)
		p.ID = "pay-2"
		if err := h.Hold(t.Context(), p, booking("another", 2, 1)); !errors.Is(err, payments.ErrHeld) {
			t.Error(err)
		}
		if n := h.taken(t, "another"); n != 0 {
			t.Errorf("%d seats taken", n)
		}
	})
	t.Run("of the same payment for another RSVP", func(t *testing.T) {
		if err := h.Hold(t.Context(), paid(1, 1), booking("opera", 3, 1)); !errors.Is(err, payments.ErrHeld) {
			t.Error(err)
		}
	})
	for name, change := range map[string]func(*payments.Payment){
		"without id":       func(p *payments.Payment) { p.ID = "" },
		"without payer":    func(p *payments.Payment) { p.Payer = x402.Address{} },
		"of a minus":       func(p *payments.Payment) { p.Amount = -1 },
		"after all blocks": func(p *payments.Payment) { p.Since = 1 << 63 },
		"for another RSVP": func(p *payments.Payment) { p.RSVPID = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			p := paid(4, 1)
			change(&p)
			if err := h.Hold(t.Context(), p, booking("opera", 4, 1)); !errors.Is(err, store.ErrInvalid) {
				t.Error(err)
			}
		})
	}
	h.check(t, wantPayment(1, 2, payments.Settling, nil), store.RSVPPending, 2)
}

// The ways between the states, and that no others lead anywhere.
func TestOutcomes(t *testing.T) {
	const late = time.Minute
	confirm := func(tx int) func(*host, *testing.T) {
		return func(h *host, t *testing.T) { h.told(t)(h.Confirm(t.Context(), "pay-1", moved(tx))) }
	}
	seen := func(tx int) func(*host, *testing.T) { // not for good yet
		return func(h *host, t *testing.T) {
			h.told(t)(h.Confirm(t.Context(), "pay-1", payments.Settlement{Transaction: hash(tx), Block: uint64(tx)}))
		}
	}
	back := func(h *host, t *testing.T) { h.told(t)(h.Reopen(t.Context(), "pay-1")) }
	fail := func(reason x402.Reason, final bool) func(*host, *testing.T) {
		return func(h *host, t *testing.T) { h.told(t)(h.Fail(t.Context(), "pay-1", reason, final)) }
	}
	after := func(h *host, _ *testing.T) { h.clock.Advance(late) }
	others := func(seats int) func(*host, *testing.T) {
		return func(h *host, t *testing.T) { h.hold(t, "opera", 2, seats) }
	}
	same := func(change func(*payments.Payment, *payments.Booking)) func(*host, *testing.T) {
		return func(h *host, t *testing.T) {
			p, b := paid(2, 1), booking("opera", 2, 1)
			change(&p, &b)
			if err := h.Hold(t.Context(), p, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	type steps []func(*host, *testing.T)
	failed := func(open bool) func(*payments.Payment) {
		return func(p *payments.Payment) {
			p.Reason, p.Open = "why", open
			if open {
				p.Signature = paid(1, 2).Signature
			}
		}
	}
	tx := func(n int) func(*payments.Payment) {
		return func(p *payments.Payment) { p.Transaction, p.Block = hash(n), uint64(n) }
	}
	open := func(n int) func(*payments.Payment) {
		return func(p *payments.Payment) {
			tx(n)(p)
			p.Open, p.Signature = true, paid(1, 2).Signature
		}
	}
	owed := func(p *payments.Payment) { p.Transaction, p.Block, p.Reason = hash(7), 7, "why" }

	for name, c := range map[string]struct {
		steps  steps
		state  payments.State
		change func(*payments.Payment)
		status store.RSVPStatus
		taken  int
	}{
		"confirmed": {
			steps{after, confirm(7)}, payments.Settled, func(p *payments.Payment) {
				p.Transaction, p.Block, p.UpdatedAt = hash(7), 7, start.Add(late)
			}, store.RSVPConfirmed, 2},
		"confirmed twice":            {steps{confirm(7), after, confirm(8)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"confirmed, then failed":     {steps{confirm(7), after, fail("why", true)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"failed, open":               {steps{fail("why", false)}, payments.Failed, failed(true), store.RSVPFailed, 0},
		"failed, final":              {steps{fail("why", true)}, payments.Failed, failed(false), store.RSVPFailed, 0},
		"failed twice":               {steps{fail("why", false), after, fail("else", false)}, payments.Failed, failed(true), store.RSVPFailed, 0},
		"failed for good, then open": {steps{fail("why", true), after, fail("else", false)}, payments.Failed, failed(false), store.RSVPFailed, 0},
		"failed, then for good": {
			steps{fail("why", false), after, fail("else", true)}, payments.Failed, func(p *payments.Payment) {
				p.Reason, p.UpdatedAt = "why", start.Add(late)
			}, store.RSVPFailed, 0},
		"failed, confirmed":           {steps{fail("why", false), confirm(7)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"failed for good, confirmed":  {steps{fail("why", true), confirm(7)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"failed, confirmed, failed":   {steps{fail("why", false), confirm(7), fail("else", true)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"failed, confirmed, room":     {steps{fail("why", false), others(1), confirm(7)}, payments.Settled, tx(7), store.RSVPConfirmed, 3},
		"failed, confirmed, no room":  {steps{fail("why", false), others(2), confirm(7)}, payments.Owed, owed, store.RSVPFailed, 2},
		"owed stays owed":             {steps{fail("why", false), others(2), confirm(7), confirm(8), fail("else", true)}, payments.Owed, owed, store.RSVPFailed, 2},
		"failed, confirmed, no event": {steps{fail("why", false), func(h *host, t *testing.T) { h.cancel(t, "opera") }, confirm(7)}, payments.Owed, owed, store.RSVPFailed, 0},
		"failed, confirmed, over": {
			steps{fail("why", false), func(h *host, _ *testing.T) { h.clock.Advance(48 * time.Hour) }, confirm(7)},
			payments.Settled, func(p *payments.Payment) {
				p.Transaction, p.Block, p.UpdatedAt = hash(7), 7, start.Add(48*time.Hour)
			}, store.RSVPConfirmed, 2},
		"failed, confirmed, payer booked again": {
			steps{fail("why", false), same(func(p *payments.Payment, _ *payments.Booking) { p.Payer = address(2) }), confirm(7)},
			payments.Owed, owed, store.RSVPFailed, 1},
		"failed, confirmed, email booked again": {
			steps{fail("why", false), same(func(_ *payments.Payment, b *payments.Booking) { b.Email = "GUEST1@example.com" }), confirm(7)},
			payments.Owed, owed, store.RSVPFailed, 1},
		"seen":                          {steps{seen(7)}, payments.Settled, open(7), store.RSVPConfirmed, 2},
		"seen twice, then for good":     {steps{seen(7), seen(8), confirm(9), seen(5)}, payments.Settled, tx(9), store.RSVPConfirmed, 2},
		"seen, then failed":             {steps{seen(7), fail("why", true)}, payments.Settled, open(7), store.RSVPConfirmed, 2},
		"seen, taken back":              {steps{seen(7), back, back}, payments.Settling, nil, store.RSVPPending, 2},
		"seen, taken back, seen again":  {steps{seen(7), back, seen(8)}, payments.Settled, open(8), store.RSVPConfirmed, 2},
		"seen, taken back, failed":      {steps{seen(7), back, fail("why", true)}, payments.Failed, failed(false), store.RSVPFailed, 0},
		"for good is not taken back":    {steps{confirm(7), back}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"nothing to take back":          {steps{back}, payments.Settling, nil, store.RSVPPending, 2},
		"nothing to take back, failed":  {steps{fail("why", false), back}, payments.Failed, failed(true), store.RSVPFailed, 0},
		"owed, taken back":              {steps{fail("why", false), others(2), seen(7), back}, payments.Failed, failed(true), store.RSVPFailed, 2},
		"owed, taken back, owed":        {steps{fail("why", false), others(2), seen(9), back, confirm(7)}, payments.Owed, owed, store.RSVPFailed, 2},
		"closed stays closed when seen": {steps{fail("why", true), seen(7)}, payments.Settled, tx(7), store.RSVPConfirmed, 2},
		"failed, others failed, confirmed": {
			steps{fail("why", false), others(2), func(h *host, t *testing.T) { must(t)(h.Fail(t.Context(), "pay-2", "", true)) }, confirm(7)},
			payments.Settled, tx(7), store.RSVPConfirmed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := MustOpen(t)
			h.event(t, "opera", priced(3))
			h.hold(t, "opera", 1, 2)
			for _, step := range c.steps {
				step(h, t)
			}
			h.check(t, wantPayment(1, 2, c.state, c.change), c.status, c.taken)
			h.check(t, wantPayment(1, 2, c.state, c.change), c.status, c.taken) // reading changes nothing
			reopen(t, h).check(t, wantPayment(1, 2, c.state, c.change), c.status, c.taken)
		})
	}
}

// told fails the test unless an outcome is told as it is in the file.
func (h *host) told(t *testing.T) func(payments.Payment, error) {
	return func(got payments.Payment, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want, err := h.Payment(t.Context(), got.ID)
		want.Booked = got.Booked // which is not kept
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("told is not what is kept: %v, %s", err, diff)
		}
	}
}

func TestOutcomesReturnThePayment(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(3))
	h.hold(t, "opera", 1, 2)
	h.hold(t, "opera", 2, 1)
	for name, call := range map[string]func() (payments.Payment, error){
		"confirm":      func() (payments.Payment, error) { return h.Confirm(t.Context(), "pay-1", moved(1)) },
		"reopen":       func() (payments.Payment, error) { return h.Reopen(t.Context(), "pay-1") },
		"fail":         func() (payments.Payment, error) { return h.Fail(t.Context(), "pay-2", "why", false) },
		"fail settled": func() (payments.Payment, error) { return h.Fail(t.Context(), "pay-1", "why", false) },
	} {
		got, err := call()
		if err != nil {
			t.Fatal(err)
		}
		want, err := h.Payment(t.Context(), got.ID)
		want.Booked = name == "confirm"
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, %s", name, err, diff)
		}
	}
	if _, err := h.Confirm(t.Context(), "none", moved(1)); !errors.Is(err, payments.ErrNoPayment) {
		t.Errorf("confirm nothing: %v", err)
	}
	if _, err := h.Fail(t.Context(), "none", "", true); !errors.Is(err, payments.ErrNoPayment) {
		t.Errorf("fail nothing: %v", err)
	}
	if _, err := h.Reopen(t.Context(), "none"); !errors.Is(err, payments.ErrNoPayment) {
		t.Errorf("reopen nothing: %v", err)
	}
}

func TestHoldAfterTheEnd(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(0))
	h.hold(t, "opera", 1, 1)
	must(t)(h.Confirm(t.Context(), "pay-1", moved(1)))
	h.hold(t, "opera", 1, 1) // the seats are held still
	h.hold(t, "opera", 2, 1)
	must(t)(h.Fail(t.Context(), "pay-2", "why", false))
	if err := h.Hold(t.Context(), paid(2, 1), booking("opera", 2, 1)); !errors.Is(err, payments.ErrHeld) {
		t.Errorf("a failed payment held again: %v", err)
	}
	// The guest may try again with another payment.
	p, b := paid(3, 1), booking("opera", 3, 1)
	p.Payer, b.Email = address(3), "guest2@example.com"
	if err := h.Hold(t.Context(), p, b); err != nil {
		t.Errorf("another payment: %v", err)
	}
}

func TestAbandon(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(0))
	for range 2 {
		if err := h.Abandon(t.Context(), "pay-1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := reopen(t, h).Hold(t.Context(), paid(1, 1), booking("opera", 1, 1)); !errors.Is(err, payments.ErrAbandoned) {
		t.Errorf("held after all: %v", err)
	}
	h.hold(t, "opera", 2, 1)
	for _, outcome := range []func(){
		func() {},
		func() { must(t)(h.Fail(t.Context(), "pay-2", "", true)) },
		func() { must(t)(h.Confirm(t.Context(), "pay-2", moved(2))) },
	} {
		outcome()
		if err := h.Abandon(t.Context(), "pay-2"); !errors.Is(err, payments.ErrHeld) {
			t.Errorf("abandoned a row: %v", err)
		}
	}
	if err := h.Abandon(t.Context(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("abandoned no id: %v", err)
	}
	if n := h.taken(t, "opera"); n != 1 {
		t.Errorf("%d seats taken, want 1", n)
	}
}

func TestExtremeValues(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(0))
	want := payments.Payment{
		ID: "p", RSVPID: "r", Network: x402.EVM(1), Payer: address(1), Amount: 1<<63 - 1, Since: 1<<63 - 1,
		ValidBefore: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	if err := h.Hold(t.Context(), want, payments.Booking{RSVPID: "r", EventID: "opera", Seats: 1}); err != nil {
		t.Fatal(err)
	}
	want.State, want.Open, want.CreatedAt, want.UpdatedAt = payments.Settling, true, start, start
	got, err := h.Payment(t.Context(), "p")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// An authorization that was never used may pay again after its payment was
// closed. It is one transfer still, and only one payment can have it.
func TestAuthorizationComesBack(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(0))
	h.hold(t, "opera", 1, 2)
	again, b := paid(1, 2), booking("opera", 1, 2)
	again.ID, b.RSVPID = "pay-again", "rsvp-again"
	must(t)(h.Fail(t.Context(), "pay-1", "why", false))
	if err := h.Hold(t.Context(), again, b); !errors.Is(err, payments.ErrHeld) {
		t.Errorf("while it may still be used for the first: %v", err)
	}
	must(t)(h.Fail(t.Context(), "pay-1", "why", true))
	if err := h.Hold(t.Context(), again, b); err != nil {
		t.Fatal(err)
	}
	first := wantPayment(1, 2, payments.Failed, func(p *payments.Payment) { p.Reason = "why" })
	for range 2 {
		if p, err := h.Confirm(t.Context(), "pay-1", moved(7)); err != nil || p.State != payments.Failed {
			t.Errorf("the first is %s, %v", p.State, err)
		}
		h.check(t, first, store.RSVPFailed, 2)
		if p, err := h.Confirm(t.Context(), "pay-again", moved(7)); err != nil || p.State != payments.Settled {
			t.Errorf("the second is %s, %v", p.State, err)
		}
		h.check(t, first, store.RSVPFailed, 2)
	}
}
