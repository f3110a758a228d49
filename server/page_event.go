package server

import (
	"errors"
	"net/http"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

const ownersEvents = "/my-mcp/events"

// eventPages adds the pages of an owner's events, and of who comes and pays.
func (s *Server) eventPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /my-mcp/events", s.mine(s.ownEvents))
	mux.HandleFunc("GET /my-mcp/events/new", s.mine(s.newEvent))
	mux.HandleFunc("POST /my-mcp/events/new", s.mine(s.createOwnEvent))
	mux.HandleFunc("POST /my-mcp/events/preview", s.mine(s.previewEvent))
	mux.HandleFunc("GET /my-mcp/events/{event}", s.mine(s.ownEvent))
	mux.HandleFunc("GET /my-mcp/events/{event}/edit", s.mine(s.editEvent))
	mux.HandleFunc("POST /my-mcp/events/{event}/edit", s.mine(s.changeEvent))
	mux.HandleFunc("POST /my-mcp/events/{event}/cancel", s.mine(s.cancelOwnEvent))
	mux.HandleFunc("POST /my-mcp/events/{event}/check-in", s.mine(s.checkInGuest))
	mux.HandleFunc("GET /my-mcp/events/{event}/rsvps.csv", s.mine(s.guestsCSV))
	mux.HandleFunc("GET /my-mcp/check-in", s.mine(s.door))
	mux.HandleFunc("POST /my-mcp/check-in", s.mine(s.checkInAtDoor))
	mux.HandleFunc("GET /my-mcp/revenue", s.mine(s.takings))
	mux.HandleFunc("GET /my-mcp/revenue.csv", s.mine(s.paymentsCSV))
}

// ownPage is a page of an owner.
func ownPage(name, title string, data any, modules ...string) web.View {
	return web.View{Name: name, Title: title, Current: "mine", NoIndex: true, Updates: updatesPath, Modules: modules, Data: data}
}

// told are the messages of pages after something was done, by the word in the URL.
var told = map[string]string{
	"created": "The event is made. Guests and their agents can find it now.", "unlisted": "The event is made. Whoever has its link can see and book it.",
	"changed": "The event is changed.", "cancelled": "The event is cancelled. What guests have paid is on its way back.",
	"here": "The guest is checked in.", "before": "The guest had been checked in before.",
}

// shelfNames are the lists of events, in the order of their tabs.
var shelfNames = []struct {
	Shelf       store.Shelf
	Name, Empty string
}{
	{store.ShelfUpcoming, "To come", "There are no events to come."},
	{store.ShelfPast, "Past", "No event is over yet."},
	{store.ShelfCancelled, "Cancelled", "No event was cancelled."},
}

func (s *Server) ownEvents(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	q := r.URL.Query()
	in := tools.ShelfInput{Shelf: store.Shelf(q.Get("show")), Query: q.Get("q"), Cursor: q.Get("cursor"), Limit: 25}
	if in.Shelf == "" {
		in.Shelf = store.ShelfUpcoming
	}
	events, next, err := c.Host.Shelf(r.Context(), in)
	if err != nil {
		return err
	}
	empty := ""
	for _, shelf := range shelfNames {
		if shelf.Shelf == in.Shelf {
			empty = shelf.Empty
		}
	}
	if in.Query != "" {
		empty = "No event of these has that in its title, description or place."
	}
	return s.show(w, r, http.StatusOK, ownPage("my-events", "Your events", map[string]any{
		"Shelves": shelfNames, "Shelf": in.Shelf, "Query": in.Query, "Events": events, "Empty": empty, "Done": told[q.Get("done")],
		"Next": nextURL(r, next), "First": firstURL(r)}))
}

// nextURL is the address of the next page of a list, "" if there is none.
func nextURL(r *http.Request, cursor string) string {
	if cursor == "" {
		return ""
	}
	return pageURL(r, cursor)
}

