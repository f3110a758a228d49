package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/events-concierge/concierge/server/metrics"
)

// Rates and latencies are those of the last while, not of all time.
func TestSummary(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	m := metrics.New("test", "none", func() time.Time { return now })
	call := func(n int, took time.Duration, status int, code string) {
		for range n {
			m.Begin()
			m.End(metrics.Request{Route: "/mcp", Method: "POST", Status: status, Took: took, Tool: "list_events", ToolCode: code})
		}
	}
	call(1000, 20*time.Second, 200, "") // long ago
	m.Remember()
	now = now.Add(10 * time.Minute)
	m.Remember()
	call(98, 2*time.Millisecond, 200, "")
	call(2, 80*time.Millisecond, 500, "internal")
	now = now.Add(100 * time.Second)
	s := m.Summary(5 * time.Minute)
	if s.Over != 100*time.Second || s.Requests != 1 || s.Failed != .02 || len(s.Tools) != 1 {
		t.Fatalf("%+v", s)
	}
	if tool := s.Tools[0]; tool.Calls != 100 || tool.Failed != 2 || tool.P50 != 2500*time.Microsecond || tool.P99 != 100*time.Millisecond {
		t.Errorf("%+v", tool)
	}
	if f := m.Failures(); len(f) != 2 || f[0].Code != "internal" || !f[0].At.Equal(now.Add(-100*time.Second)) {
		t.Errorf("%+v", f)
	}
	for range 200 {
		m.Remember()
	}
	if s := m.Summary(time.Hour); len(s.Curve) != 89 {
		t.Errorf("%d points are remembered", len(s.Curve))
	}
}

// What should be bounded and is not fills no memory.
func TestSeriesAreBounded(t *testing.T) {
	m := metrics.New("test", "none", nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				m.Begin()
				m.End(metrics.Request{Route: fmt.Sprint("/", w, i), Method: fmt.Sprint("M", i), Status: 200, Code: fmt.Sprint(w, i)})
			}
		})
	}
	wg.Wait()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if n := strings.Count(w.Body.String(), "concierge_http_requests_total{"); n != 1000 {
		t.Errorf("%d series", n)
	}
}

// A nil Metrics counts nothing.
func TestNobodyCounts(t *testing.T) {
	var m *metrics.Metrics
	m.Begin()
	m.End(metrics.Request{})
	m.Limited("ip")
	m.Opened(0, errors.New("no"))
	m.Asked("local", "verify", "ok", 0)
}

// Run samples at once and again, and ends when nothing of it runs any more.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("test", "none", nil)
		n := 0
		m.Sample(time.Minute, func(ctx context.Context) {
			n++
			<-ctx.Done() // a chain that is away
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Run(ctx); close(done) }()
		time.Sleep(150 * time.Second) // of the bubble
		cancel()
		<-done
		if n != 3 {
			t.Errorf("sampled %d times", n)
		}
	})
}
