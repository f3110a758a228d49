package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/events-concierge/concierge/tools"
)

// eventForm is the form of an event as it was typed, with what is to be said of it.
type eventForm struct {
	ID       string // of the event that is edited; "": a new one
	Key      string // of the event that is made: see tools.Host.CreateEventOnce
	Revision string // of the event that was opened

	Title, Description, Location, TimeZone, Capacity, Price, Visibility string
	Starts, Ends, Cancel                                                formTime

	Errors map[string]string // by the name of the field; "": of all
	Saved  map[string]string // what is kept now, where that is not what was typed
}

// formTime is a date and a time on the wall of the event's zone.
type formTime struct {
	Date, Clock string
	// Choice is which of two instants is meant, "1" or "2", where clocks are put
	// back; Choices are these two in words. Else both are empty.
	Choice  string
	Choices []string
}

// readEventForm takes what was typed as it is.
func readEventForm(r *http.Request) *eventForm {
	text := func(name string) string {
		return strings.ToValidUTF8(strings.ReplaceAll(r.PostFormValue(name), "\r\n", "\n"), "\uFFFD")
	}
	at := func(name string) formTime {
		return formTime{Date: text(name + "_date"), Clock: text(name + "_time"), Choice: text(name + "_choice")}
	}
	return &eventForm{ID: r.PathValue("event"), Key: text("key"), Revision: text("revision"), Title: text("title"), Description: text("description"),
		Location: text("location"), TimeZone: text("time_zone"), Capacity: text("capacity"), Price: text("price"), Visibility: text("visibility"),
		Starts: at("starts"), Ends: at("ends"), Cancel: at("cancel"), Errors: map[string]string{}, Saved: map[string]string{}}
}

// formOf is the form that makes an event what it is.
func formOf(e tools.Event) *eventForm {
	zone, err := time.LoadLocation(e.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	at := func(s string) formTime {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return formTime{}
		}
		t = t.In(zone)
		out := formTime{Date: t.Format(time.DateOnly), Clock: t.Format("15:04")}
		if all, err := tools.Instants(out.Date, out.Clock, zone); err == nil && len(all) == 2 {
			out.Choice = "1"
			if !t.Before(all[1].Truncate(time.Minute)) {
				out.Choice = "2"
			}
		}
		return out
	}
	f := &eventForm{ID: e.ID, Revision: strconv.FormatInt(e.Revision, 10), Title: e.Title, Description: e.Description, Location: e.Location,
		TimeZone: e.TimeZone, Price: e.Price, Visibility: e.Visibility, Starts: at(e.StartsAt), Ends: at(e.EndsAt),
		Errors: map[string]string{}, Saved: map[string]string{}}
	if e.Capacity > 0 {
		f.Capacity = strconv.Itoa(e.Capacity)
	}
	if e.CancelUntil != e.StartsAt {
		f.Cancel = at(e.CancelUntil)
	}
	return f
}

// input is what the form says, with an error at each field that says nothing
// usable; what is left of it is good for nothing then.
func (f *eventForm) input(now time.Time) (in tools.CreateEventInput, ok bool) {
	in = tools.CreateEventInput{Title: f.Title, Description: f.Description, Location: f.Location, TimeZone: strings.TrimSpace(f.TimeZone),
		Price: tools.USD(strings.TrimPrefix(strings.TrimSpace(f.Price), "$")), Visibility: f.Visibility}
	if s := strings.TrimSpace(f.Capacity); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			f.Errors["capacity"] = "Write a whole number, or nothing if there is no limit."
		}
		in.Capacity = n
	}
	zone, err := time.LoadLocation(in.TimeZone)
	if err != nil || in.TimeZone == "Local" {
		f.Errors["time_zone"] = "This time zone is unknown. Write its name as in Europe/Berlin."
		zone = time.UTC
	}
	if f.Ends.Date == "" && f.Ends.Clock != "" {
		f.Ends.Date = f.Starts.Date
	}
	if f.Starts.Date == "" || f.Starts.Clock == "" {
		f.Errors["starts_at"] = "Say on which day and at what time it begins."
	} else {
		in.StartsAt = f.instant("starts_at", &f.Starts, zone)
	}
	in.EndsAt = f.instant("ends_at", &f.Ends, zone)
	in.CancelUntil = f.instant("cancel_until", &f.Cancel, zone)
	for name, err := range in.Problems(now) {
		if f.Errors[name] == "" {
			f.Errors[name] = plain(err)
		}
	}
	return in, len(f.Errors) == 0
}