// firstURL is the address of the first page of a list, "" on that one.
func firstURL(r *http.Request) string {
	if r.URL.Query().Get("cursor") == "" {
		return ""
	}
	return pageURL(r, "")
}

func pageURL(r *http.Request, cursor string) string {
	q := r.URL.Query()
	q.Del("cursor")
	q.Del("done")
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return r.URL.Path + "?" + q.Encode()
}

// guestPageSize is how many RSVPs a page of an event has.
const guestPageSize = 25

func (s *Server) ownEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	id, q := r.PathValue("event"), r.URL.Query()
	e, err := c.Host.OwnEvent(r.Context(), id)
	if err != nil {
		return err
	}
	a, err := c.Host.Attendance(r.Context(), id)
	if err != nil {
		return err
	}
	in := tools.FindRSVPsInput{EventID: id, Query: q.Get("q"), Filter: q.Get("show"), Cursor: q.Get("cursor"), Limit: guestPageSize}
	found, err := c.Host.FindRSVPs(r.Context(), in)
	if err != nil {
		return err
	}
	mcp := s.base(r) + "/mcp/users/" + c.Host.User
	return s.show(w, r, http.StatusOK, ownPage("my-event", e.Title, map[string]any{
		"Event": e, "Attendance": a, "RSVPs": found.RSVPs, "Query": in.Query, "Filter": in.Filter, "Filters": guestFilters,
		"Next": nextURL(r, found.NextCursor), "First": firstURL(r), "Full": len(found.RSVPs) == guestPageSize, "Done": told[q.Get("done")],
		"Public": s.base(r) + "/u/" + c.Host.User + "/" + id, "Asked": q.Get("ask") == "cancel",
		"Prompt": "Book one seat of the event " + id + " at the MCP server " + mcp, "Path": ownersEvents + "/" + id}))
}

// guestFilters are what the list of guests can be narrowed to.
var guestFilters = []struct{ Filter, Name string }{
	{"", "Everybody"}, {"expected", "Confirmed, not here yet"}, {"here", "Checked in"}, {"pending", "Pending"},
	{"cancelled", "Cancelled"}, {"refunded", "Refunded"}, {"failed", "Failed"},
}

// cancelOwnEvent cancels an event, once its owner has been told what that means:
// by the dialog of the page, or, without scripts, by a question in its place.
func (s *Server) cancelOwnEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	id := r.PathValue("event")
	if r.PostFormValue("sure") != "yes" {
		http.Redirect(w, r, ownersEvents+"/"+id+"?ask=cancel#cancel", http.StatusSeeOther)
		return nil
	}
	if _, err := c.Host.CancelEvent(r.Context(), tools.CancelEventInput{EventID: id}); err != nil {
		return err
	}
	http.Redirect(w, r, ownersEvents+"/"+id+"?done=cancelled", http.StatusSeeOther)
	return nil
}

// checkInGuest checks in a guest of the list, and returns to it.
func (s *Server) checkInGuest(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	id := r.PathValue("event")
	guest, err := c.Host.GetRSVP(r.Context(), tools.GetRSVPInput{RSVPID: r.PostFormValue("rsvp")})
	if err == nil && guest.EventID != id {
		err = &tools.Error{Code: tools.CodeRSVPNotFound, Message: "That RSVP is for another event. Nothing is changed."}
	}
	if err != nil {
		return err
	}
	_, first, err := c.Host.Arrive(r.Context(), tools.CheckInInput{RSVPID: guest.ID})
	if err != nil {
		return err
	}
	back := r.URL.Query()
	back.Set("done", "before")
	if first {
		back.Set("done", "here")
	}
	http.Redirect(w, r, ownersEvents+"/"+id+"?"+back.Encode()+"#guests", http.StatusSeeOther) // #nosec G710 -- a path of ours
	return nil
}

// codeOf returns the code of a refusal, or "".
func codeOf(err error) tools.Code {
	var coded *tools.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}
