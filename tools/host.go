package tools

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Host is one user's Host as its tools see it.
type Host struct {
	User    string       // the user's id, as in the Host's URL
	PayTo   x402.Address // where its guests pay to
	Store   *store.Host
	Cashier *payments.Cashier
	Cache   *Cache
	Notary  payments.Notary // signs offers and receipts; nil: nobody does
	Quota   Quota           // what the Host may grow by; nil: anything
	// Changed is told that an event was created, changed or cancelled, when that is
	// on the disk. Whatever comes of it, the call has succeeded. Nil: nobody is.
	Changed func(context.Context)
	Now     func() time.Time
	Rand    io.Reader // such as crypto/rand.Reader
}

// Quota says how much a Host may grow. Its refusals are [*Error] with
// [CodeOverLimit]. What has been paid for, or promised to be, is not asked for.
type Quota interface {
	// Event counts an event that is about to be created, unless there were too
	// many. undo is for when it was not created after all.
	Event(context.Context) (undo func(), err error)
	// Room refuses when the Host's file is as large as it may be.
	Room(context.Context) error
}

func (h *Host) room(ctx context.Context) error {
	if h.Quota == nil {
		return nil
	}
	return h.Quota.Room(ctx)
}

// Empty is the input of a tool without arguments.
type Empty struct{}

// ListEventsInput is the input of list_events.
type ListEventsInput struct {
	Query  string `json:"query,omitempty" jsonschema:"words to find in title, description or location"`
	From   string `json:"from,omitempty" jsonschema:"RFC 3339; events that end after it. Default: now"`
	To     string `json:"to,omitempty" jsonschema:"RFC 3339; events that start before it"`
	Limit  int    `json:"limit,omitempty" jsonschema:"1 to 100; default 20"`
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the previous answer"`
}

// ListEventsOutput is the output of list_events.
type ListEventsOutput struct {
	Events     []Event `json:"events"`
	NextCursor string  `json:"next_cursor,omitempty" jsonschema:"present when there are more"`
}

// ListEvents lists public events by their start, those to come unless `from` says
// otherwise.
func (h *Host) ListEvents(ctx context.Context, in ListEventsInput) (ListEventsOutput, error) {
	return h.listFor(ctx, in, false)
}

// ListAllEvents is [Host.ListEvents] with the unlisted ones: for callers who may
// list RSVPs.
func (h *Host) ListAllEvents(ctx context.Context, in ListEventsInput) (ListEventsOutput, error) {
	return h.listFor(ctx, in, true)
}

func (h *Host) listFor(ctx context.Context, in ListEventsInput, all bool) (ListEventsOutput, error) {
	q, err := in.query()
	if err != nil {
		return ListEventsOutput{}, err
	}
	q.Listed = !all
	out, _, err := h.list(ctx, q, h.Now())
	return out, err
}

// ListEventsJSON is what the caller may list, as JSON, which is remembered: most
// calls ask what was asked before.
func (c *Call) ListEventsJSON(ctx context.Context, in ListEventsInput) (json.RawMessage, error) {
	answer, err := c.listEvents(ctx, in)
	return answer.json, err
}

func (c *Call) listEvents(ctx context.Context, in ListEventsInput) (prepared, error) {
	h := c.Host
	q, err := in.query()
	if err != nil {
		return prepared{}, err
	}
	q.Listed = !c.mayCall("list_rsvps")
	now, asked := h.Now(), listing{h.User, q}
	stamp, settled := h.Store.Stamp() // before the file is read
	if answer, ok := h.Cache.lists.get(asked, stamp, now); ok {
		return answer, nil
	}
	out, until, err := h.list(ctx, q, now)
	if err != nil {
		return prepared{}, err
	}
	answer := prepare(mustJSON(out))
	if settled {
		h.Cache.lists.keep(asked, kept[prepared]{answer, stamp, until})
	}
	return answer, nil
}

// list also returns when the first of the events is over, and zero if none will
// be: until then the list stays what it is, if the file does.
func (h *Host) list(ctx context.Context, q store.EventQuery, now time.Time) (out ListEventsOutput, until time.Time, err error) {
	if q.From.IsZero() {
		q.From = now
	}
	events, next, err := h.Store.Events(ctx, q)
	if err != nil {
		return out, until, explain(err)
	}
	out = ListEventsOutput{Events: make([]Event, 0, len(events)), NextCursor: next}
	for _, e := range events {
		out.Events = append(out.Events, h.eventOf(e, now))
		if over := e.Over(); over.After(now) && (until.IsZero() || over.Before(until)) {
			until = over
		}
	}
	return out, until, nil
}

func (in ListEventsInput) query() (q store.EventQuery, err error) {
	if q.Text, err = line("query", in.Query, 0, maxQuery); err != nil {
		return q, err
	}
	if q.From, err = moment("from", in.From); err != nil {
		return q, err
	}
	if q.To, err = moment("to", in.To); err != nil {
		return q, err
	}
	q.Limit, err = limit(in.Limit)
	q.After = in.Cursor
	return q, err
}

