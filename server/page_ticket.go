package server

import (
	"errors"
	"net/http"

	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// ticketView is what templates/ticket.html shows.
type ticketView struct {
	RSVP             tools.RSVP
	Event            tools.Event
	URL, Path, Link  string            // the ticket's, absolute and not; the event's page
	Notice           map[string]string // Kind, Text; nil: nothing to be told
	Free, Mine       bool              // it cost nothing; the viewer is the owner of the Host
	Confirmed, Valid bool              // and it is a ticket still: the event is neither over nor cancelled
	Cancels          bool              // it can be cancelled now
	Paid, Back       string            // where the transfers can be looked up; "": nowhere
}

// lookAgain is in how many seconds a page looks again at a payment that settles.
const lookAgain = "5"

// ticketPage shows an RSVP to who knows its id, which is a secret: nobody keeps
// the page, or finds it.
func (s *Server) ticketPage(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	done := map[string]map[string]string{
		"booked":    {"Kind": "ok", "Text": "You are booked. Keep this page: its address is your ticket."},
		"again":     {"Kind": "warning", "Text": "This form was sent before, and this is what was booked then. To book something else, open the event's page again."},
		"cancelled": {"Kind": "ok", "Text": "The RSVP is cancelled."},
		"here":      {"Kind": "ok", "Text": "Checked in."},
	}[r.URL.Query().Get("done")]
	return s.showTicket(w, r, c, done, http.StatusOK)
}

func (s *Server) showTicket(w http.ResponseWriter, r *http.Request, c *tools.Call, notice map[string]string, status int) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	rsvp, err := c.Host.GetRSVP(r.Context(), tools.GetRSVPInput{RSVPID: r.PathValue("rsvp")})
	if err != nil {
		return err
	}
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: rsvp.EventID})
	if err != nil {
		return err
	}
	user := c.Host.User
	v := ticketView{RSVP: rsvp, Event: e, URL: s.base(r) + ticketPath(user, rsvp.ID), Path: ticketPath(user, rsvp.ID), Link: eventPath(user, e.ID), Notice: notice,
		Free: rsvp.Amount == "0", Mine: s.ownerOf(r, user) != nil, Confirmed: rsvp.Status == string(store.RSVPConfirmed)}
	v.Valid = v.Confirmed && e.Status != string(store.StatusPast) && e.Status != string(store.StatusCancelled)
	v.Cancels = v.Valid && rsvp.CheckedInAt == "" && s.Hosts.Now().Before(timeOf(e.CancelUntil))
	if rsvp.Transaction != "" {
		v.Paid = s.explorer("tx", rsvp.Transaction)
	}
	if rsvp.Refund != nil && rsvp.Refund.Transaction != "" {
		v.Back = s.explorer("tx", rsvp.Refund.Transaction)
	}
	if rsvp.Status == string(store.RSVPPending) {
		h.Set("Refresh", lookAgain)
	}
	return s.show(w, r, status, web.View{Name: "ticket", Title: "Ticket: " + e.Title, NoIndex: true, Data: v, Current: "find"})
}

// ownerOf returns the call of who is signed in, if that is the owner of this Host;
// else nil.
func (s *Server) ownerOf(r *http.Request, user string) *tools.Call {
	owner, err := s.owner(r)
	if err != nil || owner == nil || owner.Host.User != user {
		return nil
	}
	return owner
}

// cancelTicket cancels an RSVP for who knows its id.
func (s *Server) cancelTicket(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	const tool = "cancel_rsvp"
	if c.Allow != nil {
		if err := c.Allow(tool); err != nil {
			return err
		}
	}
	c.Tool = tool
	_, err := c.Host.CancelRSVP(r.Context(), tools.CancelRSVPInput{RSVPID: r.PathValue("rsvp")})
	return s.didTicket(w, r, c, "cancelled", err)
}

// checkInTicket checks a guest in who shows their ticket, for the owner.
func (s *Server) checkInTicket(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	owner := s.ownerOf(r, c.Host.User)
	if owner == nil {
		return &problem{status: http.StatusForbidden, code: string(tools.CodeNotAllowed),
			detail: "Only the host of this event checks guests in. Sign in as the host at My events, and open the ticket again."}
	}
	owner.Tool = "check_in"
	_, err := owner.Host.CheckIn(r.Context(), tools.CheckInInput{RSVPID: r.PathValue("rsvp")})
	return s.didTicket(w, r, c, "here", err)
}

// didTicket goes back to the ticket after something was done with it, or says there
// why it was not.
func (s *Server) didTicket(w http.ResponseWriter, r *http.Request, c *tools.Call, done string, err error) error {
	var coded *tools.Error
	if errors.As(err, &coded) && coded.Code == tools.CodeNotAllowed {
		recordOf(r.Context()).code = string(coded.Code)
		return s.showTicket(w, r, c, map[string]string{"Kind": "error", "Text": coded.Message}, http.StatusConflict)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, ticketPath(c.Host.User, r.PathValue("rsvp"))+"?done="+done, http.StatusSeeOther)
	return nil
}
