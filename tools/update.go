package tools

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/events-concierge/concierge/store"
)

// UpdateEventInput is the input of update_event.
type UpdateEventInput struct {
	EventID     string  `json:"event_id" jsonschema:"from list_events"`
	Revision    *int64  `json:"revision,omitempty" jsonschema:"revision of the event as you know it: when it has another by now, nothing is changed"`
	Title       *string `json:"title,omitempty" jsonschema:"1 to 200 characters"`
	Description *string `json:"description,omitempty" jsonschema:"at most 10000 characters"`
	StartsAt    *string `json:"starts_at,omitempty" jsonschema:"RFC 3339 with a zone, in the future"`
	EndsAt      *string `json:"ends_at,omitempty" jsonschema:"RFC 3339, after starts_at; an empty text: no end"`
	TimeZone    *string `json:"time_zone,omitempty" jsonschema:"IANA name such as Europe/Berlin"`
	Location    *string `json:"location,omitempty" jsonschema:"at most 500 characters"`
	Capacity    *int    `json:"capacity,omitempty" jsonschema:"seats, 0 to 1000000, and no fewer than are taken; 0 is unlimited"`
	Price       *USD    `json:"price,omitempty" jsonschema:"USD for one seat as a decimal string, for new bookings only; 0 is free"`
	CancelUntil *string `json:"cancel_until,omitempty" jsonschema:"RFC 3339, not after starts_at, and not earlier than it was while seats are taken; an empty text: until the start"`
	Visibility  *string `json:"visibility,omitempty" jsonschema:"public: in lists; unlisted: for who knows its id"`
}

// UpdateEvent changes what is sent of an event that is to come; the rest stays.
// Owner only.
func (h *Host) UpdateEvent(ctx context.Context, in UpdateEventInput) (Event, error) {
	if err := identifier("event_id", in.EventID); err != nil {
		return Event{}, err
	}
	var taken int
	e, err := h.Store.UpdateEvent(ctx, in.EventID, func(e *store.Event) error {
		taken = e.SeatsTaken
		if in.Revision != nil && *in.Revision != e.Revision {
			return &Error{Code: CodeEventChanged, Message: "The event has been changed since. Call get_event to see how, and send its revision. Nothing is changed."}
		}
		return in.apply(e, h.Now())
	})
	switch {
	case errors.Is(err, store.ErrSeatsTaken):
		return Event{}, invalid("capacity is %d, but %d seats are taken. Send %d or more, or 0 for unlimited.", *in.Capacity, taken, taken)
	case errors.Is(err, store.ErrCutOff):
		return Event{}, invalid("cancel_until is earlier than it was when guests booked. Send the same time or a later one.")
	case err != nil:
		return Event{}, explain(err)
	}
	h.changed(ctx)
	return h.eventOf(e, h.Now()), nil
}

// apply validates what is sent and changes e, which is good for nothing after
// an error.
func (in UpdateEventInput) apply(e *store.Event, now time.Time) error {
	err := cmp.Or(
		read(in.Title, &e.Title, func(s string) (string, error) { return line("title", s, 1, maxTitle) }),
		read(in.Description, &e.Description, func(s string) (string, error) { return s, length("description", s, 0, maxDescription) }),
		read(in.StartsAt, &e.StartsAt, func(s string) (time.Time, error) { return start(s, now) }),
		read(in.EndsAt, &e.EndsAt, func(s string) (time.Time, error) { return moment("ends_at", s) }),
		read(in.TimeZone, &e.TimeZone, zone),
		read(in.Location, &e.Location, func(s string) (string, error) { return line("location", s, 0, maxLocation) }),
		read(in.Capacity, &e.Capacity, func(n int) (int, error) { return n, between("capacity", n, 0, maxCapacity) }),
		read(in.Price, &e.Price, price),
		read(in.CancelUntil, &e.CancelUntil, func(s string) (time.Time, error) { return moment("cancel_until", s) }),
		read(in.Visibility, &e.Unlisted, func(s string) (bool, error) { return unlisted(s, e.Unlisted) }),
	)
	switch {
	case err != nil:
		return err
	case !e.EndsAt.IsZero() && !e.EndsAt.After(e.StartsAt):
		return invalid("ends_at is not after starts_at. Send a later time, or none.")
	case in.CancelUntil != nil && e.CancelUntil.After(e.StartsAt):
		return invalid("cancel_until is after starts_at. Send an earlier time, or none to let guests cancel until the start.")
	}
	return nil
}

// read reads an argument that was sent.
func read[In, Out any](from *In, to *Out, parse func(In) (Out, error)) (err error) {
	if from != nil {
		*to, err = parse(*from)
	}
	return err
}

func start(s string, now time.Time) (time.Time, error) {
	t, err := moment("starts_at", s)
	switch {
	case err != nil:
		return t, err
	case t.IsZero():
		return t, invalid("starts_at is missing. Send RFC 3339 with a zone, such as 2027-03-14T19:30:00+01:00.")
	}
	return t, future("starts_at", t, now)
}
