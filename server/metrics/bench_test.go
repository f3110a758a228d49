package metrics_test

import (
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/metrics"
)

// What counting adds to one request: no memory, and a fraction of a microsecond.
func BenchmarkCount(b *testing.B) {
	m := metrics.New("bench", "none", nil)
	r := metrics.Request{Route: "/mcp/users/{user}", Method: "POST", Status: 200, Took: 200 * time.Microsecond, Tool: "list_events"}
	b.ReportAllocs()
	for b.Loop() {
		m.Begin()
		m.End(r)
	}
}
