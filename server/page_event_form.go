package server

import (
	"net/http"
	"strconv"

	"github.com/events-concierge/concierge/tools"
)

// zones are offered without scripts; with them, all that the browser knows are.
var zones = []string{"UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Bogota", "America/Chicago",
	"America/Denver", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo", "America/Toronto", "Asia/Dubai",
	"Asia/Hong_Kong", "Asia/Jakarta", "Asia/Jerusalem", "Asia/Karachi", "Asia/Kolkata", "Asia/Manila", "Asia/Seoul", "Asia/Shanghai",
	"Asia/Singapore", "Asia/Tokyo", "Australia/Melbourne", "Australia/Sydney", "Europe/Amsterdam", "Europe/Berlin", "Europe/Istanbul",
	"Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Paris", "Europe/Rome", "Europe/Stockholm", "Europe/Warsaw",
	"Europe/Zurich", "Pacific/Auckland"}

// showForm shows the form of an event; preview is nil, or how guests would see it.
func (s *Server) showForm(w http.ResponseWriter, r *http.Request, status int, f *eventForm, preview *tools.Event) error {
	title := "A new event"
	action := ownersEvents + "/new"
	if f.ID != "" {
		title, action = "Edit the event", ownersEvents+"/"+f.ID+"/edit"
	}
	return s.show(w, r, status, ownPage("event-form", title, map[string]any{"Form": f, "Zones": zones, "Preview": preview, "Heading": title,
		"Action": action, "Asked": r.Method == http.MethodPost}, "event-form"))
}

// newEvent shows an empty form, or one that is filled in like another event.
func (s *Server) newEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	key, err := c.Host.NewEventKey()
	if err != nil {
		return err
	}
	f := &eventForm{TimeZone: "", Visibility: tools.Public}
	if like := r.URL.Query().Get("like"); like != "" {
		e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: like})
		if err != nil {
			return err
		}
		f = formOf(e)
		f.ID, f.Revision, f.Cancel = "", "", formTime{} // a time to cancel is right for one date only
	}
	f.Key = key
	return s.showForm(w, r, http.StatusOK, f, nil)
}

func (s *Server) createOwnEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	f := readEventForm(r)
	in, ok := f.input(c.Host.Now())
	if !ok || r.PostFormValue("do") == "preview" {
		return s.formAgain(w, r, c, f, in, ok)
	}
	e, err := c.Host.CreateEventOnce(r.Context(), f.Key, in)
	if code := codeOf(err); code == tools.CodeInvalidArgument || code == tools.CodeEventChanged || code == tools.CodeOverLimit {
		f.fail(err)
		return s.showForm(w, r, statusOf(code), f, nil)
	}
	if err != nil {
		return err
	}
	done := "created"
	if e.Visibility == tools.Unlisted {
		done = "unlisted"
	}
	http.Redirect(w, r, ownersEvents+"/"+e.ID+"?done="+done, http.StatusSeeOther)
	return nil
}

// formAgain shows the form that was sent: with what is wrong, or with a preview.
func (s *Server) formAgain(w http.ResponseWriter, r *http.Request, c *tools.Call, f *eventForm, in tools.CreateEventInput, ok bool) error {
	if !ok {
		return s.showForm(w, r, http.StatusBadRequest, f, nil)
	}
	e, err := c.Host.Preview(r.Context(), f.ID, in)
	if codeOf(err) == tools.CodeInvalidArgument {
		f.fail(err)
		return s.showForm(w, r, http.StatusBadRequest, f, nil)
	}
	if err != nil {
		return err
	}
	return s.showForm(w, r, http.StatusOK, f, &e)
}

// previewEvent answers with the part of the form's page that shows the event as
// guests would see it, or says what is missing: with the rules of the tools.
func (s *Server) previewEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	f := readEventForm(r)
	f.ID = r.PostFormValue("event")
	var preview *tools.Event
	now := c.Host.Now()
	if f.ID != "" {
		is, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: f.ID})
		if err != nil {
			return err
		}
		now = momentOf(is.CreatedAt)
	}
	if in, ok := f.input(now); ok {
		e, err := c.Host.Preview(r.Context(), f.ID, in)
		switch {
		case codeOf(err) == tools.CodeInvalidArgument:
			f.fail(err)
		case err != nil:
			return err
		default:
			preview = &e
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return s.pages.site.Fragment(w, "event-form", "event-preview", map[string]any{"Form": f, "Preview": preview})
}

func (s *Server) editEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	e, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: r.PathValue("event")})
	if err != nil {
		return err
	}
	return s.showForm(w, r, http.StatusOK, formOf(e), nil)
}

func (s *Server) changeEvent(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	f := readEventForm(r)
	is, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: f.ID})
	if err != nil {
		return err
	}
	// It may have begun since it was made, and keep its start.
	in, ok := f.input(momentOf(is.CreatedAt))
	if !ok || r.PostFormValue("do") == "preview" {
		return s.formAgain(w, r, c, f, in, ok)
	}
	change := f.changes(in, formOf(is))
	revision, err := strconv.ParseInt(f.Revision, 10, 64)
	if err != nil {
		revision = -1 // which no event has: what is kept is shown
	}
	change.Revision = &revision
	_, err = c.Host.UpdateEvent(r.Context(), change)
	switch code := codeOf(err); code {
	case tools.CodeEventChanged:
		if is, err = c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: f.ID}); err != nil {
			return err
		}
		f.compare(formOf(is))
		f.Errors[""] = "The event was changed since you opened this form, and nothing of yours is saved yet. Beside each field that differs is what is kept now. Save again to put yours in its place."
		return s.showForm(w, r, statusOf(code), f, nil)
	case tools.CodeInvalidArgument, tools.CodeEventPast, tools.CodeEventCancelled:
		f.fail(err)
		return s.showForm(w, r, statusOf(code), f, nil)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, ownersEvents+"/"+f.ID+"?done=changed", http.StatusSeeOther)
	return nil
}
