package tools_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/tools"
	"github.com/events-concierge/concierge/tools/calendar"
)

func TestPastEvents(t *testing.T) {
	h := mustHost(t)
	at := now
	h.Now = func() time.Time { return at }
	for n := range 3 {
		create(t, h, tools.CreateEventInput{Title: fmt.Sprint("Evening ", n), StartsAt: now.Add(time.Duration(n+1) * time.Hour).Format(time.RFC3339)})
	}
	at = now.Add(150 * time.Minute)
	first, err := h.PastEvents(t.Context(), tools.PastEventsInput{Limit: 1})
	if err != nil || len(first.Events) != 1 || first.Events[0].Title != "Evening 1" || first.Events[0].Status != "past" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := h.PastEvents(t.Context(), tools.PastEventsInput{Limit: 1, Cursor: first.NextCursor})
	if err != nil || len(second.Events) != 1 || second.Events[0].Title != "Evening 0" || second.NextCursor != "" {
		t.Fatalf("%+v, %v", second, err)
	}
	for _, in := range []tools.PastEventsInput{{Cursor: "x"}, {Limit: -1}, {Query: "\x00"}} {
		if _, err := h.PastEvents(t.Context(), in); codeOf(err) != tools.CodeInvalidArgument {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

func TestFeed(t *testing.T) {
	h := mustHost(t)
	at := now
	h.Now = func() time.Time { return at }
	soon := create(t, h, tools.CreateEventInput{Title: "Soon", StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
	create(t, h, tools.CreateEventInput{Title: "Hidden", Visibility: tools.Unlisted})
	off := create(t, h, tools.CreateEventInput{Title: "Off"})
	if _, err := h.Store.CancelEvent(t.Context(), off.ID, 0); err != nil {
		t.Fatal(err)
	}
	titles := func() (all []string) {
		t.Helper()
		events, err := h.Feed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			all = append(all, e.Title)
		}
		return all
	}
	if diff := cmp.Diff([]string{"Soon", "Off"}, titles()); diff != "" {
		t.Error(diff)
	}
	before, err := h.FeedState(t.Context())
	if err != nil || before.Events != 2 || before.Revision != 4 {
		t.Errorf("%+v, %v", before, err)
	}
	at = now.Add(91 * 24 * time.Hour)
	if diff := cmp.Diff([]string{"Off"}, titles()); diff != "" {
		t.Error(diff)
	}
	if after, err := h.FeedState(t.Context()); err != nil || after == before {
		t.Errorf("%+v, %v", after, err)
	}
	want := calendar.Event{UID: soon.ID + "@u", Sequence: 1, Created: now, Changed: now, Start: now.Add(time.Hour), Zone: "UTC", Title: "Soon",
		Price: "Free", URL: "https://example.org/"}
	if diff := cmp.Diff(want, h.Entry(soon, "https://example.org/")); diff != "" {
		t.Error(diff)
	}
}
