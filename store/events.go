package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Event is what seats are booked at. Times are kept to the millisecond.
type Event struct {
	ID          string
	Title       string
	Description string
	StartsAt    time.Time
	EndsAt      time.Time // zero: not said
	TimeZone    string    // IANA name
	Location    string
	Capacity    int // seats there are; 0: unlimited
	SeatsTaken  int // by confirmed and pending RSVPs
	Price       x402.Amount
	Cancelled   bool
	CancelUntil time.Time // when guests may no longer cancel; zero: StartsAt
	Unlisted    bool      // it is in no list for guests
	CreatedAt   time.Time
	// Revision is a number of its Host's that rises: a change of the event gives it
	// one that no event of the Host had before. A booking is none, and neither is a
	// cancelled one.
	Revision  int64
	ChangedAt time.Time // when it got its revision
}

// CutOff is when guests may no longer cancel: at the start at the latest.
func (e Event) CutOff() time.Time {
	if e.CancelUntil.IsZero() || e.CancelUntil.After(e.StartsAt) {
		return e.StartsAt
	}
	return e.CancelUntil
}

// Status of an event.
type Status string

// What an event can be; the first that applies, from the bottom up.
const (
	StatusOpen      Status = "open"
	StatusFull      Status = "full"
	StatusPast      Status = "past"
	StatusCancelled Status = "cancelled"
)

// Over is when the event is over: at its end, or its start if it has no end.
func (e Event) Over() time.Time {
	if e.EndsAt.IsZero() {
		return e.StartsAt
	}
	return e.EndsAt
}

// Status tells whether the event can be booked at now.
func (e Event) Status(now time.Time) Status {
	switch {
	case e.Cancelled:
		return StatusCancelled
	case !now.Before(e.Over()):
		return StatusPast
	case e.Capacity > 0 && e.SeatsTaken >= e.Capacity:
		return StatusFull
	}
	return StatusOpen
}

// CreateEvent adds an event and returns it as it is kept: nobody has booked it
// and CreatedAt and ChangedAt are now, whatever e says. Errors: [ErrEventExists], and
// [ErrInvalid] for an event without id or start, with an end before its start,
// or with a negative number.
func (h *Host) CreateEvent(ctx context.Context, e Event) (Event, error) {
	const what = "create an event"
	if err := e.check(); err != nil {
		return Event{}, fmt.Errorf("%s: %w", what, err)
	}
	e.truncate()
	e.SeatsTaken = 0
	err := h.write(ctx, what, func(ctx context.Context, t *tx) error {
		e.CreatedAt = truncate(t.now)
		if err := e.revise(ctx, t); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO events (id, title, description, starts_at, ends_at, time_zone, location,
				capacity, price, cancelled, cancel_until, unlisted, created_at, revision, changed_at, search)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.ID, e.Title, e.Description, millis(e.StartsAt), millis(e.EndsAt), e.TimeZone, e.Location,
			e.Capacity, e.Price, e.Cancelled, millis(e.CancelUntil), e.Unlisted, millis(e.CreatedAt),
			e.Revision, millis(e.ChangedAt), e.search())
		if duplicate(err) {
			return ErrEventExists
		}
		return err
	})
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// revise gives the event the next revision of its Host.
func (e *Event) revise(ctx context.Context, t *tx) error {
	e.ChangedAt = truncate(t.now)
	return t.row(ctx, nextRevision).Scan(&e.Revision)
}

const nextRevision = `SELECT coalesce(max(revision), 0) + 1 FROM events`

// truncate makes the times what they will be read back as.
func (e *Event) truncate() {
	e.StartsAt, e.EndsAt, e.CancelUntil = truncate(e.StartsAt), truncate(e.EndsAt), truncate(e.CancelUntil)
}

// check finds what the schema would refuse, and says it better.
func (e Event) check() error {
	switch {
	case e.ID == "":
		return fmt.Errorf("%w: no id", ErrInvalid)
	case e.StartsAt.IsZero():
		return fmt.Errorf("%w: no start", ErrInvalid)
	case !e.EndsAt.IsZero() && e.EndsAt.Before(e.StartsAt):
		return fmt.Errorf("%w: it ends before it starts", ErrInvalid)
	case e.Capacity < 0 || e.Price < 0:
		return fmt.Errorf("%w: negative", ErrInvalid)
	}
	return nil
}

