package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-concierge/concierge/payments"
)

// served is what a request's series are found by.
type served struct {
	route, method string
	status        int // index of statuses
}

type servedAs struct {
	count prometheus.Counter
	times prometheus.Observer
}

// statuses are the classes of HTTP's statuses; none is of a connection that was taken
// over, or of nobody who could be answered.
var statuses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Request is one request that was answered.
type Request struct {
	Route, Method string // Route is a pattern, never a path; Method one of HTTP's, or "other"
	Status        int
	Took          time.Duration
	Stream        bool   // how long it took says nothing
	Tool          string // that was called, if one was
	ToolCode      string // of its error
	Code          string // of the error of the request itself
}

// Begin counts a request in.
func (m *Metrics) Begin() {
	if m != nil {
		m.inFlight.Inc()
	}
}

// End counts a request that began.
func (m *Metrics) End(r Request) {
	if m == nil {
		return
	}
	m.inFlight.Dec()
	took := r.Took.Seconds()
	k := served{r.Route, r.Method, classOf(r.Status)}
	if k.route == "" {
		k.route = "other"
	}
	if s, ok := m.served.get(k); ok {
		s.count.Inc()
		if !r.Stream {
			s.times.Observe(took)
		}
	}
	if r.Tool != "" {
		if s, ok := m.tools.get(r.Tool); ok && !r.Stream {
			s.Observe(took)
		}
		if r.ToolCode != "" {
			if c, ok := m.toolCodes.get([2]string{r.Tool, r.ToolCode}); ok {
				c.Inc()
			}
		}
	}
	if r.Code == "" {
		r.Code = r.ToolCode
	}
	if r.Code == "" {
		return
	}
	if c, ok := m.codes.get(r.Code); ok {
		c.Inc()
	}
	if r.Status >= 500 || r.Code == "internal" || r.Code == "payment_unavailable" {
		m.lastErrors.add(Failure{At: m.now(), Route: k.route, Tool: r.Tool, Code: r.Code, Status: r.Status})
	}
}

func classOf(status int) int {
	if class := status / 100; class > 0 && class < len(statuses) {
		return class
	}
	return 0
}

// Limited counts a request that a limit refused.
func (m *Metrics) Limited(limit string) {
	if m == nil {
		return
	}
	if c, ok := m.limits.get(limit); ok {
		c.Inc()
	}
}

// Opened counts a Host's file that was opened, or failed to be.
func (m *Metrics) Opened(took time.Duration, err error) {
	switch {
	case m == nil:
	case err != nil:
		m.openFailed.Inc()
	default:
		m.opens.Observe(took.Seconds())
	}
}

// Payment counts a payment, or a refund, that came into a state. It is the Observe of
// [payments.Config].
func (m *Metrics) Payment(p payments.Payment, refund bool) {
	if m == nil {
		return
	}
	kind := "payment"
	if refund {
		kind = "refund"
	}
	m.outcomes.WithLabelValues(kind, string(p.State)).Inc()
	if !refund && p.State == payments.Settled {
		m.settlements.Observe(max(0, p.UpdatedAt.Sub(p.CreatedAt).Seconds()))
	}
}

// Asked counts a question to a facilitator: verify, settle or supported, and what
// came of it. It is the Observe of clients.
func (m *Metrics) Asked(facilitator, operation, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.asked.WithLabelValues(facilitator, operation, outcome).Inc()
	m.askTimes.WithLabelValues(facilitator, operation).Observe(took.Seconds())
}
