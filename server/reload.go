package server

import (
	"net/http"

	"github.com/rs/cors"
)

// Reloadable is what of a [Config] may be changed while the server runs.
type Reloadable struct {
	Limits       Limits
	Origins      []string
	Registration Registration
	Operators    []Operator
	MetricsToken string
}

// live is what holds at a time. It is never changed, only replaced.
type live struct {
	Reloadable
	limits *limits
	cors   *cors.Cors // nil: pages of no other origin may call
}

// Reload has r hold for requests from now on. Who was limited starts anew only if the
// limits are others.
func (s *Server) Reload(r Reloadable) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next := &live{Reloadable: r}
	if len(r.Origins) > 0 {
		next.cors = cors.New(corsOptions(r.Origins))
	}
	switch last := s.live.Load(); {
	case last == nil:
		next.limits = newLimits(r.Limits)
	case last.Limits == r.Limits:
		next.limits = last.limits
	default:
		next.limits = newLimits(r.Limits)
		next.limits.held, next.limits.refusals, next.limits.holdBack = last.limits.held, last.limits.refusals, last.limits.holdBack
	}
	s.live.Store(next)
	s.open.bound(r.Limits)
}

// limits are those that hold now.
func (s *Server) limits() *limits { return s.live.Load().limits }

// registration says who may register now.
func (s *Server) registration() Registration { return s.live.Load().Registration }

// operators are those who may see the operator's page now.
func (s *Server) operators() []Operator { return s.live.Load().Operators }

// metricsToken is what lets who sends it read /metrics now.
func (s *Server) metricsToken() string { return s.live.Load().MetricsToken }

// origins are the web origins that may call now.
func (s *Server) origins() []string { return s.live.Load().Origins }

func (s *Server) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := s.live.Load().cors; c != nil {
			c.ServeHTTP(w, r, next.ServeHTTP)
			return
		}
		next.ServeHTTP(w, r)
	})
}
