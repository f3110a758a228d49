package tools

import (
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// What follows is for an owner's pages: lists that clients of MCP do not need.
// Who may call what is up to the caller: see [Call.May] with the name of the tool
// that each method says it is like.

// Sums are what became of payments; see [Revenue].
type Sums struct{ Settled, Refunded, Owed, Pending Sum }

func sumsOf(r store.Revenue) Sums {
	return Sums{Settled: sumOf(r.Settled), Refunded: sumOf(r.Refunded), Owed: sumOf(r.Owed), Pending: sumOf(r.Pending)}
}

// None reports whether nobody has paid anything.
func (s Sums) None() bool { return s == sumsOf(store.Revenue{}) }

// OwnEvent is an event as its owner sees it.
type OwnEvent struct {
	Event
	SeatsTaken int
	Sums       Sums
}

// ShelfInput selects events of an owner.
type ShelfInput struct {
	Shelf  store.Shelf
	Query  string
	Limit  int
	Cursor string
}

// Shelf returns a page of an owner's events, and the cursor of the next one. It is
// like list_events and get_revenue.
func (h *Host) Shelf(ctx context.Context, in ShelfInput) (events []OwnEvent, next string, err error) {
	q := store.ShelfQuery{Shelf: in.Shelf, Now: h.Now(), After: in.Cursor}
	if q.Text, err = line("query", in.Query, 0, maxQuery); err != nil {
		return nil, "", err
	}
	if q.Limit, err = limit(in.Limit); err != nil {
		return nil, "", err
	}
	found, next, err := h.Store.Shelf(ctx, q)
	if errors.Is(err, store.ErrInvalid) {
		return nil, "", invalid("There is no such list. The lists are upcoming, past, cancelled and paid.")
	}
	if err != nil {
		return nil, "", explain(err)
	}
	for _, e := range found {
		events = append(events, OwnEvent{Event: h.eventOf(e.Event, q.Now), SeatsTaken: e.SeatsTaken, Sums: sumsOf(e.Revenue)})
	}
	return events, next, nil
}

// OwnEvent returns an event with what it came to. It is like get_event and
// get_revenue.
func (h *Host) OwnEvent(ctx context.Context, id string) (OwnEvent, error) {
	if err := identifier("event_id", id); err != nil {
		return OwnEvent{}, err
	}
	e, err := h.event(ctx, id)
	if err != nil {
		return OwnEvent{}, explain(err)
	}
	r, err := h.Store.Revenue(ctx, id)
	if err != nil {
		return OwnEvent{}, explain(err)
	}
	return OwnEvent{Event: h.eventOf(e, h.Now()), SeatsTaken: e.SeatsTaken, Sums: sumsOf(r)}, nil
}

// eventBytes is how many random bytes an event's id has.
const eventBytes = 10

// NewEventKey returns a key for [Host.CreateEventOnce].
func (h *Host) NewEventKey() (string, error) {
	key, err := h.newID("", eventBytes)
	return key, explain(err)
}

// CreateEventOnce is [Host.CreateEvent] for a form that may be sent twice: with the
// key of an event that is there already it returns that one, if it is what was sent.
func (h *Host) CreateEventOnce(ctx context.Context, key string, in CreateEventInput) (Event, error) {
	if raw, err := hex.DecodeString(key); err != nil || len(raw) != eventBytes || key != strings.ToLower(key) {
		return Event{}, invalid("The form is incomplete. Open it anew.")
	}
	id := eventPrefix + key
	made, err := h.Store.Event(ctx, id)
	if errors.Is(err, store.ErrEventNotFound) {
		created, createErr := h.create(ctx, id, in)
		if !errors.Is(createErr, store.ErrEventExists) {
			return created, createErr
		}
		made, err = h.Store.Event(ctx, id) // by another copy of the form, just now
	}
	if err != nil {
		return Event{}, explain(err)
	}
	// What was valid when the event was made may have begun since.
	same, err := in.event(made.CreatedAt)
	if err != nil {
		return Event{}, err
	}
	return h.once(made, same)
}

// once returns an event that was made, if it was made of the same.
func (h *Host) once(made, sent store.Event) (Event, error) {
	as := made
	as.Title, as.Description, as.Location, as.TimeZone = sent.Title, sent.Description, sent.Location, sent.TimeZone
	as.StartsAt, as.EndsAt, as.CancelUntil = sent.StartsAt, sent.EndsAt, sent.CancelUntil
	as.Capacity, as.Price, as.Unlisted = sent.Capacity, sent.Price, sent.Unlisted
	if as != made {
		return Event{}, &Error{Code: CodeEventChanged, Message: "From this form the event has been made already, as it was then. Nothing is changed: open the event to edit it, or a new form for another."}
	}
	return h.eventOf(made, h.Now()), nil
}

// Preview returns an event as guests would see it if it were created, or, with the
// id of one that is there, changed. Nothing is changed.
func (h *Host) Preview(ctx context.Context, id string, in CreateEventInput) (Event, error) {
	if id == "" {
		e, err := in.event(h.Now())
		return h.eventOf(e, h.Now()), err
	}
	is, err := h.event(ctx, id)
	if err != nil {
		return Event{}, explain(err)
	}
	e, err := in.event(is.CreatedAt) // it may have begun, and stay as it is
	e.ID, e.SeatsTaken = is.ID, is.SeatsTaken
	return h.eventOf(e, h.Now()), err
}

// Problems returns what is wrong with each of the fields of an event that is to be
// created, by their names in JSON. What is wrong between two fields is not among it.
func (in CreateEventInput) Problems(now time.Time) map[string]error {
	all := map[string]error{}
	for name, one := range map[string]UpdateEventInput{
		"title": {Title: &in.Title}, "description": {Description: &in.Description}, "starts_at": {StartsAt: &in.StartsAt},
		"time_zone": {TimeZone: &in.TimeZone}, "location": {Location: &in.Location}, "capacity": {Capacity: &in.Capacity},
		"price": {Price: &in.Price}, "visibility": {Visibility: &in.Visibility},
	} {
		if err := one.apply(&store.Event{}, now); err != nil {
			all[name] = err
		}
	}
	return all
}

// Attendance counts an event's RSVPs. It is like list_rsvps.
func (h *Host) Attendance(ctx context.Context, eventID string) (store.Attendance, error) {
	a, err := h.Store.Attendance(ctx, eventID)
	return a, explain(err)
}

// FindRSVPsInput selects RSVPs of an event.
type FindRSVPsInput struct {
	EventID string
	Query   string // to be found in name, email, payer or id
	// Filter is a status, or "here" or "expected": confirmed, and checked in or
	// not. Empty: any.
	Filter string
	Limit  int
	Cursor string
}

// FindRSVPs returns a page of an event's RSVPs, the newest first. A page may be
// short, or empty, and have a cursor nevertheless: then there are more to look
// through. It is like list_rsvps; only for who may see the ids of RSVPs.
func (h *Host) FindRSVPs(ctx context.Context, in FindRSVPsInput) (out ListRSVPsOutput, err error) {
	q := store.RSVPQuery{EventID: in.EventID, IDs: true, Newest: true, After: in.Cursor}
	if err := identifier("event_id", in.EventID); err != nil {
		return out, err
	}
	if q.Text, err = line("query", in.Query, 0, maxQuery); err != nil {
		return out, err
	}
	if q.Limit, err = limit(in.Limit); err != nil {
		return out, err
	}
	switch status := store.RSVPStatus(in.Filter); status {
	case "here", "expected":
		here := status == "here"
		q.Here = &here
	case "", store.RSVPConfirmed, store.RSVPPending, store.RSVPCancelled, store.RSVPRefunded, store.RSVPFailed:
		q.Status = status
	default:
		return out, invalid("There is no such filter of RSVPs.")
	}
	rsvps, next, err := h.Store.FindRSVPs(ctx, q)
	if err != nil {
		return out, explain(err)
	}
	out = ListRSVPsOutput{RSVPs: make([]RSVP, 0, len(rsvps)), NextCursor: next}
	for _, r := range rsvps {
		out.RSVPs = append(out.RSVPs, rsvpOf(r))
	}
	return out, nil
}

// EachRSVP returns all RSVPs of an event in the order of their making, read in
// pages: those that are made meanwhile come as well. It is like list_rsvps.
func (h *Host) EachRSVP(ctx context.Context, eventID string) iter.Seq2[RSVP, error] {
	return everyOf(func(cursor string) ([]store.RSVP, string, error) {
		return h.Store.FindRSVPs(ctx, store.RSVPQuery{EventID: eventID, Limit: store.MaxPage, After: cursor})
	}, rsvpOf)
}

// everyOf goes through all pages of a list. It ends with the first error.
func everyOf[In, Out any](page func(cursor string) ([]In, string, error), convert func(In) Out) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		for cursor := ""; ; {
			rows, next, err := page(cursor)
			if err != nil {
				var none Out
				yield(none, explain(err))
				return
			}
			for _, row := range rows {
				if !yield(convert(row), nil) {
					return
				}
			}
			if cursor = next; next == "" {
				return
			}
		}
	}
}