// search is the text that queries look into. The separator keeps a query from
// matching across two fields.
func (e Event) search() string {
	return fold(strings.Join([]string{e.Title, e.Description, e.Location}, "\x1f"))
}

// fold makes texts comparable without regard to case.
func fold(s string) string { return strings.ToLower(s) }

// Event returns one event. Errors: [ErrEventNotFound].
func (h *Host) Event(ctx context.Context, id string) (Event, error) {
	return view(ctx, h.handle, "read an event", func(ctx context.Context, q *statements) (Event, error) {
		return event(ctx, q, id)
	})
}

const eventColumns = `id, title, description, starts_at, ends_at, time_zone, location,
	capacity, seats_taken, price, cancelled, cancel_until, unlisted, created_at, revision, changed_at`

func event(ctx context.Context, q rowQuerier, id string) (Event, error) {
	e, err := scanEvent(q.row(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Event{}, ErrEventNotFound
	}
	return e, err
}

func scanEvent(s scanner) (e Event, err error) {
	err = s.Scan(&e.ID, &e.Title, &e.Description, asTime{&e.StartsAt}, asTime{&e.EndsAt}, &e.TimeZone, &e.Location,
		&e.Capacity, &e.SeatsTaken, &e.Price, &e.Cancelled, asTime{&e.CancelUntil}, &e.Unlisted, asTime{&e.CreatedAt},
		&e.Revision, asTime{&e.ChangedAt})
	return e, err
}

// EventQuery selects events. The zero value selects all of them.
type EventQuery struct {
	// Text must occur in title, description or location, in upper or lower
	// case. It has no wildcards.
	Text string
	// From and To select events that go on at some time between the two, both
	// included: that end (or start, if they have no end) at From or later, and
	// start at To or earlier. Zero: no bound.
	From, To time.Time
	Listed   bool   // without those that are unlisted
	Limit    int    // events a page; 0: [DefaultPage]; at most [MaxPage]
	After    string // where the last page ended; "": from the beginning
}

// Events returns a page of events in the order of their start, and the cursor
// of the next page, "" if this is the last. Errors: [ErrCursor].
func (h *Host) Events(ctx context.Context, q EventQuery) (events []Event, next string, err error) {
	const what = "list events"
	limit := pageSize(q.Limit)
	after, err := decode("event", q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	events, err = view(ctx, h.handle, what, func(ctx context.Context, s *statements) ([]Event, error) {
		if after, err = passOver(ctx, s, after, q.From); err != nil {
			return nil, err
		}
		return list(ctx, s, scanEvent, `SELECT `+eventColumns+` FROM events
			WHERE (starts_at, id) > (?1, ?2) AND starts_at <= ?3 AND over_at >= ?4
				AND (?5 = '' OR instr(search, ?5) > 0) AND unlisted <= ?6
			ORDER BY starts_at, id LIMIT ?7`,
			after.n, after.id, bound(q.To, never), bound(q.From, always), fold(q.Text), !q.Listed, limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	events, next = page(events, limit, "event", func(e Event) position {
		return position{e.StartsAt.UnixMilli(), e.ID}
	})
	return events, next, nil
}

// Changes returns events whose revision is above after, in the order of their
// revisions, at most limit, and the highest revision that there was just before.
func (h *Host) Changes(ctx context.Context, after int64, limit int) (events []Event, highest int64, err error) {
	events, err = view(ctx, h.handle, "list changes of events", func(ctx context.Context, q *statements) ([]Event, error) {
		if err := q.row(ctx, `SELECT coalesce(max(revision), 0) FROM events`).Scan(&highest); err != nil {
			return nil, err
		}
		return list(ctx, q, scanEvent, `SELECT `+eventColumns+` FROM events WHERE revision > ? ORDER BY revision LIMIT ?`, after, limit)
	})
	return events, highest, err
}

// passOver returns the position of the first event that may still go on at a
// time, if that is later than after: those that end earlier are not looked at,
// however many they are, unless one of them is very long.
func passOver(ctx context.Context, q rowQuerier, after position, from time.Time) (position, error) {
	if from.IsZero() {
		return after, nil
	}
	var longest int64
	if err := q.row(ctx, `SELECT coalesce(max(over_at - starts_at), 0) FROM events`).Scan(&longest); err != nil {
		return after, err
	}
	if first := from.UnixMilli() - longest; first > after.n {
		return position{n: first}, nil
	}
	return after, nil
}
