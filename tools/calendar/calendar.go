package calendar

import (
	"io"
	"time"

	ics "github.com/arran4/golang-ical"
)

// ContentType of what [Write] writes.
const ContentType = "text/calendar; charset=utf-8"

// Method says what a calendar is to do with what it gets (RFC 5546).
type Method string

// The methods of a calendar that asks nobody to come. The zero Method is Publish.
const (
	Publish Method = "PUBLISH" // these are the events as they are now
	Cancel  Method = "CANCEL"  // take these events out
)

// refresh is how often who subscribes to a feed should read it again.
const refresh = "PT1H"

// Calendar is some events.
type Calendar struct {
	// Name is what subscribers see; "": the events are to be opened once.
	Name   string
	Method Method
	Events []Event
}

// Event is an entry of a calendar. Texts may hold anything: what iCalendar has no
// room for, control characters and bytes that are no UTF-8, is left out.
type Event struct {
	UID      string    // stays what it is through all changes; see [UID]
	Sequence int64     // greater after each change
	Created  time.Time // zero: not said
	Changed  time.Time
	Start    time.Time // whole seconds; the rest is cut off
	End      time.Time // zero: not said
	Zone     string    // IANA name of the zone it takes place in; unknown or "": UTC
	Title    string
	// Description, Price and URL are one text in the calendar, since many show no
	// other: Google's shows no URL. Each may be "".
	Description string
	Price       string // such as "$2.50 a seat"
	Location    string
	URL         string // the event's page
	Cancelled   bool
}

// UID returns the id of a user's event. It has no name of a server in it, so that
// the entry stays one when the server moves.
func UID(user, event string) string { return event + "@" + user }

// Write writes a calendar. The same calendar gives the same bytes.
func Write(w io.Writer, c Calendar) error {
	// No ORGANIZER, though RFC 5546 wants one: it would be the owner's email, which
	// is nobody's business, and makes clients offer to answer it.
	out := ics.NewCalendarFor("")
	out.SetProductId("-//Events Concierge//Events Concierge//EN")
	out.SetCalscale("GREGORIAN")
	out.SetMethod(ics.Method(orPublish(c.Method)))
	if c.Name != "" {
		out.SetName(line(c.Name))
		out.SetRefreshInterval(refresh)
		out.SetXPublishedTTL(refresh)
	}
	zones, entries := zones{}, make([]*ics.VEvent, 0, len(c.Events))
	for _, e := range c.Events {
		entries = append(entries, e.entry(zones))
	}
	zones.addTo(out)
	for _, e := range entries {
		out.AddVEvent(e)
	}
	return out.SerializeTo(w, ics.WithNewLineWindows)
}

func orPublish(m Method) Method {
	if m == "" {
		return Publish
	}
	return m
}
