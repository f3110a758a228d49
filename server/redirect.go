package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// closeRedirects is how long redirects that are being written are waited for.
const closeRedirects = 5 * time.Second

// ServeRedirect answers plain HTTP on l until ctx ends: challenge, if there is one, the
// requests that it says it has answered, all others a redirect to the same place over
// HTTPS. Who watches over the server from this very machine needs no certificate.
func (s *Server) ServeRedirect(ctx context.Context, l net.Listener, challenge func(http.ResponseWriter, *http.Request) bool) error {
	conns := newConnections(s.Limits, s.Proxies)
	web := &http.Server{
		Handler: s.redirects(challenge), ReadHeaderTimeout: s.patience.header, ReadTimeout: s.patience.read, WriteTimeout: s.patience.read,
		IdleTimeout: s.patience.idle, MaxHeaderBytes: maxHeader, ConnState: conns.follow,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	err := l.Close() // first, as Serve does
	if served := <-failed; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	s.linger(ctx, conns) // Shutdown drops who has connected and asked for nothing yet
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeRedirects)
	defer cancel()
	stopped := web.Shutdown(soon)
	if errors.Is(stopped, context.DeadlineExceeded) {
		stopped = web.Close()
	}
	return errors.Join(err, stopped)
}

// watched are the paths at which one watches over the server.
var watched = []string{"/healthz", "/readyz", "/metrics", "/admin"}

func (s *Server) redirects(challenge func(http.ResponseWriter, *http.Request) bool) http.Handler {
	redirect := s.observe(s.secure(s.limitClients(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recordOf(r.Context()).route = "redirect"
		to := s.overHTTPS(r.Host)
		switch {
		case to == "": // never to where a stranger says
			fail(w, r, &problem{status: http.StatusMisdirectedRequest, code: "wrong_host", detail: "This server has no such name."})
		case challenge == nil || !challenge(w, r):
			target := url.URL{Scheme: "https", Host: to, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
		}
	}))))
	return s.Proxies.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromHere(r) && slices.Contains(watched, r.URL.Path) {
			s.ServeHTTP(w, r)
			return
		}
		redirect.ServeHTTP(w, r)
	}))
}

// overHTTPS returns the host, with a port if there is one, under which a name of the
// server is reached over HTTPS, or "" for any other name.
func (s *Server) overHTTPS(host string) string {
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = strings.TrimSuffix(name, ".")
	if s.PublicURL != nil && strings.EqualFold(name, s.PublicURL.Hostname()) {
		return s.PublicURL.Host
	}
	if i := slices.IndexFunc(s.Domains, func(d string) bool { return strings.EqualFold(name, d) }); i >= 0 {
		return s.Domains[i]
	}
	return ""
}
