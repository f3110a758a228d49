package tools

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/events-concierge/concierge/store"
)

const (
	maxCompletions = 100 // that are told; MCP allows no more
	maxLooked      = store.MaxPage
)

// Completions are the values that begin as something was begun.
type Completions struct {
	Values []string
	Total  int // of which Values are the first
}

// What is completed: the ids of events, and the places where they are. An event is
// found by its id, by its title or by a word of it.
func (c *Call) completeEvents(ctx context.Context, begun string) (Completions, error) {
	events, err := c.coming(ctx)
	if err != nil {
		return Completions{}, err
	}
	var found []string
	for _, e := range events {
		if begins(e.ID, begun) || wordBegins(e.Title, begun) {
			found = append(found, e.ID)
		}
	}
	return firstOf(found), nil
}

// completeUser knows this Host's user alone.
func (c *Call) completeUser(_ context.Context, begun string) (Completions, error) {
	if !begins(c.Host.User, begun) {
		return Completions{}, nil
	}
	return firstOf([]string{c.Host.User}), nil
}

func (c *Call) completePlaces(ctx context.Context, begun string) (Completions, error) {
	events, err := c.coming(ctx)
	if err != nil {
		return Completions{}, err
	}
	var found []string
	for _, e := range events {
		if e.Location != "" && wordBegins(e.Location, begun) && !slices.Contains(found, e.Location) {
			found = append(found, e.Location)
		}
	}
	return firstOf(found), nil
}

// coming returns the events to come, as many as are looked at for what somebody is
// typing.
func (c *Call) coming(ctx context.Context) ([]store.Event, error) {
	h := c.Host
	events, _, err := h.Store.Events(ctx, store.EventQuery{From: h.Now(), Limit: maxLooked, Listed: !c.mayCall("list_rsvps")})
	return events, explain(err)
}

func firstOf(found []string) Completions {
	return Completions{Values: found[:min(len(found), maxCompletions)], Total: len(found)}
}

func begins(s, begun string) bool {
	return len(s) >= len(begun) && strings.EqualFold(s[:len(begun)], begun)
}

// wordBegins reports whether a text, or the text from one of its words on, begins
// as begun does, in upper or lower case.
func wordBegins(s, begun string) bool {
	s, begun = strings.ToLower(s), strings.ToLower(begun)
	start := true
	for i, r := range s {
		if start && strings.HasPrefix(s[i:], begun) {
			return true
		}
		start = !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	return begun == ""
}
