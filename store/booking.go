package store

import (
	"context"
	"database/sql"
	"errors"
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
		if _, err := bookable(ctx, q, h.now(), eventID, seats, guest{email: email}); err != nil {
			return Event{}, err
		}
		return event(ctx, q, eventID)
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
// before that the event is full: they may be the one who filled it. Of the event it
// reads, and returns, no more than that takes: every column costs.
func bookable(ctx context.Context, q rowQuerier, now time.Time, eventID string, seats int, g guest) (e Event, err error) {
	if seats < 1 || seats > maxSeats {
		return Event{}, fmt.Errorf("%w: %d seats", ErrInvalid, seats)
	}
	var booked bool
	err = q.row(ctx, `SELECT starts_at, ends_at, capacity, seats_taken, price, cancelled, `+bookedBy+` FROM events WHERE id = ?1`,
		eventID, g.payerKey(), g.emailKey()).
		Scan(asTime{&e.StartsAt}, asTime{&e.EndsAt}, &e.Capacity, &e.SeatsTaken, &e.Price, &e.Cancelled, &booked)
	if errors.Is(err, sql.ErrNoRows) {
		return Event{}, ErrEventNotFound
	}
	if err != nil {
		return Event{}, err
	}
	err = e.CanTake(now, seats)
	if booked && (err == nil || errors.Is(err, ErrEventFull)) {
		err = ErrAlreadyBooked
	}
	return e, err
}

// CanTake says what keeps the event from being booked at now by somebody who has
// not booked it yet: [ErrEventCancelled], [ErrEventPast] or [ErrEventFull].
func (e Event) CanTake(now time.Time, seats int) error {
	switch {
	case e.Status(now) == StatusCancelled:
		return ErrEventCancelled
	case e.Status(now) == StatusPast:
		return ErrEventPast
	case !e.has(seats):
		return fmt.Errorf("%w: %d", ErrEventFull, e.Capacity-e.SeatsTaken)
	}
	return nil
}

func (e Event) has(seats int) bool { return e.Capacity == 0 || seats <= e.Capacity-e.SeatsTaken }

// bookedBy is whether a guest has an active RSVP at an event: ?1 is its id, ?2 and ?3
// are the keys of the guest.
const bookedBy = `(EXISTS (SELECT 1 FROM rsvps WHERE event_id = ?1 AND payer = ?2 AND status IN ('pending', 'confirmed')) OR
	EXISTS (SELECT 1 FROM rsvps WHERE event_id = ?1 AND email_key = ?3 AND status IN ('pending', 'confirmed')))`

// booked reports whether g has an active RSVP at the event.
func (g guest) booked(ctx context.Context, q rowQuerier, eventID string) (booked bool, err error) {
	err = q.row(ctx, `SELECT `+bookedBy, eventID, g.payerKey(), g.emailKey()).Scan(&booked)
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
