package metrics

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// keep is how many looks are remembered: a quarter of an hour.
const keep = 90

// history is what was counted at some times of the last quarter of an hour.
type history struct {
	mu    sync.Mutex
	looks []look // oldest first
}

// look is what had been counted at a time.
type look struct {
	at               time.Time
	requests, failed float64
	tools            map[string]calls
}

// calls are those of one tool.
type calls struct {
	count, failed float64
	sum           float64
	buckets       []float64 // cumulative, as answerBuckets
}

// Remember looks at what was counted.
func (m *Metrics) Remember() {
	now := m.look()
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	if n := len(m.history.looks); n >= keep {
		m.history.looks = slices.Delete(m.history.looks, 0, n-keep+1)
	}
	m.history.looks = append(m.history.looks, now)
}

func (m *Metrics) look() look {
	l := look{at: m.now(), tools: map[string]calls{}}
	families, err := m.registry.Gather()
	if err != nil && families == nil {
		return l
	}
	for _, f := range families {
		switch strings.TrimPrefix(f.GetName(), namespace+"_") {
		case "http_requests_total":
			for _, one := range f.GetMetric() {
				n := one.GetCounter().GetValue()
				l.requests += n
				if labelOf(one, "status") == "5xx" {
					l.failed += n
				}
			}
		case "tool_duration_seconds":
			for _, one := range f.GetMetric() {
				l.time(labelOf(one, "tool"), one.GetHistogram())
			}
		case "tool_errors_total":
			for _, one := range f.GetMetric() {
				tool := labelOf(one, "tool")
				c := l.tools[tool]
				c.failed += one.GetCounter().GetValue()
				l.tools[tool] = c
			}
		}
	}
	return l
}

func (l *look) time(tool string, h *dto.Histogram) {
	c := l.tools[tool]
	c.count, c.sum = float64(h.GetSampleCount()), h.GetSampleSum()
	c.buckets = nil
	for _, b := range h.GetBucket() {
		if !math.IsInf(b.GetUpperBound(), 0) {
			c.buckets = append(c.buckets, float64(b.GetCumulativeCount()))
		}
	}
	l.tools[tool] = c
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Summary is what happened in a while up to now.
type Summary struct {
	Over     time.Duration // how long that was
	Requests float64       // a second
	Failed   float64       // of 1, that were answered with 5xx
	Tools    []ToolSummary // by name
	// Curve is the requests a second of each pause between two looks, oldest first.
	Curve []float64
}

// ToolSummary is what happened of one tool.
type ToolSummary struct {
	Name          string
	Calls, Failed int
	P50, P99      time.Duration // not more than this; 0: nothing was measured
}

// Summary tells of the last while, or of as much of it as is remembered.
func (m *Metrics) Summary(while time.Duration) Summary {
	now := m.look()
	m.history.mu.Lock()
	looks := slices.Clone(m.history.looks)
	m.history.mu.Unlock()
	s := Summary{}
	var first look
	for i, l := range looks {
		if i > 0 {
			s.Curve = append(s.Curve, perSecond(looks[i-1], l))
		}
		if first.at.IsZero() && now.at.Sub(l.at) <= while {
			first = l
		}
	}
	if first.at.IsZero() { // nothing is remembered yet
		return s
	}
	s.Over = now.at.Sub(first.at)
	s.Requests = perSecond(first, now)
	if n := now.requests - first.requests; n > 0 {
		s.Failed = (now.failed - first.failed) / n
	}
	for name, c := range now.tools {
		before := first.tools[name]
		if c.count == before.count {
			continue
		}
		s.Tools = append(s.Tools, ToolSummary{Name: name, Calls: int(c.count - before.count), Failed: int(c.failed - before.failed),
			P50: quantile(.5, before, c), P99: quantile(.99, before, c)})
	}
	slices.SortFunc(s.Tools, func(a, b ToolSummary) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func perSecond(before, after look) float64 {
	if over := after.at.Sub(before.at).Seconds(); over > 0 {
		return max(0, after.requests-before.requests) / over
	}
	return 0
}

// quantile returns the bound of the bucket in which it is; of the last one, which has
// none, the mean of all.
func quantile(q float64, before, after calls) time.Duration {
	n := after.count - before.count
	for i, up := range after.buckets {
		if i < len(before.buckets) {
			up -= before.buckets[i]
		}
		if up >= q*n {
			return time.Duration(answerBuckets[i] * float64(time.Second))
		}
	}
	return time.Duration((after.sum - before.sum) / n * float64(time.Second))
}

// Failure is a request that failed by no fault of who sent it.
type Failure struct {
	At                time.Time
	Route, Tool, Code string
	Status            int
}

// lastErrors are some failures, the last ones.
type lastErrors struct {
	mu   sync.Mutex
	ring [20]Failure
	next int
}

func (e *lastErrors) add(f Failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring[e.next%len(e.ring)] = f
	e.next++
}

// Failures returns the last requests that failed, the newest first.
func (m *Metrics) Failures() []Failure {
	e := &m.lastErrors
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Failure
	for i := e.next - 1; i >= max(0, e.next-len(e.ring)); i-- {
		all = append(all, e.ring[i%len(e.ring)])
	}
	return all
}
