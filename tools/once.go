package tools

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
)

const rsvpPrefix = "rsvp_"

// NewRSVPID returns an id for [Call.BookOnce].
func (h *Host) NewRSVPID() (string, error) {
	id, err := payments.NewID(rsvpPrefix, h.Now(), h.Rand)
	return id, explain(err)
}

// BookOnce books seats at a free event for who sends a form, which may be sent
// twice: id is one of [Host.NewRSVPID] that came with the form, and whatever is
// sent with it again is answered with the RSVP that it has become. It is like
// rsvp_to_event.
func (c *Call) BookOnce(ctx context.Context, in RSVPInput, id string) (RSVP, error) {
	b, err := c.Host.booking(in)
	if err != nil {
		return RSVP{}, err
	}
	if b.RSVPID = id; !isRSVPID(id) {
		return RSVP{}, invalid("The form is damaged. Open the event's page again.")
	}
	if r, err := c.booked(ctx, b); r.ID != "" || err != nil {
		return r, err
	}
	if c.Spent != nil {
		return RSVP{}, c.Spent
	}
	out, err := c.Host.bookFree(ctx, b)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, store.ErrPriced):
		return RSVP{}, &Error{Code: CodeNotAllowed, cause: err, Message: "The event has a price now, so it can't be booked here. Nothing was booked."}
	}
	// The same form, sent at the same time, may be what stands in the way.
	if r, again := c.booked(ctx, b); r.ID != "" && again == nil {
		return r, nil
	}
	return RSVP{}, err
}

// booked returns the RSVP of a form that was sent before, or none.
func (c *Call) booked(ctx context.Context, b payments.Booking) (RSVP, error) {
	r, err := c.Host.Store.RSVP(ctx, b.RSVPID)
	switch {
	case errors.Is(err, store.ErrRSVPNotFound):
		return RSVP{}, nil
	case err != nil:
		return RSVP{}, explain(err)
	case r.EventID != b.EventID:
		return RSVP{}, invalid("This form was sent for another event. Open the event's page again.")
	}
	return rsvpOf(r), nil
}

// isRSVPID reports whether s is like what [payments.NewID] makes.
func isRSVPID(s string) bool {
	digits, ok := strings.CutPrefix(s, rsvpPrefix)
	raw, err := hex.DecodeString(digits)
	return ok && err == nil && len(raw) == 22 && hex.EncodeToString(raw) == digits
}
