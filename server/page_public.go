package server

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// publicPages adds the pages of Hosts and events for everybody.
func (s *Server) publicPages(mux *http.ServeMux) {
	s.feeds = newFeeds()
	mux.HandleFunc("GET /u/{user}", s.public(s.hostPage))
	mux.HandleFunc("GET /u/{user}/events.ics", s.calendar(s.feed))
	event, entry := s.public(s.eventPage), s.calendar(s.entry)
	mux.HandleFunc("GET /u/{user}/{event}", func(w http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutSuffix(r.PathValue("event"), ".ics"); ok {
			r.SetPathValue("event", id)
			entry(w, r)
			return
		}
		event(w, r)
	})
	mux.HandleFunc("POST /u/{user}/{event}", s.public(s.bookForm))
	mux.HandleFunc("GET /u/{user}/rsvps/{rsvp}", s.public(s.ticketPage))
	mux.HandleFunc("POST /u/{user}/rsvps/{rsvp}/cancel", s.public(s.cancelTicket))
	mux.HandleFunc("POST /u/{user}/rsvps/{rsvp}/check-in", s.public(s.checkInTicket))
}

// public makes a page of a Host of a handler for everybody.
func (s *Server) public(next func(http.ResponseWriter, *http.Request, *tools.Call) error) http.HandlerFunc {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.call(r)
		if err == nil {
			err = next(w, r, c)
		}
		return gone(err)
	})
}

// gone says of what is not there what a person can do.
func gone(err error) error {
	var coded *tools.Error
	problem := &problem{status: http.StatusNotFound, code: "not_found", cause: err}
	switch {
	case errors.Is(err, store.ErrUserNotFound):
		problem.detail = "There is no host at this address. The link may be incomplete, or the host has closed. Ask whoever gave it to you for a new one."
	case errors.As(err, &coded) && coded.Code == tools.CodeEventNotFound:
		problem.detail = "This host has no such event. The link may be incomplete: ask whoever gave it to you, or look at the host's other events, at the address up to the last stroke."
	case errors.As(err, &coded) && coded.Code == tools.CodeRSVPNotFound:
		problem.detail = "There is no ticket at this address. It must be complete, with all of its letters and digits: open it from where you keep it."
	default:
		return err
	}
	return problem
}

// userPath, eventPath and ticketPath are where people look at a Host and what it has.
func userPath(user string) string { return pagePath + user }

func eventPath(user, event string) string { return userPath(user) + "/" + url.PathEscape(event) }

func ticketPath(user, rsvp string) string { return userPath(user) + "/rsvps/" + url.PathEscape(rsvp) }

// poster returns the URL of the picture that is shown with links to events.
func (s *Server) poster(r *http.Request) string { return s.base(r) + s.pages.site.Asset("poster.png") }

// eventsAPage of a Host's list.
const eventsAPage = 24

// hostView is what templates/public-host.html shows.
type hostView struct {
	Path, MCP, Feed string
	All             string       // the whole list that this is a part of
	Webcal          template.URL // of the feed, with a scheme that opens calendars
	Events          []tools.Event
	Query           string
	Past, Later     bool   // the list is of those that are over; it is not its first page
	Next            string // the query of the next page; "": there is none
}

// hostPage is what a Host shows to everybody: its events.
func (s *Server) hostPage(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	if c.Spent != nil {
		return c.Spent
	}
	q := r.URL.Query()
	user := c.Host.User
	v := hostView{Path: userPath(user), MCP: s.mcpURL(r, user), Query: strings.TrimSpace(q.Get("q")), Past: q.Has("past"), Later: q.Has("cursor")}
	page := s.base(r) + v.Path
	v.Feed = page + "/events.ics"
	_, rest, _ := strings.Cut(v.Feed, "://")
	v.Webcal = template.URL("webcal://" + rest) // #nosec G203 -- html/template knows no such scheme; the rest is an address of ours
	v.All = v.Path
	var out tools.ListEventsOutput
	var err error
	if v.Past {
		v.All += "?past"
		out, err = c.Host.PastEvents(r.Context(), tools.PastEventsInput{Query: v.Query, Limit: eventsAPage, Cursor: q.Get("cursor")})
	} else {
		out, err = c.Host.ListEvents(r.Context(), tools.ListEventsInput{Query: v.Query, Limit: eventsAPage, Cursor: q.Get("cursor")})
	}
	if err != nil {
		return err
	}
	v.Events = out.Events
	if out.NextCursor != "" {
		q.Set("cursor", out.NextCursor)
		v.Next = "?" + q.Encode()
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	return s.show(w, r, http.StatusOK, web.View{Name: "public-host", Title: "Events of a host", Canonical: page, Image: s.poster(r),
		Description: "What is on here: look at it, book a free event, or have your agent book one that costs something.",
		NoIndex:     v.Query != "" || v.Later, Data: v, Current: "find",
		Alternates: []web.Alternate{{Type: "text/calendar", Title: "All events, for a calendar", URL: v.Feed}}})
}
