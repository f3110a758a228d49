package tools

import (
	"context"

	"github.com/events-concierge/concierge/store"
)

// Directory finds events of all Hosts of a server, for those who have not chosen
// one yet.
type Directory interface {
	FindEvents(context.Context, FindEventsInput) (FindEventsOutput, error)
	FoundEvent(context.Context, GetFoundEventInput) (FoundEvent, error)
}

// FindEventsInput is the input of find_events.
type FindEventsInput struct {
	Query  string `json:"query,omitempty" jsonschema:"words that all occur in title, description or location; of the last one the beginning is enough"`
	From   string `json:"from,omitempty" jsonschema:"RFC 3339; events that end after it. Default: now"`
	To     string `json:"to,omitempty" jsonschema:"RFC 3339; events that start before it"`
	Limit  int    `json:"limit,omitempty" jsonschema:"1 to 100; default 20"`
	Cursor string `json:"cursor,omitempty" jsonschema:"next_cursor of the previous answer"`
}

// Find returns what is asked of the index. Errors are [*Error].
func (in FindEventsInput) Find() (store.FindQuery, error) {
	q, err := ListEventsInput(in).query()
	return store.FindQuery{Text: q.Text, From: q.From, To: q.To, Limit: q.Limit, After: q.After}, err
}

// FindEventsOutput is the output of find_events.
type FindEventsOutput struct {
	Events     []FoundEvent `json:"events"`
	NextCursor string       `json:"next_cursor,omitempty" jsonschema:"present when there are more"`
}

// FoundEvent is an event with the way to its Host.
type FoundEvent struct {
	Event
	Host HostLinks `json:"host" jsonschema:"whose event it is"`
}

// HostLinks says where a Host is.
type HostLinks struct {
	User    string `json:"user" jsonschema:"the host's id"`
	MCPURL  string `json:"mcp_url" jsonschema:"the host's own MCP server (streamable HTTP): rsvp_to_event books there"`
	PageURL string `json:"page_url" jsonschema:"the event's page, for people"`
}

// GetFoundEventInput is the input of the shared server's get_event.
type GetFoundEventInput struct {
	User    string `json:"user" jsonschema:"host.user from find_events"`
	EventID string `json:"event_id" jsonschema:"from find_events"`
}

// Explain returns err as an [*Error] with a message for the caller.
func Explain(err error) error { return explain(err) }
