package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools/calendar"
)

// A Host's resources. Each belongs to one user, whose id is in its URI, so that an
// address that was passed on means the same event wherever it is read.
//
//	event://{user}              the events to come, as list_events tells them
//	event://{user}/{event}      one event, as get_event tells it
//	event://{user}/{event}.ics  the same for a calendar
//	ui://events/cards           the page that shows events in a chat; see apps.go
const (
	eventScheme      = "event://"
	eventTemplate    = eventScheme + "{user}/{event}"
	calendarSuffix   = ".ics"
	calendarTemplate = eventTemplate + calendarSuffix
	jsonType         = "application/json"
	calendarType     = "text/calendar"
	resourcePage     = 100 // resources in a page of their list
	maxURI           = 300 // bytes
)

// Resource is what a list says of something that can be read.
type Resource struct {
	URI, Name, Title, Description, MIMEType string
	Changed                                 string // RFC 3339; "": not known
}

// Content is what is read of a resource.
type Content struct {
	URI, MIMEType, Text string
	Meta                map[string]any
}

// errNoResource is told with the URI that was asked for.
var errNoResource = errors.New("there is no such resource at this host")

// ListResources returns a page of what the caller may read, and the cursor of the
// next one. Guests are shown the events to come; who may see RSVPs, all of them.
// Whatever is not in the list can still be read by its URI.
func (c *Call) ListResources(ctx context.Context, cursor string) (all []Resource, next string, err error) {
	q := store.EventQuery{Limit: resourcePage, After: cursor}
	if !c.mayCall("list_rsvps") {
		q.From, q.Listed = c.Host.Now(), true
	}
	events, next, err := c.Host.Store.Events(ctx, q)
	if err != nil {
		return nil, "", explain(err)
	}
	if cursor == "" {
		all = append(all, Resource{URI: eventScheme + c.Host.User, Name: c.Host.User, Title: "Events to come", MIMEType: jsonType,
			Description: "The first of this host's events to come, as list_events tells them."})
	}
	for _, e := range events {
		all = append(all, c.Host.resourceOf(e))
	}
	return all, next, nil
}

func (h *Host) resourceOf(e store.Event) Resource {
	about := stamp(e.StartsAt, h.zoneOf(e)) + " " + e.TimeZone
	if e.Location != "" {
		about += ", " + e.Location
	}
	return Resource{URI: h.uriOf(e.ID), Name: e.ID, Title: e.Title, MIMEType: jsonType,
		Description: fmt.Sprintf("%s, %s USDC a seat", about, e.Price.USD()), Changed: stamp(e.ChangedAt, time.UTC)}
}

func (h *Host) uriOf(event string) string { return eventScheme + h.User + "/" + event }

// ReadResource returns what a URI stands for. Errors: errNoResource, and those of
// the tools that tell the same.
func (c *Call) ReadResource(ctx context.Context, uri string) (Content, error) {
	if uri == cardsURI {
		return cards(), nil
	}
	event, list, err := c.Host.named(uri)
	if err != nil {
		return Content{}, err
	}
	if list {
		told, err := c.ListEventsJSON(ctx, ListEventsInput{})
		return Content{URI: uri, MIMEType: jsonType, Text: string(told)}, err
	}
	id, forCalendar := strings.CutSuffix(event, calendarSuffix)
	e, err := c.Host.GetEvent(ctx, GetEventInput{EventID: id})
	switch {
	case errors.Is(err, store.ErrEventNotFound):
		return Content{}, errNoResource
	case err != nil:
		return Content{}, err
	case forCalendar:
		text, err := c.Host.calendarOf(e)
		return Content{URI: uri, MIMEType: calendarType, Text: text}, err
	}
	return Content{URI: uri, MIMEType: jsonType, Text: string(mustJSON(e))}, nil
}

// calendarOf writes an event for a calendar, which takes a cancelled one out.
func (h *Host) calendarOf(e Event) (string, error) {
	entry := h.Entry(e, "")
	c := calendar.Calendar{Events: []calendar.Event{entry}}
	if entry.Cancelled {
		c.Method = calendar.Cancel
	}
	var b strings.Builder
	err := calendar.Write(&b, c)
	return b.String(), err
}

// named returns which event of this Host a URI names, or that it is their list.
func (h *Host) named(uri string) (event string, list bool, err error) {
	rest, ok := strings.CutPrefix(uri, eventScheme)
	user, event, one := strings.Cut(rest, "/")
	switch {
	case !ok || user != h.User || len(uri) > maxURI || one && identifier("event", strings.TrimSuffix(event, calendarSuffix)) != nil:
		return "", false, errNoResource
	case !one:
		return "", true, nil
	}
	return event, false, nil
}
