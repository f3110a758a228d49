package tools

import (
	"fmt"
	"slices"
	"time"
)

// Instants returns, in their order, the instants at which a clock on the wall of
// a zone shows this date (2027-03-14) and time (19:30). Where clocks are put
// forward there are times with none, and where they are put back times with two.
// An error says that it is no date or time.
func Instants(date, clock string, zone *time.Location) ([]time.Time, error) {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return nil, fmt.Errorf("no date: %w", err)
	}
	at, err := time.Parse("15:04", clock)
	if err != nil { // some browsers send seconds
		if at, err = time.Parse(time.TimeOnly, clock); err != nil {
			return nil, fmt.Errorf("no time: %w", err)
		}
	}
	wall := day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute)
	var all []time.Time
	for _, offset := range offsets(wall, zone) {
		t := wall.Add(-offset).In(zone)
		if _, has := t.Zone(); time.Duration(has)*time.Second == offset {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all, nil
}

// offsets are what a zone is ahead of UTC around a time: no zone is ahead or
// behind by more than a day.
func offsets(around time.Time, zone *time.Location) (all []time.Duration) {
	last := around.Add(25 * time.Hour)
	for t := around.Add(-25 * time.Hour).In(zone); ; {
		_, seconds := t.Zone()
		if offset := time.Duration(seconds) * time.Second; !slices.Contains(all, offset) {
			all = append(all, offset)
		}
		_, end := t.ZoneBounds()
		if end.IsZero() || end.After(last) {
			return all
		}
		t = end
	}
}

// Skip returns what clocks of a zone show just before and just after they are put
// forward over a wall time that has no instant.
func Skip(date, clock string, zone *time.Location) (before, after string) {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return "", ""
	}
	for t := day.Add(-25 * time.Hour).In(zone); t.Before(day.Add(50 * time.Hour)); {
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		_, was := end.Add(-time.Second).Zone()
		_, is := end.Zone()
		from := end.UTC().Add(time.Duration(was) * time.Second)
		to := end.UTC().Add(time.Duration(is) * time.Second)
		wanted := date + " " + clock
		if wanted >= from.Format("2006-01-02 15:04") && wanted < to.Format("2006-01-02 15:04") {
			return from.Format("15:04"), to.Format("15:04")
		}
		t = end
	}
	return "", ""
}
