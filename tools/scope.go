package tools

import (
	"fmt"
	"slices"

	"github.com/events-concierge/concierge/store"
)

// guest is the scope of who sends no token.
const guest store.Scope = ""

// allowed says who may call a tool, beside the owner, who may call them all. What
// is not here is the owner's alone.
var allowed = map[string][]store.Scope{
	"list_events":   {guest, store.ScopeRead, store.ScopeCheckIn},
	"find_events":   {guest}, // on the shared server
	"get_event":     {guest, store.ScopeRead, store.ScopeCheckIn},
	"rsvp_to_event": {guest, store.ScopeRead},
	"get_rsvp":      {guest, store.ScopeRead},
	"cancel_rsvp":   {guest, store.ScopeRead},
	"list_rsvps":    {store.ScopeRead, store.ScopeCheckIn},
	"check_in":      {store.ScopeCheckIn},
	"get_revenue":   {store.ScopeRead},
}

// May returns why the caller may not use a tool of this name, or nil. The error
// is an [*Error] with [CodeNotAllowed].
func (c *Call) May(tool string) error {
	switch {
	case c.mayCall(tool):
		return nil
	case c.Scope == guest:
		return &Error{Code: CodeNotAllowed, Message: tool + " is for the owner of this host. Send the owner token as Authorization: Bearer."}
	}
	return &Error{Code: CodeNotAllowed, Message: fmt.Sprintf(
		"%s is more than this token may do: its scope is %s. Send one whose scope allows it, or ask the owner of this host for one.", tool, c.Scope)}
}

func (c *Call) mayCall(tool string) bool {
	return c.Scope == store.ScopeOwner || slices.Contains(allowed[tool], c.Scope)
}

// Shown is a tool's output as the caller may see it. Who knows an RSVP's id can
// cancel it; who may only read does not get to know it.
func (c *Call) Shown(out any) any {
	if c.Scope != store.ScopeRead {
		return out
	}
	switch out := out.(type) {
	case ListRSVPsOutput:
		out.RSVPs = slices.Clone(out.RSVPs)
		for i := range out.RSVPs {
			out.RSVPs[i].ID = ""
		}
		return out
	case Revenue:
		out.Refunds = slices.Clone(out.Refunds)
		for i := range out.Refunds {
			out.Refunds[i].RSVPID = ""
		}
		return out
	}
	return out
}
