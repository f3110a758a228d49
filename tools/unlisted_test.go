package tools_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Who may list RSVPs sees all events; guests see the public ones, though the same
// question was answered for the owner just before.
func TestUnlisted(t *testing.T) {
	r := newRemembering(t)
	at := now.Add(time.Hour).Format(time.RFC3339)
	create(t, r.Host, tools.CreateEventInput{Title: "tea", StartsAt: at})
	opera := create(t, r.Host, tools.CreateEventInput{Title: "opera", StartsAt: at, Visibility: tools.Unlisted})
	r.rest(t)
	for range 2 {
		for scope, want := range map[store.Scope]int{store.ScopeOwner: 2, store.ScopeRead: 2, store.ScopeCheckIn: 2, "": 1} {
			raw, err := (&tools.Call{Host: r.Host, Scope: scope}).ListEventsJSON(t.Context(), tools.ListEventsInput{})
			if err != nil {
				t.Fatal(err)
			}
			var out tools.ListEventsOutput
			if err := json.Unmarshal(raw, &out); err != nil || len(out.Events) != want {
				t.Errorf("scope %q is shown %s", scope, raw)
			}
		}
	}
	if out, err := r.ListEvents(t.Context(), tools.ListEventsInput{Query: "opera"}); err != nil || len(out.Events) > 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := r.ListAllEvents(t.Context(), tools.ListEventsInput{Query: "opera"}); err != nil || len(out.Events) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if e, err := r.GetEvent(t.Context(), tools.GetEventInput{EventID: opera.ID}); err != nil || e.Visibility != tools.Unlisted {
		t.Errorf("%+v, %v", e, err)
	}
	guest := &tools.Call{Host: r.Host}
	if rsvp, err := guest.RSVP(t.Context(), tools.RSVPInput{EventID: opera.ID, Name: "Ada"}, func(string) []string { return nil }); err != nil || rsvp.Status != "confirmed" {
		t.Errorf("%+v, %v", rsvp, err)
	}
}

func TestVisibility(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Visibility: tools.Unlisted})
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		send     *string
		want     string
		revision int64
	}{{nil, tools.Unlisted, 1}, {text(""), tools.Unlisted, 1}, {text(tools.Public), tools.Public, 2}, {text(tools.Unlisted), tools.Unlisted, 3}} {
		e, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Visibility: test.send})
		if err != nil || e.Visibility != test.want || e.Revision != test.revision {
			t.Errorf("%+v, %v", e, err)
		}
	}
	_, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Visibility: text("secret")})
	if codeOf(err) != tools.CodeInvalidArgument || !strings.Contains(err.Error(), `Send "public" or "unlisted"`) {
		t.Error(err)
	}
}
