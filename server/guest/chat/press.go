package chat

import (
	"context"
	"fmt"
	"slices"

	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// press does what a button says. Host and event are named exactly, so neither rules
// nor a model have a part in which event is booked: another Host may have one of
// the same title, or id.
func (c *conversation) press(ctx context.Context, r Request, v *Visitor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		return errBusy
	}
	return c.begin(v, func() error {
		return c.keepLocked(ctx, store.ChatMessage{Role: store.RolePerson, Kind: kindSaid, Text: c.inWords(ctx, r)})
	}, func(t *turn) {
		if err := t.pressed(r); err != nil && t.ctx.Err() == nil {
			t.fail(codeOf(err), clip(err.Error(), maxDetail))
		}
		t.ended()
	})
}

// inWords is what somebody would have said instead of pressing a button. It is
// called with mu locked.
func (c *conversation) inWords(ctx context.Context, r Request) string {
	switch r.Type {
	case AskShow:
		return "Tell me about " + c.titleOf(ctx, r)
	case AskBook:
		return fmt.Sprintf("Book %s for %s", seatsInWords(max(1, r.Seats)), c.titleOf(ctx, r))
	case AskUnbook:
		return "Cancel " + clip(r.RSVP, maxID)
	}
	return "Connect to " + clip(r.Host, maxURL)
}

func seatsInWords(n int) string {
	if n == 1 {
		return "1 seat"
	}
	return fmt.Sprintf("%d seats", n)
}

// titleOf is the title of an event that was shown, or its id.
func (c *conversation) titleOf(ctx context.Context, r Request) string {
	kept, err := c.messages(ctx)
	if err == nil {
		for _, m := range slices.Backward(kept) {
			if e, ok := eventIn(m, r.Host, r.Event); ok && e.Title != "" {
				return e.Title
			}
		}
	}
	return clip(r.Event, maxID)
}

// pressed is what a button does.
func (t *turn) pressed(r Request) error {
	if r.Type == AskConnect {
		return t.followConnect(command{url: r.Host})
	}
	desk, err := t.at(false)
	if err != nil {
		return err
	}
	h, err := desk.Host(r.Host)
	if err != nil { // from a link, or it was left meanwhile
		t.progress("Connecting …")
		if err := t.add(r.Host); err != nil {
			return fmt.Errorf("there is no host that I can reach: %w", err)
		}
		if h, err = t.desk.Host(r.Host); err != nil {
			return err
		}
	}
	switch r.Type {
	case AskBook:
		return t.book(h, r.Event, r.Seats)
	case AskUnbook:
		name, err := t.toolOf(h.Address(), "cancel_rsvp")
		if err != nil {
			return err
		}
		return t.tool(name, map[string]string{"rsvp_id": r.RSVP})
	}
	return t.details(h, r.Event, 0)
}

// book books seats of an event of a Host.
func (t *turn) book(h *guest.Host, event string, seats int) error {
	name, err := t.toolOf(h.Address(), "rsvp_to_event")
	if err != nil {
		return err
	}
	t.progress("Booking …")
	return t.tool(name, guest.Wish{EventID: event, Seats: seats})
}

// details shows one event in full, which was the n-th of a list.
func (t *turn) details(h *guest.Host, event string, n int) error {
	now, err := h.Event(t.ctx, event)
	if err != nil {
		return err
	}
	full := listedOf(n, guest.FoundEvent{Host: h.Address(), Event: now}, maxDetail)
	text := full.line()
	for _, s := range []string{full.Location, full.Description} {
		if s != "" {
			text += "\n" + s
		}
	}
	t.show(kindEvent, text, full)
	return nil
}
