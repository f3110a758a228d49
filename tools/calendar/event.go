package calendar

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	ics "github.com/arran4/golang-ical"
)

const (
	utcForm   = "20060102T150405Z"
	localForm = "20060102T150405"
	lastYear  = 9998 // that has a form in every zone
)

func (e Event) entry(zones zones) *ics.VEvent {
	out := ics.NewEvent(line(e.UID))
	out.SetDtStampTime(e.Changed)
	out.SetModifiedAt(e.Changed)
	if !e.Created.IsZero() {
		out.SetCreatedTime(e.Created)
	}
	out.SetProperty(ics.ComponentPropertySequence, strconv.FormatInt(e.Sequence, 10))
	e.times(out, zones)
	out.SetSummary(line(e.Title))
	if text := e.description(); text != "" {
		out.SetDescription(text)
	}
	if place := line(e.Location); place != "" {
		out.SetLocation(place)
	}
	if url := line(e.URL); url != "" {
		out.SetURL(url)
	}
	out.SetStatus(ics.ObjectStatusConfirmed)
	if e.Cancelled {
		out.SetStatus(ics.ObjectStatusCancelled)
	}
	return out
}

// times sets DTSTART and DTEND. An event whose end is not said has a start alone,
// which RFC 5545 3.6.1 reads as ending at once: how long it takes is for nobody
// here to make up.
func (e Event) times(out *ics.VEvent, zones zones) {
	start, end := e.Start.Truncate(time.Second), e.End.Truncate(time.Second)
	moments := []moment{{ics.ComponentPropertyDtStart, start}}
	if end.After(start) && end.UTC().Year() <= lastYear {
		moments = append(moments, moment{ics.ComponentPropertyDtEnd, end})
	}
	zone := zones.zone(e.Zone)
	for _, m := range moments {
		if ambiguous(m.at.In(zone)) {
			zone = time.UTC
		}
	}
	for _, m := range moments {
		if zone == time.UTC {
			out.SetProperty(m.property, m.at.UTC().Format(utcForm))
			continue
		}
		zones.uses(e.Zone, m.at)
		out.SetProperty(m.property, m.at.In(zone).Format(localForm), ics.WithTZID(e.Zone))
	}
}

type moment struct {
	property ics.ComponentProperty
	at       time.Time
}

// description is what there is to read of an event.
func (e Event) description() string {
	var parts []string
	for _, s := range []string{text(e.Description), strings.TrimSpace(line(e.Price) + "\n" + line(e.URL))} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "\n\n")
}

// text is s as iCalendar can hold it (TEXT, RFC 5545 3.3.11). The ends of lines
// become one kind: among those that are none by the RFC some readers count as such.
func text(s string) string {
	s = lineEnds.Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s))
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// line is s on one line.
func line(s string) string { return strings.ReplaceAll(text(s), "\n", " ") }
