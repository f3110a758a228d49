package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/events-concierge/concierge/tools"
)

// Where all Hosts, each of them, and their pages are.
const (
	sharedPath = "/mcp"
	hostPath   = "/mcp/users/"
	pagePath   = "/u/"
)

// catalogue is the index with the links to its Hosts, as one client sees them.
type catalogue struct {
	s    *Server
	base string
}

func (s *Server) catalogue(base string) catalogue { return catalogue{s, base} }

// FindEvents implements [tools.Directory].
func (c catalogue) FindEvents(ctx context.Context, in tools.FindEventsInput) (out tools.FindEventsOutput, err error) {
	out.Events, out.NextCursor, err = c.s.Index.Find(ctx, in)
	for i := range out.Events {
		c.link(&out.Events[i])
	}
	return out, err
}

// FoundEvent implements [tools.Directory].
func (c catalogue) FoundEvent(ctx context.Context, in tools.GetFoundEventInput) (e tools.FoundEvent, err error) {
	e.Host.User = in.User
	h, err := c.s.Hosts.Host(ctx, in.User)
	if err != nil {
		return e, tools.Explain(err)
	}
	if e.Event, err = h.GetEvent(ctx, tools.GetEventInput{EventID: in.EventID}); err == nil {
		c.link(&e)
	}
	return e, err
}

func (c catalogue) link(e *tools.FoundEvent) {
	e.Host.MCPURL = c.base + hostPath + e.Host.User
	e.Host.PageURL = c.base + pagePath + e.Host.User + "/" + url.PathEscape(e.ID)
}

// findEvents is find_events as JSON.
func (s *Server) findEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	in := tools.FindEventsInput{Query: q.Get("query"), From: q.Get("from"), To: q.Get("to"), Cursor: q.Get("cursor")}
	var err error
	if in.Limit, err = strconv.Atoi(cmp.Or(q.Get("limit"), "0")); err != nil {
		return &tools.Error{Code: tools.CodeInvalidArgument, Message: "limit is not a number. Send 1 to 100."}
	}
	c := s.sharedCall(r)
	if c.Tool = "find_events"; c.Allow != nil {
		if err := c.Allow(c.Tool); err != nil {
			return err
		}
	}
	out, err := c.Directory.FindEvents(r.Context(), in)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}