// GetEventInput is the input of get_event.
type GetEventInput struct {
	EventID string `json:"event_id" jsonschema:"from list_events"`
}

// GetEvent returns one event.
func (h *Host) GetEvent(ctx context.Context, in GetEventInput) (Event, error) {
	if err := identifier("event_id", in.EventID); err != nil {
		return Event{}, err
	}
	e, err := h.event(ctx, in.EventID)
	if err != nil {
		return Event{}, explain(err)
	}
	return h.eventOf(e, h.Now()), nil
}

// CreateEventInput is the input of create_event.
type CreateEventInput struct {
	Title       string `json:"title" jsonschema:"1 to 200 characters"`
	Description string `json:"description,omitempty" jsonschema:"at most 10000 characters"`
	StartsAt    string `json:"starts_at" jsonschema:"RFC 3339 with a zone, in the future"`
	EndsAt      string `json:"ends_at,omitempty" jsonschema:"RFC 3339, after starts_at"`
	TimeZone    string `json:"time_zone,omitempty" jsonschema:"IANA name such as Europe/Berlin; default UTC"`
	Location    string `json:"location,omitempty" jsonschema:"at most 500 characters"`
	Capacity    int    `json:"capacity,omitempty" jsonschema:"seats, 0 to 1000000; 0 or absent is unlimited"`
	Price       USD    `json:"price,omitempty" jsonschema:"USD for one seat as a decimal string such as 2.50, at most 1000000 and 6 decimals; absent is free"`
	CancelUntil string `json:"cancel_until,omitempty" jsonschema:"RFC 3339, until when guests may cancel and are paid back, not after starts_at; one that has passed: never; absent: until the start"`
	Visibility  string `json:"visibility,omitempty" jsonschema:"public (the default): in lists; unlisted: for who knows its id"`
}

// CreateEvent adds an event. Owner only.
func (h *Host) CreateEvent(ctx context.Context, in CreateEventInput) (Event, error) {
	id, err := h.newID(eventPrefix, eventBytes)
	if err != nil {
		return Event{}, explain(err)
	}
	return h.create(ctx, id, in)
}

func (h *Host) create(ctx context.Context, id string, in CreateEventInput) (out Event, err error) {
	e, err := in.event(h.Now())
	if err != nil {
		return Event{}, err
	}
	e.ID = id
	if h.Quota != nil {
		undo, err := h.Quota.Event(ctx)
		if err != nil {
			return Event{}, explain(err)
		}
		defer func() {
			if out.ID == "" {
				undo()
			}
		}()
	}
	created, err := h.Store.CreateEvent(ctx, e)
	if err != nil {
		return Event{}, explain(err)
	}
	h.changed(ctx)
	return h.eventOf(created, h.Now()), nil
}

func (h *Host) changed(ctx context.Context) {
	if h.Changed != nil {
		h.Changed(ctx)
	}
}

func (in CreateEventInput) event(now time.Time) (e store.Event, err error) {
	err = UpdateEventInput{Title: &in.Title, Description: &in.Description, StartsAt: &in.StartsAt, EndsAt: &in.EndsAt,
		TimeZone: &in.TimeZone, Location: &in.Location, Capacity: &in.Capacity, Price: &in.Price,
		CancelUntil: &in.CancelUntil, Visibility: &in.Visibility}.apply(&e, now)
	return e, err
}

// newID returns a prefix and n random bytes in hex.
func (h *Host) newID(prefix string, n int) (string, error) {
	id := make([]byte, n)
	if _, err := io.ReadFull(h.Rand, id); err != nil {
		return "", err
	}
	return prefix + hex.EncodeToString(id), nil
}

// GetRevenueInput is the input of get_revenue.
type GetRevenueInput struct {
	EventID string `json:"event_id,omitempty" jsonschema:"one event; absent: all of them"`
}

// GetRevenue returns what was earned.
func (h *Host) GetRevenue(ctx context.Context, in GetRevenueInput) (Revenue, error) {
	if in.EventID != "" {
		if _, err := h.Store.Event(ctx, in.EventID); err != nil {
			return Revenue{}, explain(err)
		}
	}
	r, err := h.Store.Revenue(ctx, in.EventID)
	if err != nil {
		return Revenue{}, explain(err)
	}
	open, err := h.Store.OpenRefunds(ctx, in.EventID, maxRefunds)
	if err != nil {
		return Revenue{}, explain(err)
	}
	out := Revenue{EventID: in.EventID, Currency: "USDC", Settled: sumOf(r.Settled), Refunded: sumOf(r.Refunded),
		Pending: sumOf(r.Pending), Owed: sumOf(r.Owed), Refunds: make([]OpenRefund, 0, len(open))}
	for _, f := range open {
		out.Refunds = append(out.Refunds, OpenRefund{RSVPID: f.RSVPID, Refund: refundOf(f)})
	}
	return out, nil
}
