package guest_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// Bookings over one connection at the same time keep their payments apart.
func TestConcurrentBookings(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, x402.USD)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := config(t, payer)
			c.Protocol = way.protocol
			h := p.visit(t, way.stdio, c)
			before, signed := p.balance(t, payer.Address()), len(payer.all())
			var wg sync.WaitGroup
			var sum atomic.Int64
			for i := range 6 {
				price := x402.Amount(1000 * (i + 1))
				sum.Add(int64(price))
				event := p.event(t, fmt.Sprint("Concert ", i), price.USD(), 1)
				wg.Go(func() {
					booked, err := h.Book(t.Context(), guest.Wish{EventID: event})
					if err != nil || booked.RSVP.EventID != event || booked.Paid != price || booked.RSVP.Amount != price.String() {
						t.Errorf("%+v, %v", booked, err)
					}
				})
			}
			wg.Wait()
			if got := before - p.balance(t, payer.Address()); int64(got) != sum.Load() {
				t.Errorf("spent %s, want %d", got, sum.Load())
			}
			payer.must(t, signed+6)
		})
	}
}

// The same booking at the same time is one booking with one payment.
func TestSameBookingAtOnce(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, x402.USD)
	h := dial(t, p.url, config(t, payer))
	wish := guest.Wish{EventID: p.event(t, "Concert", "0.05", 10)}
	ids := make([]string, 4)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			booked, err := h.Book(t.Context(), wish)
			// One that is late finds the event booked.
			var refused *guest.ToolError
			if err != nil && !(errors.As(err, &refused) && refused.Code == "already_booked") {
				t.Error(err)
			}
			ids[i] = booked.RSVP.ID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" }); len(ids) != 1 {
		t.Errorf("booked %v", ids)
	}
	if got := p.balance(t, payer.Address()); got != x402.USD-50_000 {
		t.Errorf("the guest has %s", got)
	}
}

// Of two that are asked for the price of the same thing at the same time, both
// send the payment that was made first.
func TestSamePriceAskedAtOnce(t *testing.T) {
	payer := newCounter(t)
	var both sync.WaitGroup
	both.Add(2)
	p := &puppet{answer: func(_ int, c call) string {
		if !c.paid() {
			both.Done()
			both.Wait()
			return asks(required(honest))
		}
		return rsvp("pending", "")
	}}
	h := dial(t, p.web(t), config(t, payer))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if answer, err := h.Call(t.Context(), "rsvp_to_event", wish); err != nil || answer.Paid != 50_000 {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	wg.Wait()
	paid := p.paidCalls()
	if len(paid) != 2 || string(paid[0].raw(t)) != string(paid[1].raw(t)) {
		t.Errorf("%d payments were sent, or not the same", len(paid))
	}
}
