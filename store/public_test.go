package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

func TestPastEvents(t *testing.T) {
	h := MustOpen(t)
	for n, name := range []string{"oldest", "older", "long", "ending now", "on", "to come", "hidden", "cancelled"} {
		h.event(t, name, func(e *store.Event) {
			e.StartsAt = start.Add(time.Duration(n) * time.Minute)
			e.EndsAt = e.StartsAt.Add(30 * time.Second)
			switch name {
			case "long", "on":
				e.EndsAt = start.Add(time.Hour)
			case "ending now":
				e.EndsAt = start.Add(10 * time.Minute)
			case "to come":
				e.StartsAt, e.EndsAt = start.Add(time.Hour), time.Time{}
			}
			e.Unlisted, e.Cancelled = name == "hidden", name == "cancelled"
			e.Title = strings.ToUpper(name)
		})
	}
	ask := func(q store.PastQuery) string {
		t.Helper()
		var all []string
		for {
			events, next, err := h.PastEvents(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				all = append(all, e.ID)
			}
			if q.After = next; next == "" {
				return strings.Join(all, ", ")
			}
		}
	}
	at := start.Add(10 * time.Minute)
	for _, limit := range []int{0, 1, 2, 4} {
		if got := ask(store.PastQuery{Now: at, Limit: limit}); got != "cancelled, ending now, older, oldest" {
			t.Errorf("%d a page: %s", limit, got)
		}
	}
	if got := ask(store.PastQuery{Now: at, Text: "old"}); got != "older, oldest" {
		t.Errorf("old: %s", got)
	}
	if got := ask(store.PastQuery{Now: start}); got != "" {
		t.Errorf("before all of them: %s", got)
	}
	_, next, err := h.Events(t.Context(), store.EventQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.PastEvents(t.Context(), store.PastQuery{Now: at, After: next}); err == nil {
		t.Error("the cursor of another list was taken")
	}
}

// A listing is another one after each change of what is listed, and when an event is
// too long ago; a booking is no change.
func TestListing(t *testing.T) {
	h := MustOpen(t)
	from := start
	ask := func() store.Listing {
		t.Helper()
		l, err := h.Listing(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := ask(); l != (store.Listing{}) {
		t.Errorf("of nothing: %+v", l)
	}
	seen := map[string]string{}
	step := func(what string, changes bool, do func()) {
		t.Helper()
		before := fmt.Sprintf("%+v", ask())
		do()
		after := fmt.Sprintf("%+v", ask())
		if changed := before != after; changed != changes {
			t.Errorf("%s: %s became %s", what, before, after)
		}
		if old, ok := seen[after]; ok && changes {
			t.Errorf("%s is like %s", what, old)
		}
		seen[after] = what
	}
	h.event(t, "tea", nil)
	step("an event", true, func() { h.event(t, "opera", nil) })
	step("a booking", false, func() { must(t)(h.BookFree(t.Context(), booking("tea", 1, 1))) })
	update := func(change func(*store.Event)) {
		must(t)(h.UpdateEvent(t.Context(), "tea", func(e *store.Event) error { change(e); return nil }))
	}
	step("another title", true, func() { update(func(e *store.Event) { e.Title = "High tea" }) })
	step("unlisted", true, func() { update(func(e *store.Event) { e.Unlisted = true }) })
	step("listed", true, func() { update(func(e *store.Event) { e.Unlisted = false }) })
	step("cancelled", true, func() { must(t)(h.CancelEvent(t.Context(), "opera", 0)) })
	if l := ask(); l.Events != 2 || l.Revision != 6 || !l.ChangedAt.Equal(start) {
		t.Errorf("%+v", l)
	}
	step("long ago", true, func() { from = start.AddDate(1, 0, 0) })
	if l := ask(); l.Events != 0 {
		t.Errorf("%+v", l)
	}
}
