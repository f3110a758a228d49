package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// lookers is how many Hosts are asked at a time for what was found.
const lookers = 8

// Find returns a page of public events to come of all Hosts, in the order of their
// start, as their Hosts have them now, and the cursor of the next page. Those that
// the index has and their Hosts have not any more are left out, so a page may be
// shorter than was asked for, and have a next one. The links are not set. Errors are
// [*tools.Error].
func (x *Index) Find(ctx context.Context, in tools.FindEventsInput) ([]tools.FoundEvent, string, error) {
	q, err := in.Find()
	if err != nil {
		return nil, "", err
	}
	var found []store.IndexedEvent
	var next string
	if err := x.with(func(f *store.Index) (err error) { found, next, err = f.Find(ctx, q); return err }); err != nil {
		return nil, "", unavailable(err)
	}
	events, err := x.look(ctx, found)
	return events, next, err
}

// look asks the Hosts for events, several at a time.
func (x *Index) look(ctx context.Context, found []store.IndexedEvent) ([]tools.FoundEvent, error) {
	events := make([]tools.FoundEvent, len(found))
	places := make(chan struct{}, lookers)
	var wg sync.WaitGroup
	for i, f := range found {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			events[i] = x.live(ctx, f)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, tools.Explain(err)
	}
	there := events[:0]
	for _, e := range events {
		if e.ID != "" {
			there = append(there, e)
		}
	}
	return there, nil
}

// live returns an event that was found as it is now, or nothing if it is none of
// those that are found any more.
func (x *Index) live(ctx context.Context, f store.IndexedEvent) (e tools.FoundEvent) {
	event, err := x.event(ctx, f.User, f.ID)
	switch {
	case err != nil:
		var coded *tools.Error
		if errors.Is(err, store.ErrUserNotFound) || errors.As(err, &coded) && coded.Code == tools.CodeEventNotFound {
			x.again(f.User)
		} else if ctx.Err() == nil {
			x.hosts.Log.Debug("look up an event that was found", "user", f.User, "event", f.ID, "err", err)
		}
		return e
	case event.Revision != f.Revision:
		x.again(f.User)
	}
	if event.Visibility != tools.Public || event.Status != string(store.StatusOpen) && event.Status != string(store.StatusFull) {
		return e
	}
	return tools.FoundEvent{Event: event, Host: tools.HostLinks{User: f.User}}
}

func (x *Index) event(ctx context.Context, user, id string) (tools.Event, error) {
	h, err := x.hosts.Host(ctx, user)
	if err != nil {
		return tools.Event{}, err
	}
	return h.GetEvent(ctx, tools.GetEventInput{EventID: id})
}

// unavailable says that there is no index, in words for the caller.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrCursor) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return tools.Explain(err)
	}
	return tools.Explain(fmt.Errorf("the index of events: %w", err))
}
