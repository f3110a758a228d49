package tools

import (
	"context"
	"errors"

	"github.com/events-concierge/concierge/store"
)

// CancelRSVPInput is the input of cancel_rsvp.
type CancelRSVPInput struct {
	RSVPID string `json:"rsvp_id" jsonschema:"from rsvp_to_event"`
}

// CancelRSVP cancels an RSVP for whoever knows its id, and pays back what was
// paid for it. Cancelled again, it answers the same.
func (h *Host) CancelRSVP(ctx context.Context, in CancelRSVPInput) (RSVP, error) {
	if err := identifier("rsvp_id", in.RSVPID); err != nil {
		return RSVP{}, err
	}
	before, err := h.Store.RSVP(ctx, in.RSVPID)
	if err != nil {
		return RSVP{}, explain(err)
	}
	var r store.RSVP
	cancel := func(ctx context.Context, cleared int64) (err error) {
		r, err = h.Store.CancelRSVP(ctx, in.RSVPID, cleared)
		return err
	}
	if before.Payment != nil && before.Refund == nil {
		err = h.Cashier.Owe(ctx, h.User, cancel)
	} else {
		err = cancel(ctx, -1) // which makes none
	}
	if errors.Is(err, store.ErrTooLate) {
		return RSVP{}, h.tooLate(ctx, before.EventID, err)
	}
	if err != nil {
		return RSVP{}, explain(err)
	}
	if r.Refund == nil || !r.Refund.Open {
		return rsvpOf(r), nil
	}
	// The RSVP is cancelled. What can't be paid back now is seen to later.
	_, refundErr := h.Cashier.Refund(ctx, h.User, r.Payment.ID)
	if r, err = h.Store.RSVP(ctx, in.RSVPID); err != nil {
		return RSVP{}, explain(errors.Join(err, refundErr))
	}
	return rsvpOf(r), nil
}

func (h *Host) tooLate(ctx context.Context, eventID string, cause error) error {
	e, err := h.Store.Event(ctx, eventID)
	if err != nil {
		return explain(err)
	}
	return &Error{Code: CodeNotAllowed, cause: cause,
		Message: "This RSVP could be cancelled until " + stamp(e.CutOff(), h.zoneOf(e)) + ". Nothing is changed."}
}

// CancelEventInput is the input of cancel_event.
type CancelEventInput struct {
	EventID string `json:"event_id" jsonschema:"from list_events"`
}

// CancelEvent cancels an event with all its RSVPs. What was paid goes back
// without the caller waiting for it. Owner only.
func (h *Host) CancelEvent(ctx context.Context, in CancelEventInput) (Event, error) {
	if err := identifier("event_id", in.EventID); err != nil {
		return Event{}, err
	}
	if _, err := h.Store.Event(ctx, in.EventID); err != nil { // before anything is written
		return Event{}, explain(err)
	}
	var e store.Event
	err := h.Cashier.Owe(ctx, h.User, func(ctx context.Context, cleared int64) (err error) {
		e, err = h.Store.CancelEvent(ctx, in.EventID, cleared)
		return err
	})
	if err != nil {
		return Event{}, explain(err)
	}
	h.changed(ctx)
	return h.eventOf(e, h.Now()), nil
}

// CheckInInput is the input of check_in.
type CheckInInput struct {
	RSVPID string `json:"rsvp_id" jsonschema:"from the guest, or from list_rsvps"`
}

// CheckIn notes that the guest of an RSVP has come.
func (h *Host) CheckIn(ctx context.Context, in CheckInInput) (RSVP, error) {
	if err := identifier("rsvp_id", in.RSVPID); err != nil {
		return RSVP{}, err
	}
	r, err := h.Store.CheckIn(ctx, in.RSVPID)
	if err != nil {
		return RSVP{}, explain(err)
	}
	return rsvpOf(r), nil
}

// Arrive is [Host.CheckIn] that also says whether the guest had not come before.
func (h *Host) Arrive(ctx context.Context, in CheckInInput) (r RSVP, first bool, err error) {
	if err := identifier("rsvp_id", in.RSVPID); err != nil {
		return RSVP{}, false, err
	}
	arrived, first, err := h.Store.Arrive(ctx, in.RSVPID)
	if err != nil {
		return RSVP{}, false, explain(err)
	}
	return rsvpOf(arrived), first, nil
}
