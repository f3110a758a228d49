package calendar

import (
	"fmt"
	"slices"
	"time"

	ics "github.com/arran4/golang-ical"
)

// zones are the time zones of a calendar, each with when it is needed.
type zones map[string]*zone

type zone struct {
	location *time.Location
	// observances are those that hold at a time of an event, and what follows each,
	// by the second when they begin: what a reader needs to find every time again, and no more,
	// however far the events are apart.
	observances map[int64]observance
}

// observance is a stretch of time with one offset from UTC.
type observance struct {
	from time.Time // zero: there is none before it
	at   time.Time // a time in it
}

// zone returns a zone by its name; UTC if there is none of that name.
func (z zones) zone(name string) *time.Location {
	if known := z[name]; known != nil {
		return known.location
	}
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which is where this server is
		location = time.UTC
	}
	z[name] = &zone{location: location, observances: map[int64]observance{}}
	return location
}

// uses notes that a time of an event is told in a zone.
func (z zones) uses(name string, t time.Time) {
	zone := z[name]
	t = t.In(zone.location)
	from, next := t.ZoneBounds()
	zone.observances[from.Unix()] = observance{from, t}
	if !next.IsZero() && next.UTC().Year() <= lastYear {
		zone.observances[next.Unix()] = observance{next, next}
	}
}

func (z zones) addTo(c *ics.Calendar) {
	names := make([]string, 0, len(z))
	for name, zone := range z {
		if len(zone.observances) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.AddVTimezone(z[name].component(name))
	}
}

// component writes a VTIMEZONE. Each change of the clock is one of its own: a rule
// would be shorter and say more than is known, and RDATE is not read by all.
func (z *zone) component(name string) *ics.VTimezone {
	out := ics.NewTimezone(name)
	all := make([]observance, 0, len(z.observances))
	for _, o := range z.observances {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b observance) int { return a.from.Compare(b.from) })
	for _, o := range all {
		abbreviation, offset := o.at.Zone()
		before, onset := offset, "19700101T000000"
		if !o.from.IsZero() {
			_, before = o.from.Add(-time.Second).Zone()
			onset = o.from.In(time.FixedZone("", before)).Format(localForm) // RFC 5545 3.6.5: in the time until then
		}
		part := ics.ComponentBase{}
		part.SetProperty(ics.ComponentPropertyDtStart, onset)
		part.SetProperty(ics.ComponentProperty(ics.PropertyTzoffsetfrom), utcOffset(before))
		part.SetProperty(ics.ComponentProperty(ics.PropertyTzoffsetto), utcOffset(offset))
		part.SetProperty(ics.ComponentProperty(ics.PropertyTzname), abbreviation)
		if o.at.IsDST() {
			out.Components = append(out.Components, &ics.Daylight{ComponentBase: part})
		} else {
			out.Components = append(out.Components, &ics.Standard{ComponentBase: part})
		}
	}
	return out
}

// utcOffset writes seconds east of UTC (UTC-OFFSET, RFC 5545 3.3.14).
func utcOffset(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	out := fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
	if rest := seconds % 60; rest != 0 {
		out += fmt.Sprintf("%02d", rest)
	}
	return out
}

// ambiguous reports whether a clock in t's zone shows this time twice, for it is
// put back. Readers don't agree on which of the two is meant.
func ambiguous(t time.Time) bool {
	from, next := t.ZoneBounds()
	_, offset := t.Zone()
	if !from.IsZero() {
		_, before := from.Add(-time.Second).Zone()
		if t.Sub(from) < time.Duration(before-offset)*time.Second {
			return true
		}
	}
	if next.IsZero() {
		return false
	}
	_, after := next.Zone()
	return next.Sub(t) <= time.Duration(offset-after)*time.Second
}
