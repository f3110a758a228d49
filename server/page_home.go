package server

import (
	"errors"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/tools"
)

const (
	homeEvents = 12  // of one page
	maxSought  = 200 // bytes of what is searched for
)

// homePages adds the page where people find events.
func (s *Server) homePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.page(s.home))
	if s.Devnet != nil {
		mux.HandleFunc("GET /devnet/tx/{hash}", s.page(s.devnetTransaction))
	}
}

// homeData is what the home page shows.
type homeData struct {
	Query  string
	Events []homeEvent
	Next   string // the address of the next page
	Agent  bool   // there is a chat
	Play   bool   // its money is play money
}

// homeEvent is the dot of the template "event-card", and what the chat needs.
type homeEvent struct {
	Event tools.Event
	URL   string // of its page
	Host  string // its MCP URL
}

// home is the page where people find events: a search that needs no script, and the
// chat with the Guest.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	data := homeData{Query: q.Get("q"), Agent: s.Agent != nil, Play: s.Agent != nil && s.Agent.Fund != nil}
	if len(data.Query) > maxSought || !utf8.ValidString(data.Query) {
		data.Query = ""
	}
	var found tools.FindEventsOutput
	if s.Index != nil { // else there is nothing to be found in
		var err error
		in := tools.FindEventsInput{Query: data.Query, Cursor: q.Get("cursor"), Limit: homeEvents}
		found, err = s.catalogue(s.base(r)).FindEvents(r.Context(), in)
		if wrong := new(tools.Error); errors.As(err, &wrong) && wrong.Code == tools.CodeInvalidArgument { // an old link: what there is now
			in.Cursor = ""
			found, err = s.catalogue(s.base(r)).FindEvents(r.Context(), in)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range found.Events {
		data.Events = append(data.Events, homeEvent{e.Event, e.Host.PageURL, e.Host.MCPURL})
	}
	if found.NextCursor != "" {
		more := url.Values{"cursor": {found.NextCursor}}
		if data.Query != "" {
			more.Set("q", data.Query)
		}
		data.Next = "/?" + more.Encode()
	}
	v := web.View{Name: "home", Title: "Find something to do", Current: "find", Data: data, NoIndex: r.URL.RawQuery != "",
		Description: "Events whose hosts are MCP servers: an agent finds them, asks you before it pays, and books your seat."}
	if data.Agent {
		v.Modules = []string{"chat"}
	}
	return s.show(w, r, http.StatusOK, v)
}
