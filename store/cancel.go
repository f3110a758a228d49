package store

import (
	"context"
	"fmt"
)

// CancelRSVP gives a confirmed RSVP's seats back and owes its guest what was
// paid. Cancelled again, it is returned as it is. cleared is as payments.Refunds
// wants it. Errors: [ErrRSVPNotFound], [ErrRSVPPending], [ErrNotBooked] if its
// payment has failed, [ErrCheckedIn], [ErrTooLate], payments.ErrCleared.
func (h *Host) CancelRSVP(ctx context.Context, id string, cleared int64) (r RSVP, err error) {
	err = h.write(ctx, "cancel an RSVP", func(ctx context.Context, t *tx) error {
		if r, err = rsvp(ctx, t, id); err != nil {
			return err
		}
		switch {
		case r.Status == RSVPPending:
			return ErrRSVPPending
		case r.Status == RSVPFailed && r.Refund == nil:
			return ErrNotBooked
		case r.Status != RSVPConfirmed:
			return nil
		case !r.CheckedIn.IsZero():
			return ErrCheckedIn
		}
		e, err := event(ctx, t, r.EventID)
		if err != nil {
			return err
		}
		if !t.now.Before(e.CutOff()) {
			return ErrTooLate
		}
		if _, err := t.exec(ctx, `UPDATE rsvps SET status = 'cancelled' WHERE id = ?`, id); err != nil {
			return err
		}
		if err := takeSeats(ctx, t, r.EventID, -r.Seats); err != nil {
			return err
		}
		if r.Payment != nil {
			if err := notCleared(ctx, t, cleared); err != nil {
				return err
			}
			if err := insertRefund(ctx, t, r.Payment.ID); err != nil {
				return err
			}
		}
		r, err = rsvp(ctx, t, id)
		return err
	})
	if err != nil {
		return RSVP{}, err
	}
	return r, nil
}

// CancelEvent cancels an event with all its confirmed RSVPs, and owes their
// guests what was paid; a pending one follows when its money arrives. Cancelled
// again, it is returned as it is. cleared is as payments.Refunds wants it.
// Errors: [ErrEventNotFound], payments.ErrCleared.
func (h *Host) CancelEvent(ctx context.Context, id string, cleared int64) (e Event, err error) {
	err = h.write(ctx, "cancel an event", func(ctx context.Context, t *tx) error {
		if e, err = event(ctx, t, id); err != nil || e.Cancelled {
			return err
		}
		if err := notCleared(ctx, t, cleared); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO refunds (payment_id, state, retry_at, created_at, updated_at)
				SELECT p.id, 'owed', ?2, ?2, ?2 FROM rsvps r JOIN payments p ON p.rsvp_id = r.id
				WHERE r.event_id = ?1 AND r.status = 'confirmed'`, id, millis(t.now)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE rsvps SET status = 'cancelled' WHERE event_id = ? AND status = 'confirmed'`, id); err != nil {
			return err
		}
		if err := e.revise(ctx, t); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE events SET cancelled = 1, revision = ?2, changed_at = ?3, seats_taken =
					(SELECT coalesce(sum(seats), 0) FROM rsvps WHERE event_id = ?1 AND status = 'pending')
				WHERE id = ?1`, id, e.Revision, millis(e.ChangedAt)); err != nil {
			return err
		}
		e, err = event(ctx, t, id)
		return err
	})
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// UpdateEvent has change alter an event and returns it as it is kept; id, seats
// taken, whether it is cancelled and CreatedAt stay. If change leaves it as it is,
// so does this, and its revision stays. RSVPs keep what they have
// paid. Errors: those of change, which must do nothing else; [ErrEventNotFound],
// [ErrEventCancelled], [ErrEventPast], [ErrInvalid] as in [Host.CreateEvent],
// [ErrSeatsTaken], and [ErrCutOff] for an earlier CancelUntil while seats are
// taken.
func (h *Host) UpdateEvent(ctx context.Context, id string, change func(*Event) error) (e Event, err error) {
	err = h.write(ctx, "update an event", func(ctx context.Context, t *tx) error {
		old, err := event(ctx, t, id)
		if err != nil {
			return err
		}
		switch old.Status(t.now) {
		case StatusCancelled:
			return ErrEventCancelled
		case StatusPast:
			return ErrEventPast
		}
		e = old
		if err := change(&e); err != nil {
			return err
		}
		e.truncate()
		e.ID, e.SeatsTaken, e.Cancelled, e.CreatedAt = old.ID, old.SeatsTaken, old.Cancelled, old.CreatedAt
		e.Revision, e.ChangedAt = old.Revision, old.ChangedAt
		if err := e.check(); err != nil {
			return err
		}
		switch {
		case e.Capacity > 0 && e.Capacity < e.SeatsTaken:
			return fmt.Errorf("%w: %d of %d", ErrSeatsTaken, e.SeatsTaken, e.Capacity)
		case e.SeatsTaken > 0 && e.CutOff().Before(old.CutOff()) && e.CutOff().Before(e.StartsAt):
			return ErrCutOff
		}
		if e == old {
			return nil
		}
		if err := e.revise(ctx, t); err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE events SET title = ?, description = ?, starts_at = ?, ends_at = ?, time_zone = ?,
				location = ?, capacity = ?, price = ?, cancel_until = ?, unlisted = ?, revision = ?, changed_at = ?,
				search = ? WHERE id = ?`,
			e.Title, e.Description, millis(e.StartsAt), millis(e.EndsAt), e.TimeZone,
			e.Location, e.Capacity, e.Price, millis(e.CancelUntil), e.Unlisted, e.Revision, millis(e.ChangedAt),
			e.search(), e.ID)
		return err
	})
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// CheckIn notes that the guest of a confirmed RSVP has come; the first time
// stays. Errors: [ErrRSVPNotFound], [ErrNotBooked].
func (h *Host) CheckIn(ctx context.Context, id string) (RSVP, error) {
	r, _, err := h.Arrive(ctx, id)
	return r, err
}

// Arrive is [Host.CheckIn] that also says whether this was the first time: of two
// who show the same ticket at two doors it is true for one.
func (h *Host) Arrive(ctx context.Context, id string) (r RSVP, first bool, err error) {
	err = h.write(ctx, "check in", func(ctx context.Context, t *tx) error {
		first = false
		if r, err = rsvp(ctx, t, id); err != nil {
			return err
		}
		if r.Status != RSVPConfirmed {
			return ErrNotBooked
		}
		if !r.CheckedIn.IsZero() {
			return nil
		}
		r.CheckedIn, first = truncate(t.now), true
		_, err := t.exec(ctx, `UPDATE rsvps SET checked_in_at = ? WHERE id = ?`, millis(r.CheckedIn), id)
		return err
	})
	if err != nil {
		return RSVP{}, false, err
	}
	return r, first, nil
}
