package tools_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/tools"
)

func TestCancelFreeRSVP(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Capacity: 5})
	want := mustBook(t, h, tools.RSVPInput{EventID: e.ID, Seats: 2, Email: "ada@example.org"})
	want.Status = "cancelled"
	for range 2 { // cancelled again, it is the same
		r, err := h.CancelRSVP(t.Context(), tools.CancelRSVPInput{RSVPID: want.ID})
		if diff := cmp.Diff(want, r); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	if after, err := h.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID}); err != nil || *after.SeatsLeft != 5 {
		t.Error(err, after)
	}
	mustBook(t, h, tools.RSVPInput{EventID: e.ID, Email: "ada@example.org"}) // who cancelled may book again
}

func TestCancelRSVPRefused(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{TimeZone: "Europe/Berlin", CancelUntil: "2026-12-20T00:00:00Z"})
	r, done := mustBook(t, h, tools.RSVPInput{EventID: e.ID}), mustBook(t, h, tools.RSVPInput{EventID: e.ID})
	if _, err := h.CheckIn(t.Context(), tools.CheckInInput{RSVPID: done.ID}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		id   string
		at   time.Time
		code tools.Code
		says string
	}{
		{"no id", "", now, tools.CodeInvalidArgument, "rsvp_id is missing"},
		{"no such RSVP", "rsvp_none", now, tools.CodeRSVPNotFound, "no RSVP"},
		{"too late", r.ID, time.Date(2026, 12, 20, 0, 0, 0, 0, time.UTC), tools.CodeNotAllowed, "until 2026-12-20T01:00:00+01:00"},
		{"after check-in", done.ID, now, tools.CodeNotAllowed, "checked in"},
		{"the last moment", r.ID, time.Date(2026, 12, 19, 23, 59, 59, 0, time.UTC), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func(at time.Time) { now = at }(now)
			now = test.at
			_, err := h.CancelRSVP(t.Context(), tools.CancelRSVPInput{RSVPID: test.id})
			if codeOf(err) != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %s saying %q", err, test.code, test.says)
			}
		})
	}
}

func TestUpdateEvent(t *testing.T) {
	s := func(s string) *string { return &s }
	n := func(n int) *int { return &n }
	usd := func(s string) *tools.USD { u := tools.USD(s); return &u }
	for _, test := range []struct {
		name string
		in   tools.UpdateEventInput
		want func(*tools.Event)
		says string // "" means it is taken
	}{
		{"nothing", tools.UpdateEventInput{}, func(*tools.Event) {}, ""},
		{"title", tools.UpdateEventInput{Title: s(" New ")}, func(e *tools.Event) { e.Title = "New" }, ""},
		{"no title", tools.UpdateEventInput{Title: s("")}, nil, "title is missing"},
		{"no description", tools.UpdateEventInput{Description: s("")}, func(e *tools.Event) { e.Description = "" }, ""},
		{"no end", tools.UpdateEventInput{EndsAt: s("")}, func(e *tools.Event) { e.EndsAt = "" }, ""},
		{"start after the end", tools.UpdateEventInput{StartsAt: s("2026-12-26T00:00:00Z")}, nil, "ends_at is not after"},
		{"both later", tools.UpdateEventInput{StartsAt: s("2026-12-26T00:00:00Z"), EndsAt: s("2026-12-26T01:00:00Z")}, func(e *tools.Event) {
			e.StartsAt, e.EndsAt, e.CancelUntil = "2026-12-26T01:00:00+01:00", "2026-12-26T02:00:00+01:00", "2026-12-26T01:00:00+01:00"
		}, ""},
		{"start in the past", tools.UpdateEventInput{StartsAt: s("2026-01-01T00:00:00Z")}, nil, "has passed"},
		{"no start", tools.UpdateEventInput{StartsAt: s("")}, nil, "starts_at is missing"},
		{"zone", tools.UpdateEventInput{TimeZone: s("UTC")}, func(e *tools.Event) {
			e.TimeZone, e.StartsAt, e.EndsAt, e.CancelUntil = "UTC", "2026-12-24T18:00:00Z", "2026-12-24T20:00:00Z", "2026-12-24T18:00:00Z"
		}, ""},
		{"as few seats as are taken", tools.UpdateEventInput{Capacity: n(2)}, func(e *tools.Event) { *e.SeatsLeft = 0; e.Capacity = 2; e.Status = "full" }, ""},
		{"fewer", tools.UpdateEventInput{Capacity: n(1)}, nil, "capacity is 1, but 2 seats are taken"},
		{"unlimited", tools.UpdateEventInput{Capacity: n(0)}, func(e *tools.Event) { e.SeatsLeft = nil; e.Capacity = 0 }, ""},
		{"price", tools.UpdateEventInput{Price: usd("2.5")}, func(e *tools.Event) { e.Price = "2.50" }, ""},
		{"no price", tools.UpdateEventInput{Price: usd("x")}, nil, "price is not usable"},
		{"earlier cut-off", tools.UpdateEventInput{CancelUntil: s("2026-12-20T00:00:00Z")}, nil, "cancel_until is earlier than it was"},
		{"cut-off after the start", tools.UpdateEventInput{CancelUntil: s("2026-12-25T00:00:00Z")}, nil, "cancel_until is after starts_at"},
		{"no event", tools.UpdateEventInput{EventID: "evt_none"}, nil, "no event"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := mustHost(t)
			want := create(t, h, tools.CreateEventInput{Description: "D", Capacity: 5, TimeZone: "Europe/Berlin", EndsAt: "2026-12-24T21:00:00+01:00"})
			mustBook(t, h, tools.RSVPInput{EventID: want.ID, Seats: 2})
			*want.SeatsLeft -= 2
			if test.in.EventID == "" {
				test.in.EventID = want.ID
			}
			got, err := h.UpdateEvent(t.Context(), test.in)
			if test.says != "" {
				if codeOf(err) == tools.CodeInternal || err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want one that says %q", err, test.says)
				}
				return
			}
			test.want(&want)
			if test.name != "nothing" {
				want.Revision = 2
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

// What is over or cancelled is not changed any more.
func TestUpdateEventTooLate(t *testing.T) {
	h := mustHost(t)
	past := create(t, h, tools.CreateEventInput{StartsAt: now.Add(time.Minute).Format(time.RFC3339)})
	defer func(at time.Time) { now = at }(now)
	now = now.Add(time.Hour)
	if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: past.ID}); codeOf(err) != tools.CodeEventPast {
		t.Error(err)
	}
}

func TestCheckIn(t *testing.T) {
	h := mustHost(t)
	r := mustBook(t, h, tools.RSVPInput{EventID: create(t, h, tools.CreateEventInput{}).ID})
	r.CheckedInAt = "2026-11-01T12:00:00Z"
	got, err := h.CheckIn(t.Context(), tools.CheckInInput{RSVPID: r.ID})
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := h.CheckIn(t.Context(), tools.CheckInInput{RSVPID: "rsvp_none"}); codeOf(err) != tools.CodeRSVPNotFound {
		t.Error(err)
	}
}
