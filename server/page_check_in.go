package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// arrival is what is told at the door of a ticket.
type arrival struct {
	Kind   string // ok, warning or error
	Title  string // in large words
	Text   string
	RSVP   *tools.RSVP
	Event  *tools.Event
	Before string // RFC 3339: when the guest was checked in, if that was before
}

// door is the page at which tickets are checked.
func (s *Server) door(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	return s.showDoor(w, r, c, r.URL.Query().Get("event"), nil)
}

// checkInAtDoor checks a guest in and says so on the page at once, without a
// redirect: an RSVP's id is a secret and is in no URL here, and a ticket that is sent
// twice is only told to have been.
func (s *Server) checkInAtDoor(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	at := r.PostFormValue("event")
	told, err := s.admit(r, c, r.PostFormValue("ticket"), at)
	if err != nil {
		return err
	}
	return s.showDoor(w, r, c, at, told)
}

func (s *Server) showDoor(w http.ResponseWriter, r *http.Request, c *tools.Call, at string, told *arrival) error {
	events, _, err := c.Host.Shelf(r.Context(), tools.ShelfInput{Shelf: store.ShelfUpcoming, Limit: 20})
	if err != nil {
		return err
	}
	if at != "" { // it may be none of the next
		e, err := c.Host.OwnEvent(r.Context(), at)
		if err != nil {
			return err
		}
		has := false
		for _, one := range events {
			has = has || one.ID == at
		}
		if !has {
			events = append([]tools.OwnEvent{e}, events...)
		}
	}
	v := ownPage("check-in", "Check-in", map[string]any{"Events": events, "At": at, "Told": told}, "check-in")
	v.Updates = "" // nothing here changes by itself, and a field is being typed in
	return s.show(w, r, http.StatusOK, v)
}

// admit checks in the guest of a ticket, if it is one for the event, or for any if
// that is "".
func (s *Server) admit(r *http.Request, c *tools.Call, ticket, eventID string) (*arrival, error) {
	id, user := ticketOf(ticket)
	switch {
	case id == "":
		return &arrival{Kind: "error", Title: "Not a ticket", Text: "Scan the QR code of a ticket, or type the RSVP id that the guest has."}, nil
	case user != "" && user != c.Host.User:
		return &arrival{Kind: "error", Title: "Not your ticket", Text: "This ticket is for an event of another host."}, nil
	}
	rsvp, err := c.Host.GetRSVP(r.Context(), tools.GetRSVPInput{RSVPID: id})
	if code := codeOf(err); code == tools.CodeRSVPNotFound || code == tools.CodeInvalidArgument {
		return &arrival{Kind: "error", Title: "Unknown", Text: "There is no RSVP with this id. If it was typed, compare it with the guest's."}, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: rsvp.EventID})
	if err != nil {
		return nil, err
	}
	told := &arrival{RSVP: &rsvp, Event: &e}
	if eventID != "" && eventID != rsvp.EventID {
		told.Kind, told.Title, told.Text = "error", "For another event", "The ticket is good, but not for the event that you have chosen. Nobody was checked in."
		return told, nil
	}
	arrived, first, err := c.Host.Arrive(r.Context(), tools.CheckInInput{RSVPID: id})
	if codeOf(err) == tools.CodeNotAllowed {
		told.refuse(rsvp)
		return told, nil
	}
	if err != nil {
		return nil, err
	}
	told.RSVP = &arrived
	told.Kind, told.Title = "ok", "Welcome"
	if !first {
		told.Kind, told.Title, told.Before = "warning", "Already checked in", arrived.CheckedInAt
	}
	return told, nil
}

func (a *arrival) refuse(r tools.RSVP) {
	a.Kind = "error"
	switch store.RSVPStatus(r.Status) {
	case store.RSVPPending:
		a.Kind, a.Title, a.Text = "warning", "Not paid yet", "The payment is still being settled. Try again in a minute."
	case store.RSVPFailed:
		a.Title, a.Text = "Not paid", "The payment failed, so this RSVP has no seats."
	default:
		a.Title, a.Text = "Cancelled", "This RSVP was cancelled, so it has no seats."
	}
}

var (
	ticketAddress = regexp.MustCompile(`/u/([A-Za-z0-9_-]{1,100})/rsvps/([A-Za-z0-9_-]{1,100})(?:[/?#]|$)`)
	bareTicket    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
)

// ticketOf reads what a scanner sends, or somebody types: the address of a ticket,
// or an RSVP's id, of which the user is not known. id is "" if it is neither.
func ticketOf(typed string) (id, user string) {
	typed = strings.TrimSpace(typed)
	if len(typed) > 2000 {
		return "", ""
	}
	if bareTicket.MatchString(typed) {
		return typed, ""
	}
	if u, err := url.Parse(typed); err == nil {
		if m := ticketAddress.FindStringSubmatch(u.Path); m != nil {
			return m[2], m[1]
		}
	}
	return "", ""
}

// momentOf reads a time that one of our own tools has written.
func momentOf(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s)
	return t
}
