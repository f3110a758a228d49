// Package metrics counts what a server does, for Prometheus and for the page of its
// operator. It knows no Hosts and no HTTP routes: package server and the wiring tell
// it what happened, and hand it functions for what is to be looked up.
//
// Start with [New]. docs/reference/metrics.md lists every metric; a test holds it,
// the dashboard and the alert rules below deploy/ against what is registered here.
//
// A scrape only reads what is in memory: whatever takes longer, such as a question to
// the chain, is asked from time to time by [Metrics.Run]. Names of users, payers and
// events are never labels, so the number of series does not grow with them.
package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "concierge"

// Buckets of the histograms, in seconds. A tool answers within 45 s, a settlement may
// take as long as its authorization lives.
var (
	answerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 45}
	settleBuckets = []float64{.1, .25, .5, 1, 2, 3, 5, 10, 20, 45, 90, 300, 900}
	openBuckets   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
)

// Metrics are all metrics of one server. A nil Metrics counts nothing. Safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	now      func() time.Time

	inFlight    prometheus.Gauge
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	toolTimes   *prometheus.HistogramVec
	toolErrors  *prometheus.CounterVec
	errors      *prometheus.CounterVec
	limited     *prometheus.CounterVec
	opens       prometheus.Histogram
	openFailed  prometheus.Counter
	outcomes    *prometheus.CounterVec
	settlements prometheus.Histogram
	asked       *prometheus.CounterVec
	askTimes    *prometheus.HistogramVec

	served     table[served, servedAs]
	tools      table[string, prometheus.Observer]
	toolCodes  table[[2]string, prometheus.Counter]
	codes      table[string, prometheus.Counter]
	limits     table[string, prometheus.Counter]
	history    history
	lastErrors lastErrors
	samplers   []sampler
}

// New returns the metrics of a program with this version, built from this commit. now
// is the clock, or nil for time.Now.
func New(version, commit string, now func() time.Time) *Metrics {
	if now == nil {
		now = time.Now
	}
	m := &Metrics{registry: prometheus.NewRegistry(), now: now}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := m.gauge("build_info", "1; its labels say what runs.", "version", "commit", "goversion")
	build.WithLabelValues(version, commit, runtime.Version()).Set(1)
	m.inFlight = m.gauge("http_requests_in_flight", "Requests that are being answered.").WithLabelValues()
	m.requests = m.counter("http_requests_total", "Requests that were answered.", "route", "method", "status")
	m.durations = m.histogram("http_request_duration_seconds", "From a request's headers to the end of its answer; streams are left out.", answerBuckets, "route")
	m.toolTimes = m.histogram("tool_duration_seconds", "From the request of a tool's call to its answer.", answerBuckets, "tool")
	m.toolErrors = m.counter("tool_errors_total", "Calls of tools that came to an error, by its code.", "tool", "code")
	m.errors = m.counter("errors_total", "Requests that came to an error, by its code.", "code")
	m.limited = m.counter("rate_limited_total", "Requests that were refused by a limit of how often.", "limit")
	m.opens = m.histogram("host_open_duration_seconds", "What it took to open the file of a Host that was closed.", openBuckets).WithLabelValues().(prometheus.Histogram)
	m.openFailed = m.counter("host_open_failures_total", "Files of Hosts that could not be opened.").WithLabelValues()
	m.outcomes = m.counter("payments_total", "Payments and refunds that came into this state.", "kind", "state")
	m.settlements = m.histogram("payment_settlement_duration_seconds", "From the hold of the seats until a payment was settled.", settleBuckets).WithLabelValues().(prometheus.Histogram)
	m.asked = m.counter("facilitator_requests_total", "What facilitators were asked, and what came of it.", "facilitator", "operation", "outcome")
	m.askTimes = m.histogram("facilitator_request_duration_seconds", "How long a facilitator took.", settleBuckets, "facilitator", "operation")
	m.prepare()
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second, ErrorHandling: promhttp.ContinueOnError})
	return m
}

// prepare has the tables make the series that they hold.
func (m *Metrics) prepare() {
	m.served.make = func(k served) servedAs {
		return servedAs{m.requests.WithLabelValues(k.route, k.method, statuses[k.status]), m.durations.WithLabelValues(k.route)}
	}
	m.tools.make = func(tool string) prometheus.Observer { return m.toolTimes.WithLabelValues(tool) }
	m.toolCodes.make = func(k [2]string) prometheus.Counter { return m.toolErrors.WithLabelValues(k[0], k[1]) }
	m.codes.make = func(code string) prometheus.Counter { return m.errors.WithLabelValues(code) }
	m.limits.make = func(limit string) prometheus.Counter { return m.limited.WithLabelValues(limit) }
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Names returns the names of all metrics, sorted.
func (m *Metrics) Names() []string {
	all := make(chan *prometheus.Desc, 16)
	go func() { // ends with the registry's list
		m.registry.Describe(all)
		close(all)
	}()
	seen := map[string]bool{}
	for d := range all {
		seen[nameOf(d)] = true
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
