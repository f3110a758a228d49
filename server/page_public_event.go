package server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// eventView is what templates/public-event.html shows.
type eventView struct {
	Event                           tools.Event
	Path, Host, MCP, ICS, Google    string
	Prompt                          string // for an agent, of nothing but ids and addresses
	Chat                            string // where our own agent is; "": nowhere
	Manage                          string // where its owner sees to it; "": the viewer is not the owner
	Open, Free, Cancels, UntilStart bool   // it can be booked; it costs nothing; guests may still cancel, until it starts
	Form                            *bookView
}

// eventPage shows an event to everybody who has its address.
func (s *Server) eventPage(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	if c.Spent != nil {
		return c.Spent
	}
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: r.PathValue("event")})
	if err != nil {
		return err
	}
	var form *bookView
	if bookable(e) {
		if form, err = newForm(c.Host, e); err != nil {
			return err
		}
	}
	return s.showEvent(w, r, c, e, form, http.StatusOK)
}

// bookable reports whether an event can be booked at its page.
func bookable(e tools.Event) bool { return e.Status == string(store.StatusOpen) && e.Free() }

func (s *Server) showEvent(w http.ResponseWriter, r *http.Request, c *tools.Call, e tools.Event, form *bookView, status int) error {
	user := c.Host.User
	page := s.base(r) + eventPath(user, e.ID)
	v := eventView{Event: e, Path: eventPath(user, e.ID), Host: userPath(user), MCP: s.mcpURL(r, user), Form: form,
		Open: e.Status == string(store.StatusOpen), Free: e.Free(), UntilStart: e.CancelUntil == e.StartsAt}
	v.ICS = v.Path + ".ics"
	v.Prompt = "Book 1 seat at the event " + e.ID + " of the MCP server " + v.MCP + " for me."
	if s.Agent != nil {
		v.Chat = "/?" + url.Values{"host": {v.MCP}, "event": {e.ID}}.Encode()
	}
	v.Cancels = s.Hosts.Now().Before(timeOf(e.CancelUntil))
	public := e.Visibility == tools.Public
	if public && e.Status != string(store.StatusPast) && e.Status != string(store.StatusCancelled) {
		v.Google = googleCalendar(e, page)
	}
	if owner, err := s.owner(r); err == nil && owner != nil && owner.Host.User == user {
		v.Manage = "/my-mcp/events/" + url.PathEscape(e.ID)
	}
	w.Header().Set("Cache-Control", "private, no-cache") // a form is for one browser
	return s.show(w, r, status, web.View{Name: "public-event", Title: e.Title, Description: summary(e), Canonical: page, Image: s.poster(r),
		NoIndex: !public, Data: v, Current: "find", LinkedData: linkedEvent(e, page, s.poster(r)),
		Alternates: []web.Alternate{{Type: "text/calendar", Title: "This event, for a calendar", URL: page + ".ics"}}})
}

func timeOf(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s) // made by package tools, or ""
	return t
}

// maxSummary is how many characters are shown with a link, about.
const maxSummary = 200

// summary tells of an event what is shown with links to it.
func summary(e tools.Event) string {
	parts := []string{timeOf(e.StartsAt).Format("Mon, 2 Jan 2006, 15:04") + " (" + e.TimeZone + ")"}
	if e.Location != "" {
		parts = append(parts, e.Location)
	}
	if e.Free() {
		parts = append(parts, "free")
	} else {
		parts = append(parts, "$"+e.Price)
	}
	text := strings.Join(parts, " · ")
	if words := strings.Join(strings.Fields(e.Description), " "); words != "" {
		text += ". " + words
	}
	if runes := []rune(text); len(runes) > maxSummary {
		text = strings.TrimSpace(string(runes[:maxSummary])) + "…"
	}
	return text
}

// googleCalendar returns the address at which Google's calendar offers an entry.
// Whoever follows it tells Google of a public event, and of no guest.
func googleCalendar(e tools.Event, page string) string {
	const form = "20060102T150405Z"
	start, end := timeOf(e.StartsAt), timeOf(e.EndsAt)
	if end.IsZero() {
		end = start
	}
	return "https://calendar.google.com/calendar/render?" + url.Values{"action": {"TEMPLATE"}, "text": {e.Title},
		"dates": {start.UTC().Format(form) + "/" + end.UTC().Format(form)}, "ctz": {e.TimeZone},
		"details": {page}, "location": {e.Location}}.Encode()
}

