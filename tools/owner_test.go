package tools_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// A form that is sent twice, or ten times at once, makes one event.
func TestCreateEventOnce(t *testing.T) {
	h := mustHost(t)
	key, err := h.NewEventKey()
	if err != nil {
		t.Fatal(err)
	}
	in := tools.CreateEventInput{Title: " Tea ", StartsAt: "2026-12-24T19:00:00+01:00", TimeZone: "Europe/Berlin", Price: "2.5", Capacity: 3, Visibility: "unlisted"}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if e, err := h.CreateEventOnce(t.Context(), key, in); err != nil || e.ID != "evt_"+key || e.Title != "Tea" {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
	wg.Wait()
	if all, _, err := h.Shelf(t.Context(), tools.ShelfInput{Shelf: store.ShelfUpcoming}); err != nil || len(all) != 1 {
		t.Errorf("%d events, %v", len(all), err)
	}
	for name, change := range map[string]func(*tools.CreateEventInput){
		"title": func(in *tools.CreateEventInput) { in.Title = "Coffee" }, "price": func(in *tools.CreateEventInput) { in.Price = "3" },
		"start": func(in *tools.CreateEventInput) { in.StartsAt = "2026-12-24T19:30:00+01:00" }, "visibility": func(in *tools.CreateEventInput) { in.Visibility = "" },
	} {
		other := in
		change(&other)
		if _, err := h.CreateEventOnce(t.Context(), key, other); codeOf(err) != tools.CodeEventChanged {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "x", strings.ToUpper(key) + "A", key[:10], key + "00", strings.Repeat("ZZ", 10)} {
		if _, err := h.CreateEventOnce(t.Context(), bad, in); codeOf(err) != tools.CodeInvalidArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUpdateOfRevision(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{})
	title, other := "One", "Two"
	first, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Title: &title, Revision: &e.Revision})
	if err != nil || first.Title != "One" || first.Revision == e.Revision {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Title: &other, Revision: &e.Revision}); codeOf(err) != tools.CodeEventChanged {
		t.Error(err)
	}
	if now, err := h.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID}); err != nil || now.Title != "One" {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestFindRSVPsInput(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{})
	for n := range 3 {
		if _, _, err := h.RSVPToEvent(t.Context(), tools.RSVPInput{EventID: e.ID, Name: fmt.Sprint("Guest ", n)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	out, err := h.FindRSVPs(t.Context(), tools.FindRSVPsInput{EventID: e.ID, Filter: "expected"})
	if err != nil || len(out.RSVPs) != 3 || out.RSVPs[0].Name != "Guest 2" {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := h.CheckIn(t.Context(), tools.CheckInInput{RSVPID: out.RSVPs[1].ID}); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]int{"here": 1, "expected": 2, "": 3, "confirmed": 3, "pending": 0} {
		if out, err := h.FindRSVPs(t.Context(), tools.FindRSVPsInput{EventID: e.ID, Filter: filter}); err != nil || len(out.RSVPs) != want {
			t.Errorf("%q: %d RSVPs, %v", filter, len(out.RSVPs), err)
		}
	}
	for _, in := range []tools.FindRSVPsInput{{}, {EventID: e.ID, Filter: "x"}, {EventID: e.ID, Limit: 101}, {EventID: e.ID, Query: "a\x00b"}, {EventID: e.ID, Cursor: "x"}} {
		if _, err := h.FindRSVPs(t.Context(), in); codeOf(err) != tools.CodeInvalidArgument && codeOf(err) != tools.CodeEventNotFound {
			t.Errorf("%+v: %v", in, err)
		}
	}
	n := 0
	for r, err := range h.EachRSVP(t.Context(), e.ID) {
		if err != nil || r.Name != fmt.Sprint("Guest ", n) {
			t.Errorf("%+v, %v", r, err)
		}
		n++
	}
	for _, err := range h.EachRSVP(t.Context(), "none") {
		if codeOf(err) != tools.CodeEventNotFound {
			t.Error(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d rounds", n)
	}
}

func TestTakingsPeriods(t *testing.T) {
	h := mustHost(t)
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for per, want := range map[string]string{
		"day":   "2026-01-30..2026-01-30 2026-01-31..2026-01-31 2026-02-01..2026-02-01 2026-02-02..2026-02-02",
		"week":  "2026-01-26..2026-02-01 2026-02-02..2026-02-08",
		"month": "2026-01-01..2026-01-31 2026-02-01..2026-02-28",
	} {
		periods, err := h.Takings(t.Context(), day("2026-01-30"), day("2026-02-02"), per)
		var got []string
		for _, p := range periods {
			got = append(got, p.From.Format(time.DateOnly)+".."+p.To.Format(time.DateOnly))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", per, got, err)
		}
	}
	for _, c := range [][2]string{{"2026-02-02", "2026-02-01"}, {"2026-01-01", "2028-01-01"}} {
		if _, err := h.Takings(t.Context(), day(c[0]), day(c[1]), "day"); codeOf(err) != tools.CodeInvalidArgument {
			t.Errorf("%v: %v", c, err)
		}
	}
}
