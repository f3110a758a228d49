package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/events-concierge/concierge/server/admin"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/limit"
	"github.com/events-concierge/concierge/tools"
)

// headerRequestID has a request's id, made here, by which it is found in the log.
const headerRequestID = "X-Request-Id"

// logRequest writes the one log record of a request, without looking up which line of
// the program writes it, as [slog.Logger] does: nobody is told, and it takes longer than
// all the rest of it.
func (s *Server) logRequest(r *http.Request, rec *record, status int, took time.Duration) {
	h, level := s.Log.Handler(), levelOf(r, status)
	if !h.Enabled(r.Context(), level) {
		return
	}
	said := slog.NewRecord(time.Now(), level, admin.MessageRequest, 0)
	said.AddAttrs(s.attrs(rec, r, status, took)...)
	_ = h.Handle(r.Context(), said) // as with a Logger, a log that can't be written stops nobody
}

// attrs is what the log says of a request; docs/reference/log-records.md explains each.
// A path, a query and a header are not in it: they may have a ticket, an email or a
// payment.
func (s *Server) attrs(rec *record, r *http.Request, status int, took time.Duration) []slog.Attr {
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs, slog.String("method", method(r.Method)), slog.String("route", rec.route), slog.Int("status", status),
		slog.Duration("dur", took.Round(time.Microsecond)), slog.String("request_id", rec.id))
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if !s.NoClients {
		add("client", clientName(r))
	}
	code := rec.code
	if c := rec.call; c != nil {
		if rec.user == "" && c.Host != nil {
			rec.user = c.Host.User
		}
		if c.Event == "" && tools.IsEventID(rec.event) {
			c.Event = rec.event
		}
		if code == "" {
			code = string(c.Code)
		}
	}
	if host.IsUserID(rec.user) {
		add("user", rec.user)
	}
	if rec.call != nil {
		attrs = rec.call.AppendAttrs(attrs)
	} else if tools.IsEventID(rec.event) {
		add("event", rec.event)
	}
	add("code", code)
	if rec.err != nil {
		add("err", rec.err.Error())
	}
	return attrs
}

// method returns a request's method, if it is one of HTTP's: others are as long as
// who sends them likes.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace:
		return m
	}
	return "other"
}

// clientName is the address that limits count a request by: an IPv4 address, or the
// /64 of an IPv6 one.
func clientName(r *http.Request) string {
	client := limit.Client(r.RemoteAddr)
	switch {
	case !client.IsValid():
		return ""
	case client.IsSingleIP():
		return client.Addr().String()
	}
	return client.String()
}
