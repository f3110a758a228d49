package tools

import (
	"log/slog"
	"strings"
)

// AppendAttrs appends what a log says of a call that has been answered. Of what the
// caller wrote there is nothing but the id of an event, if it may be one.
func (c *Call) AppendAttrs(attrs []slog.Attr) []slog.Attr {
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("tool", c.Tool)
	add("event", c.Event)
	add("payer", c.Payer)
	add("amount", c.Amount)
	if c.Receipt != nil {
		add("tx", c.Receipt.Transaction)
	}
	return attrs
}

// eventPrefix is before the digits of an event's id.
const eventPrefix = "evt_"

// eventful is an input or an output that is about one event.
type eventful interface{ event() string }

// about notes the event that something is about, if it is about one.
func (c *Call) about(v any) {
	if e, ok := v.(eventful); ok && IsEventID(e.event()) {
		c.Event = e.event()
	}
}

// IsEventID reports whether a text has the form of an event's id.
func IsEventID(s string) bool {
	digits, ok := strings.CutPrefix(s, eventPrefix)
	return ok && digits != "" && len(s) <= maxID && strings.Trim(digits, "0123456789abcdef") == ""
}

func (in GetEventInput) event() string    { return in.EventID }
func (in RSVPInput) event() string        { return in.EventID }
func (in UpdateEventInput) event() string { return in.EventID }
func (in CancelEventInput) event() string { return in.EventID }
func (in ListRSVPsInput) event() string   { return in.EventID }
func (in GetRevenueInput) event() string  { return in.EventID }
func (e Event) event() string             { return e.ID }
func (r RSVP) event() string              { return r.EventID }
