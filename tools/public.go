package tools

import (
	"context"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools/calendar"
)

// What a calendar that subscribes to a Host is told: the listed events from so
// long ago on, at most so many of them, the earliest first.
const (
	feedAge = 90 * 24 * time.Hour
	maxFeed = 1000
)

// PastEventsInput selects events that are over.
type PastEventsInput struct {
	Query  string
	Limit  int
	Cursor string
}

// PastEvents lists public events that are over, the last first.
func (h *Host) PastEvents(ctx context.Context, in PastEventsInput) (ListEventsOutput, error) {
	q := store.PastQuery{Now: h.Now(), After: in.Cursor}
	var err error
	if q.Text, err = line("query", in.Query, 0, maxQuery); err != nil {
		return ListEventsOutput{}, err
	}
	if q.Limit, err = limit(in.Limit); err != nil {
		return ListEventsOutput{}, err
	}
	events, next, err := h.Store.PastEvents(ctx, q)
	if err != nil {
		return ListEventsOutput{}, explain(err)
	}
	out := ListEventsOutput{Events: make([]Event, 0, len(events)), NextCursor: next}
	for _, e := range events {
		out.Events = append(out.Events, h.eventOf(e, q.Now))
	}
	return out, nil
}

// FeedState tells whether [Host.Feed] would return what it did before.
func (h *Host) FeedState(ctx context.Context) (store.Listing, error) {
	l, err := h.Store.Listing(ctx, h.Now().Add(-feedAge))
	return l, explain(err)
}

// Feed returns the public events for a calendar that subscribes to all of them:
// those to come and those of the last 90 days, cancelled ones too, so that they
// are struck out where they are.
func (h *Host) Feed(ctx context.Context) ([]Event, error) {
	now := h.Now()
	q := store.EventQuery{From: now.Add(-feedAge), Listed: true, Limit: store.MaxPage}
	all := []Event{}
	for {
		events, next, err := h.Store.Events(ctx, q)
		if err != nil {
			return nil, explain(err)
		}
		for _, e := range events {
			all = append(all, h.eventOf(e, now))
		}
		if q.After = next; next == "" || len(all) >= maxFeed {
			return all, nil
		}
	}
}

// Entry returns the event as it is in a calendar; page is its page's URL, or "".
func (h *Host) Entry(e Event, page string) calendar.Event {
	at := func(s string) time.Time {
		t, _ := time.Parse(time.RFC3339, s) // made by stamp, or ""
		return t
	}
	return calendar.Event{
		UID: calendar.UID(h.User, e.ID), Sequence: e.Revision, Created: at(e.CreatedAt), Changed: at(e.ChangedAt),
		Start: at(e.StartsAt), End: at(e.EndsAt), Zone: e.TimeZone, Title: e.Title, Description: e.Description,
		Price: priceLine(e), Location: e.Location, URL: page, Cancelled: e.Status == string(store.StatusCancelled),
	}
}

func priceLine(e Event) string {
	if e.Free() {
		return "Free"
	}
	return "$" + e.Price + " a seat, in USDC"
}

// Free reports whether the event costs nothing.
func (e Event) Free() bool { return e.Price == x402.Amount(0).USD() }
