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

// signed is the refund of payment n, authorized with nonce hash(nonce).
func signed(tb testing.TB, h *host, n, nonce int) payments.Payment {
	tb.Helper()
	r, err := h.Refund(tb.Context(), fmt.Sprintf("pay-%d", n))
	if err != nil {
		tb.Fatal(err)
	}
	r.Payer, r.Nonce, r.Signature, r.Since = address(1<<40), hash(nonce), x402.Signature{9, byte(nonce)}, 7
	r.ValidAfter, r.ValidBefore = start.Add(-time.Minute), start.Add(5*time.Minute)
	return r
}

// refunding is a Host that owes the money of payment 1.
func refunding(t *testing.T) *host {
	t.Helper()
	h := MustOpen(t)
	h.event(t, "opera", priced(3))
	h.hold(t, "opera", 1, 2)
	must(t)(h.Confirm(t.Context(), "pay-1", moved(7)))
	must(t)(h.CancelRSVP(t.Context(), "rsvp-1", h.cleared(t)))
	return h
}

func TestRefundOutcomes(t *testing.T) {
	type step = func(*host, *testing.T)
	sign := func(nonce int) step {
		return func(h *host, t *testing.T) { must(t)(h.Sign(t.Context(), signed(t, h, 1, nonce))) }
	}
	confirm := func(tx int) step {
		return func(h *host, t *testing.T) { must(t)(h.ConfirmRefund(t.Context(), "pay-1", hash(tx))) }
	}
	fail := func(nonce int, reason x402.Reason, final bool) step {
		return func(h *host, t *testing.T) { must(t)(h.FailRefund(t.Context(), "pay-1", hash(nonce), reason, final)) }
	}
	later := func(h *host, _ *testing.T) { h.clock.Advance(time.Minute) }
	postpone := func(reason x402.Reason) step {
		return func(h *host, t *testing.T) {
			must(t)(h.Postpone(t.Context(), "pay-1", reason, h.clock.Now().Add(time.Hour)))
		}
	}
	attempt := func(nonce int, change func(*payments.Payment)) func(*payments.Payment) {
		return func(r *payments.Payment) {
			r.Payer, r.Nonce, r.Since = address(1<<40), hash(nonce), 7
			r.ValidAfter, r.ValidBefore = start.Add(-time.Minute), start.Add(5*time.Minute)
			if r.State == payments.Settling {
				r.Signature = x402.Signature{9, byte(nonce)}
			}
			if change != nil {
				change(r)
			}
		}
	}
	for name, c := range map[string]struct {
		steps  []step
		state  payments.State
		change func(*payments.Payment)
		due    bool
	}{
		"owed":                   {nil, payments.Owed, nil, true},
		"signed":                 {[]step{sign(1)}, payments.Settling, attempt(1, nil), true},
		"signed once":            {[]step{sign(1), later, sign(2)}, payments.Settling, attempt(1, nil), true},
		"failed for now":         {[]step{sign(1), later, fail(1, "why", false)}, payments.Settling, attempt(1, func(r *payments.Payment) { r.Reason = "why" }), true},
		"the first reason stays": {[]step{sign(1), fail(1, "why", false), fail(1, "else", true)}, payments.Owed, attempt(1, func(r *payments.Payment) { r.Reason = "why" }), true},
		"failed for good":        {[]step{sign(1), fail(1, "why", true)}, payments.Owed, attempt(1, func(r *payments.Payment) { r.Reason = "why" }), true},
		"signed anew":            {[]step{sign(1), fail(1, "why", true), sign(2)}, payments.Settling, attempt(2, nil), true},
		"another's failure":      {[]step{sign(1), fail(1, "why", true), sign(2), fail(1, "why", true)}, payments.Settling, attempt(2, nil), true},
		"never signed, failed":   {[]step{fail(0, "why", true)}, payments.Owed, nil, true},
		"settled":                {[]step{sign(1), confirm(8)}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"settled twice":          {[]step{sign(1), confirm(8), later, confirm(9)}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"settled, then failed":   {[]step{sign(1), confirm(8), fail(1, "why", true)}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"settled, then signed":   {[]step{sign(1), confirm(8), sign(2)}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"settled, postponed":     {[]step{sign(1), confirm(8), postpone("why")}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"settled after all":      {[]step{sign(1), fail(1, "why", true), confirm(8)}, payments.Settled, attempt(1, func(r *payments.Payment) { r.Transaction = hash(8) }), false},
		"postponed":              {[]step{postpone("why")}, payments.Owed, func(r *payments.Payment) { r.Reason = "why" }, false},
		"postponed twice":        {[]step{postpone("why"), postpone("")}, payments.Owed, func(r *payments.Payment) { r.Reason = "why" }, false},
		"settling, postponed":    {[]step{sign(1), postpone("why")}, payments.Settling, attempt(1, nil), false},
		"cancelled again":        {[]step{sign(1), func(h *host, t *testing.T) { must(t)(h.CancelRSVP(t.Context(), "rsvp-1", 0)) }}, payments.Settling, attempt(1, nil), true},
		"event cancelled":        {[]step{sign(1), func(h *host, t *testing.T) { h.cancel(t, "opera") }}, payments.Settling, attempt(1, nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := refunding(t)
			for _, step := range c.steps {
				step(h, t)
			}
			p := paid(1, 2)
			want := payments.Payment{ID: "pay-1", RSVPID: "rsvp-1", State: c.state, Open: c.state != payments.Settled, X402Version: 2,
				Network: p.Network, Asset: p.Asset, PayTo: p.Payer, Amount: p.Amount, CreatedAt: start, UpdatedAt: start}
			if c.change != nil {
				c.change(&want)
			}
			for _, h := range []*host{h, reopen(t, h)} {
				got, err := h.Refund(t.Context(), "pay-1")
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				r, err := h.RSVP(t.Context(), "rsvp-1")
				if diff := cmp.Diff(&want, r.Refund); diff != "" || err != nil {
					t.Errorf("of the RSVP: %v (-want +got):\n%s", err, diff)
				}
				status := map[bool]store.RSVPStatus{true: store.RSVPCancelled, false: store.RSVPRefunded}[want.Open]
				if r.Status != status || r.Payment.State != payments.Settled {
					t.Errorf("the RSVP is %s, its payment %s", r.Status, r.Payment.State)
				}
				ids, err := h.Due(t.Context(), 9)
				if err != nil || (len(ids) == 1) != c.due {
					t.Errorf("due: %v, %v", ids, err)
				}
				cleared, next, err := h.Clear(t.Context())
				if err != nil || cleared == want.Open || cleared != next.IsZero() {
					t.Errorf("cleared: %t, next %s, %v", cleared, next, err)
				}
			}
		})
	}
}

func TestRefundOfNothing(t *testing.T) {
	h := refunding(t)
	h.hold(t, "opera", 2, 1)
	must(t)(h.Confirm(t.Context(), "pay-2", moved(8)))
	for _, id := range []string{"none", "pay-2"} {
		for name, call := range map[string]func() error{
			"read":     func() error { _, err := h.Refund(t.Context(), id); return err },
			"sign":     func() error { r := signed(t, h, 1, 1); r.ID = id; _, err := h.Sign(t.Context(), r); return err },
			"confirm":  func() error { _, err := h.ConfirmRefund(t.Context(), id, hash(9)); return err },
			"fail":     func() error { _, err := h.FailRefund(t.Context(), id, hash(9), "", true); return err },
			"postpone": func() error { _, err := h.Postpone(t.Context(), id, "", start); return err },
		} {
			if err := call(); !errors.Is(err, payments.ErrNoPayment) {
				t.Errorf("%s %s: %v", name, id, err)
			}
		}
	}
	for name, change := range map[string]func(*payments.Payment){
		"another payee":  func(r *payments.Payment) { r.PayTo = address(9) },
		"another amount": func(r *payments.Payment) { r.Amount++ },
		"no payer":       func(r *payments.Payment) { r.Payer = x402.Address{} },
		"no signature":   func(r *payments.Payment) { r.Signature = nil },
		"after all":      func(r *payments.Payment) { r.Since = 1 << 63 },
	} {
		r := signed(t, h, 1, 1)
		change(&r)
		if _, err := h.Sign(t.Context(), r); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("sign with %s: %v", name, err)
		}
	}
}

func TestCancelRSVP(t *testing.T) {
	hour := func(h *host, n int) { h.clock.Advance(time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		event   func(*store.Event)
		prepare func(*host, *testing.T)
		want    error
		status  store.RSVPStatus
		taken   int
	}{
		"confirmed":              {nil, nil, nil, store.RSVPCancelled, 0},
		"pending":                {priced(0), func(h *host, t *testing.T) { h.hold(t, "tea", 2, 1) }, store.ErrRSVPPending, store.RSVPPending, 1},
		"in the last moment":     {nil, func(h *host, _ *testing.T) { h.clock.Advance(24*time.Hour - time.Millisecond) }, nil, store.RSVPCancelled, 0},
		"when it starts":         {nil, func(h *host, _ *testing.T) { hour(h, 24) }, store.ErrTooLate, store.RSVPConfirmed, 1},
		"before its cut-off":     {func(e *store.Event) { e.CancelUntil = start.Add(2 * time.Hour) }, func(h *host, _ *testing.T) { hour(h, 1) }, nil, store.RSVPCancelled, 0},
		"at its cut-off":         {func(e *store.Event) { e.CancelUntil = start.Add(2 * time.Hour) }, func(h *host, _ *testing.T) { hour(h, 2) }, store.ErrTooLate, store.RSVPConfirmed, 1},
		"cut-off after start":    {func(e *store.Event) { e.CancelUntil = start.Add(99 * time.Hour) }, func(h *host, _ *testing.T) { hour(h, 24) }, store.ErrTooLate, store.RSVPConfirmed, 1},
		"never":                  {func(e *store.Event) { e.CancelUntil = start }, nil, store.ErrTooLate, store.RSVPConfirmed, 1},
		"after it is checked in": {nil, func(h *host, t *testing.T) { must(t)(h.CheckIn(t.Context(), "rsvp-2")) }, store.ErrCheckedIn, store.RSVPConfirmed, 1},
		"after a failure": {priced(0), func(h *host, t *testing.T) {
			h.hold(t, "tea", 2, 1)
			must(t)(h.Fail(t.Context(), "pay-2", "why", false))
		}, store.ErrNotBooked, store.RSVPFailed, 0},
		"after it was cleared": {priced(0), func(h *host, t *testing.T) {
			h.hold(t, "tea", 2, 1)
			must(t)(h.Confirm(t.Context(), "pay-2", moved(1)))
			if cleared, _, err := h.Clear(t.Context()); err != nil || !cleared {
				t.Fatal(cleared, err)
			}
		}, payments.ErrCleared, store.RSVPConfirmed, 1},
		"twice":          {nil, func(h *host, t *testing.T) { must(t)(h.CancelRSVP(t.Context(), "rsvp-2", 0)) }, nil, store.RSVPCancelled, 0},
		"with its event": {nil, func(h *host, t *testing.T) { h.cancel(t, "tea") }, nil, store.RSVPCancelled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := MustOpen(t)
			e := h.event(t, "tea", c.event)
			if e.Price == 0 {
				book(t, h, 2, 1)
			}
			if c.prepare != nil {
				c.prepare(h, t)
			}
			got, err := h.CancelRSVP(t.Context(), "rsvp-2", 0)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			r, err := h.RSVP(t.Context(), "rsvp-2")
			if err != nil || r.Status != c.status || h.taken(t, "tea") != c.taken {
				t.Errorf("%s, %d seats taken, %v; want %s, %d", r.Status, h.taken(t, "tea"), err, c.status, c.taken)
			}
			if diff := cmp.Diff(r, got); c.want == nil && diff != "" {
				t.Errorf("returned: %s", diff)
			}
		})
	}
	if _, err := MustOpen(t).CancelRSVP(t.Context(), "none", 0); !errors.Is(err, store.ErrRSVPNotFound) {
		t.Error(err)
	}
}

// All kinds of RSVPs at the end of their event, and what becomes of them after.
func TestCancelEvent(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(9))
	h.event(t, "other", priced(9))
	for n, event := range []string{"opera", "opera", "opera", "other"} {
		h.hold(t, event, n, n+1)
	}
	must(t)(h.Confirm(t.Context(), "pay-0", moved(1)))
	must(t)(h.Fail(t.Context(), "pay-1", "why", false))
	must(t)(h.Confirm(t.Context(), "pay-3", moved(1)))
	if _, err := h.CancelEvent(t.Context(), "opera", 1); !errors.Is(err, payments.ErrCleared) {
		t.Errorf("cleared: %v", err)
	}
	for range 2 {
		e, err := h.CancelEvent(t.Context(), "opera", h.cleared(t))
		if err != nil || !e.Cancelled || e.SeatsTaken != 3 { // those of the pending one
			t.Fatalf("%+v, %v", e, err)
		}
	}
	check := func(want ...store.RSVPStatus) {
		t.Helper()
		for n, status := range want {
			r, err := h.RSVP(t.Context(), fmt.Sprintf("rsvp-%d", n))
			back := status == store.RSVPCancelled || r.Payment.State == payments.Owed
			if err != nil || r.Status != status || (r.Refund != nil) != back {
				t.Errorf("rsvp-%d: %s, refund %v, %v; want %s", n, r.Status, r.Refund, err, status)
			}
		}
	}
	check(store.RSVPCancelled, store.RSVPFailed, store.RSVPPending, store.RSVPConfirmed)
	for _, id := range []string{"pay-1", "pay-2"} {
		if p, err := h.Confirm(t.Context(), id, moved(9)); err != nil || p.State != payments.Owed {
			t.Errorf("%s: %s, %v", id, p.State, err)
		}
	}
	check(store.RSVPCancelled, store.RSVPFailed, store.RSVPCancelled, store.RSVPConfirmed)
	if n := h.taken(t, "opera"); n != 0 {
		t.Errorf("%d seats taken", n)
	}
	if _, err := h.CancelEvent(t.Context(), "none", 0); !errors.Is(err, store.ErrEventNotFound) {
		t.Error(err)
	}
}

func TestUpdateEvent(t *testing.T) {
	for name, c := range map[string]struct {
		event, change func(*store.Event)
		at            time.Duration
		fails, want   error
	}{
		"nothing": {},
		"everything": {change: func(e *store.Event) {
			*e = store.Event{ID: "x", Title: "T", Description: "D", Location: "L", TimeZone: "UTC", Capacity: 2, Price: 5, Cancelled: true, Unlisted: true,
				StartsAt: start.Add(time.Hour), EndsAt: start.Add(2 * time.Hour), CancelUntil: start.Add(24 * time.Hour), SeatsTaken: 9}
		}},
		"as few seats as are taken":  {change: func(e *store.Event) { e.Capacity = 2 }},
		"fewer seats than are taken": {change: func(e *store.Event) { e.Capacity = 1 }, want: store.ErrSeatsTaken},
		"unlimited":                  {change: func(e *store.Event) { e.Capacity = 0 }},
		"ends before it starts":      {change: func(e *store.Event) { e.EndsAt = e.StartsAt.Add(-1) }, want: store.ErrInvalid},
		"an earlier cut-off":         {change: func(e *store.Event) { e.CancelUntil = e.StartsAt.Add(-1) }, want: store.ErrCutOff},
		"a later cut-off":            {event: func(e *store.Event) { e.CancelUntil = start }, change: func(e *store.Event) { e.CancelUntil = start.Add(time.Second) }},
		"an earlier start":           {change: func(e *store.Event) { e.StartsAt = start.Add(time.Minute) }},
		"when it is over":            {at: 48 * time.Hour, want: store.ErrEventPast},
		"when it is cancelled":       {event: func(e *store.Event) { e.Cancelled = true }, want: store.ErrEventCancelled},
		"its own error":              {fails: errors.ErrUnsupported, want: errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			h := MustOpen(t)
			before := h.event(t, "tea", func(e *store.Event) {
				e.Capacity = 5
				if c.event != nil {
					c.event(e)
				}
			})
			if !before.Cancelled {
				book(t, h, 1, 2)
				before.SeatsTaken = 2
			}
			h.clock.Advance(c.at)
			want := before
			got, err := h.UpdateEvent(t.Context(), "tea", func(e *store.Event) error {
				if c.change != nil {
					c.change(e)
				}
				return c.fails
			})
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err == nil && c.change != nil {
				c.change(&want)
				want.ID, want.SeatsTaken, want.Cancelled, want.CreatedAt = before.ID, before.SeatsTaken, before.Cancelled, before.CreatedAt
				want.Revision, want.ChangedAt = 2, start.Add(c.at)
			}
			if diff := cmp.Diff(want, got); err == nil && diff != "" {
				t.Error(diff)
			}
			kept, err := h.Event(t.Context(), "tea")
			if diff := cmp.Diff(want, kept); err != nil || diff != "" {
				t.Error(err, diff)
			}
			if want.Title == "T" && len(h.ids(t, store.EventQuery{Text: "cake"})) > 0 {
				t.Error("it is found by its old title")
			}
		})
	}
	if _, err := MustOpen(t).UpdateEvent(t.Context(), "none", nil); !errors.Is(err, store.ErrEventNotFound) {
		t.Error(err)
	}
}

func TestCheckIn(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	book(t, h, 1, 1)
	for range 2 {
		r, err := h.CheckIn(t.Context(), "rsvp-1")
		if err != nil || !r.CheckedIn.Equal(start) {
			t.Errorf("%s, %v", r.CheckedIn, err)
		}
		h.clock.Advance(time.Hour)
	}
	if r, err := h.RSVP(t.Context(), "rsvp-1"); err != nil || !r.CheckedIn.Equal(start) {
		t.Errorf("%s, %v", r.CheckedIn, err)
	}
	book(t, h, 2, 1)
	must(t)(h.CancelRSVP(t.Context(), "rsvp-2", 0))
	for id, want := range map[string]error{"rsvp-2": store.ErrNotBooked, "none": store.ErrRSVPNotFound} {
		if _, err := h.CheckIn(t.Context(), id); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestDebtors(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	note := func(user string) payments.Debtor {
		t.Helper()
		must(t)(nil, s.Note(t.Context(), user))
		all, err := s.Debtors(t.Context())
		if err != nil || len(all) == 0 || all[len(all)-1].User != user {
			t.Fatalf("%v, %v", all, err)
		}
		return all[len(all)-1]
	}
	first := note("ada")
	bob := note("bob")
	second := note("ada")
	must(t)(nil, s.Strike(t.Context(), first)) // it has been noted anew
	if all, err := s.Debtors(t.Context()); err != nil || !cmp.Equal(all, []payments.Debtor{bob, second}) {
		t.Errorf("%v, %v", all, err)
	}
	must(t)(nil, s.Strike(t.Context(), second))
	must(t)(nil, s.Strike(t.Context(), bob))
	if third := note("ada"); third.Seq == first.Seq || third.Seq == second.Seq {
		t.Errorf("%+v was there before", third)
	}
	if err := s.Note(t.Context(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
}
