package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/tools"
)

// record is what the log says of one request beyond its first line, see [record.attrs].
// Handlers fill it in.
type record struct {
	id    string
	route string
	user  string
	event string
	code  string
	err   error
	call  *tools.Call
	// session is what the cookie says, once it was looked at; owner is the call of who
	// is signed in.
	session *session
	owner   *tools.Call
	// limits are those that the request came under.
	limits []counted
	charge func(tokens int) error // takes more of them; nil: no
}

type recordKey struct{}

func recordOf(ctx context.Context) *record { return ctx.Value(recordKey{}).(*record) }

// handle makes an http.HandlerFunc of a handler that returns what went wrong.
func (s *Server) handle(next func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rec := recordOf(r.Context())
		rec.route, rec.user, rec.event = r.Pattern, r.PathValue("user"), r.PathValue("event")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := next(w, r); err != nil {
			fail(w, r, err)
		}
	}
}

// fail answers a request that came to nothing.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	p, rec := problemOf(err), recordOf(r.Context())
	rec.code, rec.err = p.code, p.cause
	p.write(w)
}

// observe writes one log record a request, and keeps a panic from ending more
// than its request.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &record{id: rand.Text()}
		w.Header().Set(headerRequestID, rec.id)
		s.Metrics.Begin()
		sw := &statusWriter{ResponseWriter: w, rec: rec, last: &s.leaving}
		ctx, span := s.trace(r)
		defer func() {
			if p := recover(); p != nil {
				// Not the path, which may be a ticket.
				s.Log.Error("handler panicked", "request_id", rec.id, "route", rec.route, "panic", p, "stack", string(debug.Stack()))
				rec.code, rec.err = string(tools.CodeInternal), fmt.Errorf("panic: %v", p)
				if sw.status == 0 {
					problemOf(rec.err).write(sw)
				}
			}
			took := time.Since(start)
			s.measure(r, sw, took)
			endTrace(span, r, sw)
			s.logRequest(r, rec, sw.status, took)
		}()
		next.ServeHTTP(sw, r.WithContext(context.WithValue(ctx, recordKey{}, rec)))
	})
}

// levelOf keeps probes, which come every few seconds, and floods out of the
// ordinary log.
func levelOf(r *http.Request, status int) slog.Level {
	switch {
	case r.Context().Err() != nil: // whoever asked is gone: nothing is wrong here
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= 500:
		return slog.LevelError
	case status == http.StatusTooManyRequests, // see refusals
		r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || strings.HasPrefix(r.URL.Path, "/devnet"):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// statusWriter remembers the status, and tells of the limits.
type statusWriter struct {
	http.ResponseWriter
	rec    *record
	status int
	last   *atomic.Bool // it is the last answer of its connection
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		announce(w.Header(), w.rec.limits)
		if w.last.Load() {
			w.Header().Set("Connection", "close") // HTTP/2 makes a GOAWAY of it
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// strictTransport has browsers come by HTTPS alone for a year (RFC 6797). Domains below
// this one are other people's business.
const strictTransport = "max-age=31536000"

// secure sets the headers that are right for every answer of a server that
// serves data only.
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		if forwarded.HTTPS(r) { // said over plain HTTP it would be anybody's word
			h.Set("Strict-Transport-Security", strictTransport)
		}
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses a request that reached a loopback address under a foreign
// name: a web page that let its own name point here (DNS rebinding). A proxy
// on the same machine is known by the public URL: what it writes of itself, such a
// page can write as well.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if local != nil && isLoopback(local.String()) && !isLoopback(r.Host) &&
			!s.named(r.Host) {
			p := &problem{status: http.StatusForbidden, code: "wrong_host",
				detail: "The Host header names neither this machine nor the public URL. Start the server with --public-url if it is reached by this name."}
			fail(w, r, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// named reports whether a Host header is a name by which clients may reach the server.
func (s *Server) named(host string) bool {
	if s.PublicURL != nil && strings.EqualFold(host, s.PublicURL.Host) {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return slices.ContainsFunc(s.Domains, func(d string) bool { return strings.EqualFold(host, d) })
}

func isLoopback(hostport string) bool {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = strings.Trim(hostport, "[]")
	}
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