// instant reads a date and a time; without both, it is "".
func (f *eventForm) instant(name string, t *formTime, zone *time.Location) string {
	if t.Date == "" && t.Clock == "" {
		return ""
	}
	if t.Date == "" || t.Clock == "" {
		f.Errors[name] = "Say both a day and a time, or neither."
		return ""
	}
	all, err := tools.Instants(t.Date, t.Clock, zone)
	switch {
	case err != nil:
		f.Errors[name] = "Write the day as 2027-03-14 and the time as 19:30."
		return ""
	case len(all) == 0:
		f.Errors[name] = "There is no such time in " + zone.String() + ": " + skipped(*t, zone) + " Choose an earlier or a later one."
		return ""
	case len(all) == 1:
		return all[0].Format(time.RFC3339)
	}
	for i, one := range all {
		t.Choices = append(t.Choices, []string{"The first", "The second"}[min(i, 1)]+" time, before or after the clocks go back: "+one.Format("15:04 MST (-07:00)"))
	}
	for i, choice := range []string{"1", "2"} {
		if t.Choice == choice {
			return all[i].Format(time.RFC3339)
		}
	}
	f.Errors[name] = "On this day the clocks in " + zone.String() + " go back, and it is " + t.Clock + " twice. Say which of the two you mean."
	return ""
}

// skipped says why there is no such time.
func skipped(t formTime, zone *time.Location) string {
	before, after := tools.Skip(t.Date, t.Clock, zone)
	if before == "" || before == after {
		return "that day is left out."
	}
	return "on that day the clocks go forward from " + before + " to " + after + "."
}

// The words of the form for the names of the API.
var inWords = strings.NewReplacer("title", "the title", "description", "the description", "starts_at", "the start", "ends_at", "the end",
	"time_zone", "the time zone", "location", "the place", "capacity", "the number of seats", "cancel_until", "the time to cancel",
	"price", "the price", "visibility", "who may find it")

// plain says what is wrong with a field as to a person.
func plain(err error) string {
	words := problemOf(err).detail
	switch {
	case strings.Contains(words, "which has passed"):
		return "This has passed. Choose a time to come."
	case strings.HasPrefix(words, "title is missing"):
		return "Give the event a title."
	}
	name, rest, ok := strings.Cut(words, " ")
	if !ok {
		return words
	}
	words = inWords.Replace(name) + " " + strings.NewReplacer("starts_at", "the start", "ends_at", "the end").Replace(rest)
	first, size := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[size:]
}

// fail puts an error of the tools at the field that it is about.
func (f *eventForm) fail(err error) {
	name, _, _ := strings.Cut(problemOf(err).detail, " ")
	switch name {
	case "title", "description", "starts_at", "ends_at", "time_zone", "location", "capacity", "price", "cancel_until", "visibility":
		f.Errors[name] = plain(err)
	default:
		f.Errors[""] = problemOf(err).detail
	}
}

// changes are what f has otherwise than the form of the event as it is kept.
func (f *eventForm) changes(in tools.CreateEventInput, is *eventForm) tools.UpdateEventInput {
	out := tools.UpdateEventInput{EventID: f.ID}
	if f.Title != is.Title {
		out.Title = &in.Title
	}
	if f.Description != is.Description {
		out.Description = &in.Description
	}
	if f.Location != is.Location {
		out.Location = &in.Location
	}
	if f.Capacity != is.Capacity {
		out.Capacity = &in.Capacity
	}
	if f.Price != is.Price {
		out.Price = &in.Price
	}
	if f.Visibility != is.Visibility {
		out.Visibility = &in.Visibility
	}
	moved := f.TimeZone != is.TimeZone // then the same clock is another instant
	if moved {
		out.TimeZone = &in.TimeZone
	}
	if moved || !f.Starts.same(is.Starts) {
		out.StartsAt = &in.StartsAt
	}
	if moved || !f.Ends.same(is.Ends) {
		out.EndsAt = &in.EndsAt
	}
	if moved || !f.Cancel.same(is.Cancel) {
		out.CancelUntil = &in.CancelUntil
	}
	return out
}

func (t formTime) same(as formTime) bool {
	return t.Date == as.Date && t.Clock == as.Clock && t.Choice == as.Choice
}

func (t formTime) String() string {
	if t.Date == "" && t.Clock == "" {
		return "nothing"
	}
	return t.Date + " " + t.Clock
}

// compare says beside each field what is kept now, where something else was typed.
func (f *eventForm) compare(is *eventForm) {
	f.Revision = is.Revision
	for name, pair := range map[string][2]string{"title": {f.Title, is.Title}, "description": {f.Description, is.Description},
		"location": {f.Location, is.Location}, "capacity": {f.Capacity, is.Capacity}, "price": {f.Price, is.Price},
		"visibility": {f.Visibility, is.Visibility}, "time_zone": {f.TimeZone, is.TimeZone}, "starts_at": {f.Starts.String(), is.Starts.String()},
		"ends_at": {f.Ends.String(), is.Ends.String()}, "cancel_until": {f.Cancel.String(), is.Cancel.String()}} {
		if pair[0] == pair[1] {
			continue
		}
		if f.Saved[name] = pair[1]; pair[1] == "" {
			f.Saved[name] = "nothing"
		}
	}
}
