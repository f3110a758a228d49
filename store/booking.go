package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// maxSeats is the most one RSVP can have. It keeps sums of seats far from
// where integers end.
const maxSeats = 1_000_000

// guest is how two bookings are known to be of the same person; what is zero
// tells nothing.
type guest struct {
	payer x402.Address
	email string
}

func (g guest) payerKey() any { return orNull(g.payer, x402.Address.String) }

func (g guest) emailKey() any {
	return orNull(fold(strings.TrimSpace(g.email)), strings.Clone)
}

// CanBook checks whether a booking would be accepted now, and returns the
// event. Nothing is held by that. Errors: those of [Host.BookFree], without
// [ErrPriced] and [ErrRSVPExists].
func (h *Host) CanBook(ctx context.Context, eventID string, seats int, email string) (Event, error) {
	return view(ctx, h.handle, "check a booking", func(ctx context.Context, q *statements) (Event, error) {
		return bookable(ctx, q, h.now(), eventID, seats, guest{email: email})
	})
}

// BookFree books seats at an event without a price; the RSVP is confirmed.
// Errors: [ErrEventNotFound], [ErrEventCancelled], [ErrEventPast],
// [ErrAlreadyBooked] (by the same email, if there is one), [ErrEventFull],
// [ErrPriced], [ErrRSVPExists], and [ErrInvalid] for seats below 1 or above a
// million, or no RSVP id.
func (h *Host) BookFree(ctx context.Context, b payments.Booking) (RSVP, error) {
	r := RSVP{
		ID: b.RSVPID, EventID: b.EventID, Seats: b.Seats, Name: b.Name, Email: b.Email,
		Status: RSVPConfirmed,
	}
	err := h.write(ctx, "book", func(ctx context.Context, t *tx) error {
		e, err := bookable(ctx, t, t.now, r.EventID, r.Seats, guest{email: r.Email})
		if err != nil {
			return err
		}
		if e.Price > 0 {
			return ErrPriced
		}
		return r.insert(ctx, t)
	})
	if err != nil {
		return RSVP{}, err
	}
	return r, nil
}

// bookable makes the checks of a booking. That a guest has booked is said
// before that the event is full: they may be the one who filled it.
func bookable(ctx context.Context, q rowQuerier, now time.Time, eventID string, seats int, g guest) (Event, error) {
	if seats < 1 || seats > maxSeats {
		return Event{}, fmt.Errorf("%w: %d seats", ErrInvalid, seats)
	}
	e, err := event(ctx, q, eventID)
	if err != nil {
		return Event{}, err
	}
	switch e.Status(now) {
	case StatusCancelled:
		return Event{}, ErrEventCancelled
	case StatusPast:
		return Event{}, ErrEventPast
	}
	booked, err := g.booked(ctx, q, eventID)
	switch {
	case err != nil:
		return Event{}, err
	case booked:
		return Event{}, ErrAlreadyBooked
	case !e.has(seats):
		return Event{}, fmt.Errorf("%w: %d", ErrEventFull, e.Capacity-e.SeatsTaken)
	}
	return e, nil
}

func (e Event) has(seats int) bool { return e.Capacity == 0 || seats <= e.Capacity-e.SeatsTaken }

// booked reports whether g has an active RSVP at the event.
func (g guest) booked(ctx context.Context, q rowQuerier, eventID string) (booked bool, err error) {
	err = q.row(ctx, `SELECT
			EXISTS (SELECT 1 FROM rsvps WHERE event_id = ?1 AND payer = ?2 AND status IN ('pending', 'confirmed')) OR
			EXISTS (SELECT 1 FROM rsvps WHERE event_id = ?1 AND email_key = ?3 AND status IN ('pending', 'confirmed'))`,
		eventID, g.payerKey(), g.emailKey()).Scan(&booked)
	return booked, err
}

// insert adds an RSVP that [bookable] has accepted, and takes its seats. It
// sets CreatedAt.
func (r *RSVP) insert(ctx context.Context, t *tx) error {
	r.CreatedAt = truncate(t.now)
	g := guest{r.Payer, r.Email}
	_, err := t.exec(ctx, `INSERT INTO rsvps (id, event_id, seats, status, payer, name, email, email_key, amount, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.EventID, r.Seats, r.Status, g.payerKey(), r.Name, r.Email, g.emailKey(), r.Amount, millis(r.CreatedAt))
	switch {
	case duplicate(err): // of the id: bookable has looked for the rest
		return ErrRSVPExists
	case refused(err): // the id is empty: the rest is checked or ours
		return fmt.Errorf("%w: RSVP", ErrInvalid)
	case err != nil:
		return err
	}
	return takeSeats(ctx, t, r.EventID, r.Seats)
}

// takeSeats adds to the seats taken at an event, or gives some back if n is
// negative. That they are there has been checked; the schema checks it again.
func takeSeats(ctx context.Context, t *tx, eventID string, n int) error {
	_, err := t.exec(ctx, `UPDATE events SET seats_taken = seats_taken + ? WHERE id = ?`, n, eventID)
	return err
}