// LedgerEntry is a payment of a guest.
type LedgerEntry struct {
	At          string // RFC 3339, UTC: when it was begun
	EventID     string
	Event       string // its title
	RSVPID      string
	Payer       string
	Amount      Sum
	State       string // settled, refunded, owed, pending or failed
	Network     string
	Transaction string
	Refund      *Refund
}

// EachPayment returns all payments that were begun at from or later and before to,
// in their order; a zero time is no bound. It is like get_revenue.
func (h *Host) EachPayment(ctx context.Context, from, to time.Time) iter.Seq2[LedgerEntry, error] {
	return everyOf(func(cursor string) ([]store.Entry, string, error) {
		return h.Store.Entries(ctx, store.LedgerQuery{From: from, To: to, Limit: store.MaxPage, After: cursor})
	}, entryOf)
}

func entryOf(e store.Entry) LedgerEntry {
	p := e.Payment
	out := LedgerEntry{At: stamp(p.CreatedAt, time.UTC), EventID: e.EventID, Event: e.Event, RSVPID: p.RSVPID, Payer: p.Payer.String(),
		Amount: sumOf(p.Amount), State: ledgerState(p, e.Refund), Network: string(p.Network)}
	if p.Transaction != (x402.Bytes32{}) {
		out.Transaction = p.Transaction.String()
	}
	if e.Refund != nil {
		r := refundOf(*e.Refund)
		out.Refund = &r
	}
	return out
}

// ledgerState says to which of the four sums a payment belongs, if to any.
func ledgerState(p payments.Payment, refund *payments.Payment) string {
	switch {
	case p.State == payments.Settling:
		return "pending"
	case p.State != payments.Settled && p.State != payments.Owed:
		return "failed"
	case refund == nil:
		return "settled"
	case refund.State == payments.Settled:
		return "refunded"
	}
	return "owed"
}
