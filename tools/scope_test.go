package tools_test

import (
	"strings"
	"testing"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Who may call what. Every tool has a line, so that a new one is decided about.
var mayCall = map[string]struct{ guest, checkIn, read bool }{
	"list_events":   {true, true, true},
	"get_event":     {true, true, true},
	"rsvp_to_event": {true, false, true},
	"get_rsvp":      {true, false, true},
	"cancel_rsvp":   {true, false, true},
	"create_event":  {false, false, false},
	"update_event":  {false, false, false},
	"cancel_event":  {false, false, false},
	"list_rsvps":    {false, true, true},
	"check_in":      {false, true, false},
	"get_revenue":   {false, false, true},
}

func TestScopes(t *testing.T) {
	h := mustHost(t)
	for tool, may := range mayCall {
		for scope, want := range map[store.Scope]bool{"": may.guest, store.ScopeCheckIn: may.checkIn, store.ScopeRead: may.read,
			store.ScopeOwner: true, "everything": false} {
			c := &tools.Call{Host: h, Scope: scope}
			result := call(t, c, tool, map[string]any{}, nil)
			said := string(result.RawStructuredContent)
			if called := c.Code != tools.CodeNotAllowed; called != want {
				t.Errorf("%s with scope %q: %s", tool, scope, said)
			}
			if !want && scope != "" && !strings.Contains(said, "its scope is "+string(scope)) {
				t.Errorf("%s with scope %q does not say why: %s", tool, scope, said)
			}
		}
	}
}

// Who knows the id of an RSVP can cancel it. Who may only read is not told.
func TestReadersSeeNoIDs(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{})
	c := &tools.Call{Host: h}
	if result := call(t, c, "rsvp_to_event", map[string]any{"event_id": e.ID, "name": "Ada"}, nil); result.IsError {
		t.Fatalf("%s", result.RawStructuredContent)
	}
	for scope, told := range map[store.Scope]bool{store.ScopeOwner: true, store.ScopeCheckIn: true, store.ScopeRead: false} {
		c := &tools.Call{Host: h, Scope: scope}
		said := string(call(t, c, "list_rsvps", map[string]any{"event_id": e.ID}, nil).RawStructuredContent)
		if !strings.Contains(said, "Ada") || strings.Contains(said, "rsvp_") != told {
			t.Errorf("%s: %s", scope, said)
		}
	}
	refund := tools.Revenue{Refunds: []tools.OpenRefund{{RSVPID: "rsvp_1"}}}
	if shown := (&tools.Call{Scope: store.ScopeRead}).Shown(refund).(tools.Revenue); shown.Refunds[0].RSVPID != "" || refund.Refunds[0].RSVPID == "" {
		t.Errorf("%+v of %+v", shown, refund)
	}
}
