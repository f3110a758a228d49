package server

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/server/metrics"
)

// watchOver adds the routes for who watches over the server, and what is looked up for
// them.
func (s *Server) watchOver(mux *http.ServeMux) {
	s.openReadiness()
	if s.Metrics == nil {
		return
	}
	mux.HandleFunc("GET /metrics", s.handle(s.scrape))
	s.adminPages(mux)
	s.lookUp()
}

// measure counts a request that was answered.
func (s *Server) measure(r *http.Request, w *statusWriter, took time.Duration) {
	if s.Metrics == nil {
		return
	}
	m := metrics.Request{Route: w.rec.route, Method: method(r.Method), Status: w.status, Took: took, Code: w.rec.code,
		Stream: w.status == http.StatusSwitchingProtocols || w.status == 0 || strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")}
	if c := w.rec.call; c != nil {
		m.Tool, m.ToolCode = c.Tool, string(c.Code)
	}
	s.Metrics.End(m)
}

// scrape is /metrics. To everybody else there is nothing.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request) error {
	if !s.isOperators(r) {
		return s.nothing(w, r)
	}
	w.Header().Set("Cache-Control", "no-store")
	s.Metrics.ServeHTTP(w, r)
	return nil
}

// isOperators reports whether a request may read the metrics: it comes straight from
// this machine, or with the token for that.
func (s *Server) isOperators(r *http.Request) bool {
	if fromHere(r) {
		return true
	}
	token, want := bearer(r), s.metricsToken()
	return want != "" && token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(want)) == 1
}

// fromHere reports whether a request comes from this machine, and is not passed on by
// a proxy that runs on it.
func fromHere(r *http.Request) bool {
	proxy, _ := forwarded.Through(r)
	return !proxy && isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

// lookUp has the metrics look up what the server knows at any moment.
func (s *Server) lookUp() {
	m := s.Metrics
	m.Lookup("http_connections", "Connections that are open.", nil, func(emit metrics.Emit) { emit(float64(s.open.count())) })
	m.Lookup("check_up", "Whether /readyz finds this in order: 1 or 0.", []string{"check"}, func(emit metrics.Emit) {
		for _, c := range s.readiness.last() {
			emit(oneIf(c.OK), c.Name)
		}
	})
	m.Sample(checkEvery, s.readiness.refresh)
	if x := s.Index; x != nil {
		m.Lookup("index_sweep_timestamp_seconds", "When the index of events was last held against all Hosts (Unix time).", nil, func(emit metrics.Emit) {
			if at, _ := x.Swept(); !at.IsZero() {
				emit(float64(at.Unix()))
			}
		})
		m.Lookup("index_sweep_duration_seconds", "What that took.", nil, func(emit metrics.Emit) {
			if at, took := x.Swept(); !at.IsZero() {
				emit(took.Seconds())
			}
		})
	}
	s.lookUpHosts()
	s.lookUpPayments()
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