// bookView is the form by which a free event is booked in a browser.
type bookView struct {
	ID                 string // of the RSVP that it becomes, however often it is sent
	Seats, Name, Email string // as typed
	Most               int    // seats that can be had
	Error, Field       string // what is wrong, and with which field; "": with none of them
}

const mostSeats = 20 // at once, as rsvp_to_event has it

func newForm(h *tools.Host, e tools.Event) (*bookView, error) {
	f := &bookView{Seats: "1", Most: mostSeats}
	if e.SeatsLeft != nil {
		f.Most = min(f.Most, *e.SeatsLeft)
	}
	var err error
	f.ID, err = h.NewRSVPID()
	return f, err
}

// bookForm books a free event for a browser. What is wrong comes back in the form,
// with what was typed.
func (s *Server) bookForm(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	const tool = "rsvp_to_event"
	if c.Allow != nil {
		if err := c.Allow(tool); err != nil {
			return err
		}
	}
	if err := r.ParseForm(); err != nil {
		return &problem{status: http.StatusBadRequest, code: string(tools.CodeInvalidArgument), cause: err,
			detail: "The form can't be read. Open the event's page and send it again."}
	}
	f := bookView{ID: r.PostForm.Get("id"), Seats: strings.TrimSpace(r.PostForm.Get("seats")), Name: r.PostForm.Get("name"), Email: strings.TrimSpace(r.PostForm.Get("email"))}
	in := tools.RSVPInput{EventID: r.PathValue("event"), Seats: seatsOf(f.Seats), Name: f.Name, Email: f.Email}
	c.Tool = tool
	out, err := c.BookOnce(r.Context(), in, f.ID)
	if err == nil {
		done := "booked"
		if out.Seats != in.Seats { // what the form has become is something else
			done = "again"
		}
		http.Redirect(w, r, ticketPath(c.Host.User, out.ID)+"?done="+done, http.StatusSeeOther)
		return nil
	}
	return s.refuseForm(w, r, c, f, err)
}

// refuseForm shows the form again, and why.
func (s *Server) refuseForm(w http.ResponseWriter, r *http.Request, c *tools.Call, f bookView, cause error) error {
	p := problemOf(cause)
	if p.status >= http.StatusInternalServerError || p.status == http.StatusNotFound {
		return cause
	}
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: r.PathValue("event")})
	if err != nil {
		return err
	}
	recordOf(r.Context()).code = p.code
	fresh, err := newForm(c.Host, e)
	if err != nil {
		return err
	}
	f.Most, f.Error, f.Field = fresh.Most, p.detail, ""
	switch tools.Code(p.code) {
	case tools.CodeInvalidArgument:
		p.status = http.StatusUnprocessableEntity
		f.explain()
	case tools.CodeEventFull:
		f.Error = "There are not enough seats left. Nothing was booked."
	case tools.CodeAlreadyBooked:
		f.Error, f.Field = "With this email the event is booked already. Its ticket is at the address that was shown then.", "email"
	}
	if f.Field == "" {
		f.ID = fresh.ID
	}
	return s.showEvent(w, r, c, e, &f, p.status)
}

// explain says what is wrong with a field in words for who typed it.
func (f *bookView) explain() {
	f.Field, _, _ = strings.Cut(f.Error, " ")
	switch f.Field {
	case "seats":
		f.Error = "Choose a whole number from 1 to " + strconv.Itoa(max(f.Most, 1)) + "."
	case "email":
		f.Error = "That is no email address. Write one such as ada@example.org, or none."
	case "name":
		f.Error = "Write a name on one line, of at most 200 characters."
	default:
		f.Field = ""
	}
}

// seatsOf reads a number of seats; what is none is a number that nobody can book.
func seatsOf(s string) int {
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil || n == 0 {
		return -1
	}
	return n
}
