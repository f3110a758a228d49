package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

func TestBookFree(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", seats(3))
	h.clock.Advance(time.Minute)
	got, err := h.BookFree(t.Context(), booking("tea", 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	want := store.RSVP{
		ID: "rsvp-1", EventID: "tea", Seats: 2, Status: store.RSVPConfirmed, Name: "Guest 1", Email: "guest1@example.com",
		CreatedAt: start.Add(time.Minute),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if kept, err := h.RSVP(t.Context(), "rsvp-1"); kept != want || err != nil {
		t.Errorf("kept %+v, %v, want %+v", kept, err, want)
	}
	if n := h.taken(t, "tea"); n != 2 {
		t.Errorf("%d seats taken, want 2", n)
	}
	if _, err := h.RSVP(t.Context(), "rsvp-2"); !errors.Is(err, store.ErrRSVPNotFound) {
		t.Errorf("no RSVP: %v", err)
	}
}

// Every rule, for all three ways to come upon it.
func TestBookingRules(t *testing.T) {
	cases := map[string]struct {
		event   func(*store.Event)
		prepare func(t *testing.T, h *host)
		change  func(*payments.Booking)
		want    error
	}{
		"open":         {},
		"no event":     {change: func(b *payments.Booking) { b.EventID = "none" }, want: store.ErrEventNotFound},
		"no seats":     {change: func(b *payments.Booking) { b.Seats = 0 }, want: store.ErrInvalid},
		"minus a seat": {change: func(b *payments.Booking) { b.Seats = -1 }, want: store.ErrInvalid},
		"all seats there are": {
			change: func(b *payments.Booking) { b.Seats = 1 << 62 }, want: store.ErrInvalid},
		"cancelled": {
			prepare: func(t *testing.T, h *host) { h.cancel(t, "tea") }, want: store.ErrEventCancelled},
		"over": {
			prepare: func(_ *testing.T, h *host) { h.clock.Advance(24 * time.Hour) }, want: store.ErrEventPast},
		"going on": {
			event:   func(e *store.Event) { e.EndsAt = e.StartsAt.Add(time.Hour) },
			prepare: func(_ *testing.T, h *host) { h.clock.Advance(24 * time.Hour) }},
		"the last seats": {
			event: seats(2), change: func(b *payments.Booking) { b.Seats = 2 }},
		"one more than there are": {
			event: seats(2), change: func(b *payments.Booking) { b.Seats = 3 }, want: store.ErrEventFull},
		"full": {
			event: seats(2), prepare: func(t *testing.T, h *host) { book(t, h, 1, 2) }, want: store.ErrEventFull},
		"unlimited": {
			prepare: func(t *testing.T, h *host) { book(t, h, 1, 1000) },
			change:  func(b *payments.Booking) { b.Seats = 1000 }},
		"booked by the same email": {
			prepare: func(t *testing.T, h *host) { book(t, h, 1, 1) },
			change:  func(b *payments.Booking) { b.Email = " GUEST1@Example.com\t" }, want: store.ErrAlreadyBooked},
		"filled by the same email": {
			event: seats(1), prepare: func(t *testing.T, h *host) { book(t, h, 1, 1) },
			change: func(b *payments.Booking) { b.Email = "guest1@example.com" }, want: store.ErrAlreadyBooked},
		"no email twice": {
			prepare: func(t *testing.T, h *host) {
				must(t)(h.BookFree(t.Context(), payments.Booking{RSVPID: "x", EventID: "tea", Seats: 1}))
			},
			change: func(b *payments.Booking) { b.Email = " " }},
		"the same email elsewhere": {
			prepare: func(t *testing.T, h *host) {
				h.event(t, "cake", nil)
				must(t)(h.BookFree(t.Context(), booking("cake", 2, 1)))
			},
			change: func(b *payments.Booking) { b.RSVPID = "another" }},
	}
	for name, c := range cases {
		ways := map[string]func(t *testing.T, h *host, b payments.Booking) error{
			"check": func(t *testing.T, h *host, b payments.Booking) error {
				e, err := h.CanBook(t.Context(), b.EventID, b.Seats, b.Email)
				if err == nil && e.ID != b.EventID {
					t.Errorf("checked %+v", e)
				}
				return err
			},
			"free": func(t *testing.T, h *host, b payments.Booking) error {
				_, err := h.BookFree(t.Context(), b)
				return err
			},
			"paid": func(t *testing.T, h *host, b payments.Booking) error {
				return h.Hold(t.Context(), paid(2, 1), b)
			},
		}
		for way, try := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				h := MustOpen(t)
				h.event(t, "tea", c.event)
				if c.prepare != nil {
					c.prepare(t, h)
				}
				b := booking("tea", 2, 1)
				if c.change != nil {
					c.change(&b)
				}
				before := h.taken(t, "tea")
				if err := try(t, h, b); !errors.Is(err, c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				if c.want == nil && way != "check" && b.EventID == "tea" {
					before += b.Seats
				}
				if after := h.taken(t, "tea"); after != before {
					t.Errorf("%d seats taken, want %d", after, before)
				}
				if c.want != nil {
					if _, err := h.RSVP(t.Context(), b.RSVPID); !errors.Is(err, store.ErrRSVPNotFound) {
						t.Errorf("a refused booking left an RSVP: %v", err)
					}
				}
			})
		}
	}
}

// book books the free event tea as guest n.
func book(t *testing.T, h *host, n, seats int) {
	t.Helper()
	must(t)(h.BookFree(t.Context(), booking("tea", n, seats)))
}

// must fails the test unless the call it is given succeeded.
func must(tb testing.TB) func(any, error) {
	return func(_ any, err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func TestBookFreeRefusesItsOwn(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	h.event(t, "opera", priced(0))
	if _, err := h.BookFree(t.Context(), booking("opera", 1, 1)); !errors.Is(err, store.ErrPriced) {
		t.Errorf("a priced event for free: %v", err)
	}
	if _, err := h.CanBook(t.Context(), "opera", 1, ""); err != nil {
		t.Errorf("checking a priced event: %v", err)
	}
	book(t, h, 1, 1)
	b := booking("tea", 1, 1)
	b.Email = ""
	if _, err := h.BookFree(t.Context(), b); !errors.Is(err, store.ErrRSVPExists) {
		t.Errorf("the same id again: %v", err)
	}
	b.RSVPID = ""
	if _, err := h.BookFree(t.Context(), b); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
	if n := h.taken(t, "tea"); n != 1 {
		t.Errorf("%d seats taken, want 1", n)
	}
}

func TestRSVPsPages(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	h.event(t, "opera", priced(0))
	var want []string
	for n := range 25 {
		book(t, h, n, 1)
		h.hold(t, "opera", 100+n, 1)
		want = append(want, fmt.Sprintf("rsvp-%d", 100+n))
	}
	for _, limit := range []int{1, 10, 25, 0} {
		var got []string
		for after := ""; ; {
			rsvps, next, err := h.RSVPs(t.Context(), "opera", limit, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rsvps {
				if got = append(got, r.ID); r.Payment == nil || r.Payment.RSVPID != r.ID {
					t.Fatalf("%+v has the payment %+v", r, r.Payment)
				}
			}
			if after = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	if _, _, err := h.RSVPs(t.Context(), "none", 1, ""); !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("of no event: %v", err)
	}
}

func TestLastSeats(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", seats(10))
	h.event(t, "opera", priced(10))
	var free, held atomic.Int32
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			switch _, err := h.BookFree(t.Context(), booking("tea", n, 1)); {
			case err == nil:
				free.Add(1)
			case !errors.Is(err, store.ErrEventFull):
				t.Error(err)
			}
		})
		wg.Go(func() {
			switch err := h.Hold(t.Context(), paid(1000+n, 1), booking("opera", 1000+n, 1)); {
			case err == nil:
				held.Add(1)
			case !errors.Is(err, store.ErrEventFull):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for event, n := range map[string]int32{"tea": free.Load(), "opera": held.Load()} {
		if n != 10 || h.taken(t, event) != 10 {
			t.Errorf("%s: %d booked, %d taken, want 10", event, n, h.taken(t, event))
		}
	}
}

func TestTwoHostsOneFile(t *testing.T) {
	one := MustOpen(t)
	two := reopen(t, one)
	one.event(t, "tea", nil)
	one.event(t, "opera", priced(0))
	const writers, each = 50, 2
	var wg sync.WaitGroup
	for n := range writers {
		h := one
		if n%2 == 1 {
			h = two
		}
		wg.Go(func() {
			for i := range each {
				id := n*each + i
				if _, err := h.BookFree(t.Context(), booking("tea", id, 1)); err != nil {
					t.Error(err)
				}
				if err := h.Hold(t.Context(), paid(id, 1), booking("opera", 10_000+id, 1)); err != nil {
					t.Error(err)
				}
				if p, err := h.Confirm(t.Context(), fmt.Sprintf("pay-%d", id), moved(id)); err != nil || p.State != payments.Settled {
					t.Error(p.State, err)
				}
				if _, err := h.RSVP(t.Context(), fmt.Sprintf("rsvp-%d", id)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, h := range []*host{one, two} {
		if tea, opera := h.taken(t, "tea"), h.taken(t, "opera"); tea != writers*each || opera != writers*each {
			t.Errorf("%d and %d seats taken, want %d", tea, opera, writers*each)
		}
	}
	if r, err := two.Revenue(t.Context(), ""); err != nil || r.Settled != writers*each*x402.USD {
		t.Errorf("revenue %+v, %v", r, err)
	}
}
