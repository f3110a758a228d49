package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/events-concierge/concierge/payments/tracing"
)

// trace begins the trace of a request, or goes on with that of its client. Probes, of
// which there are many, have none, and so have scripts and styles.
func (s *Server) trace(r *http.Request) (context.Context, *tracing.Span) {
	switch {
	case s.Tracer == nil, r.URL.Path == "/healthz", r.URL.Path == "/readyz", r.URL.Path == "/metrics",
		strings.HasPrefix(r.URL.Path, "/static/"), strings.HasPrefix(r.URL.Path, "/devnet"):
		return r.Context(), nil
	}
	return tracing.Accept(r.Context(), s.Tracer, r)
}

// endTrace says what a request was, by the names of OpenTelemetry's conventions. The
// path is not said: it may be a ticket.
func endTrace(span *tracing.Span, r *http.Request, w *statusWriter) {
	if span == nil {
		return
	}
	defer span.End()
	route := w.rec.route
	if route == "" {
		route = "other"
	}
	if strings.HasPrefix(route, "/") {
		route = method(r.Method) + " " + route
	}
	span.Name(route)
	span.Set("http.request.method", method(r.Method))
	span.Set("http.route", route[strings.IndexByte(route, ' ')+1:])
	span.SetInt("http.response.status_code", w.status)
	span.Set("concierge.user", w.rec.user)
	if c := w.rec.call; c != nil {
		span.Set("concierge.tool", c.Tool)
		span.Set("concierge.code", string(c.Code))
		span.Set("concierge.payer", c.Payer)
	}
	if w.status >= 500 {
		span.Fail(w.rec.code)
	}
}
