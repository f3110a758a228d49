package store_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// What follows is measured against a baseline of the same run: it prints how
// many times faster, or slower.

// median of some durations.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// each returns how long a call of f takes, of n that are made by so many at a
// time.
func each(callers, n int, f func(i int)) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f(int(i))
			}
		})
	}
	wg.Wait()
	return time.Since(begin) / time.Duration(n)
}

// 32 writers at a time, each answered after the sync, against one commit a write.
func BenchmarkWriters32(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "tea", nil)
	made := 0
	var one, shared []time.Duration
	for b.Loop() {
		book := func(i int) {
			if _, err := h.BookFree(b.Context(), booking("tea", made+i, 1)); err != nil {
				b.Error(err)
			}
		}
		one = append(one, each(1, 100, book))
		made += 100
		shared = append(shared, each(32, 1000, book))
		made += 1000
	}
	b.ReportMetric(float64(median(one).Microseconds()), "µs-alone")
	b.ReportMetric(float64(median(shared).Microseconds()), "µs-of-32")
	b.ReportMetric(float64(median(one))/float64(median(shared)), "times-faster")
}

// The first call to a Host whose file is closed, against the next one.
func BenchmarkFirstCall(b *testing.B) {
	files, _ := MustFiles(b, store.Options{})
	h := hosts(b, files, 1)[0]
	for n := range 1000 {
		h.event(b, fmt.Sprint(n), nil)
	}
	list := func() time.Duration {
		begin := time.Now()
		if events, _, err := h.Events(b.Context(), store.EventQuery{Limit: 20}); err != nil || len(events) != 20 {
			b.Fatal(len(events), err)
		}
		return time.Since(begin)
	}
	var cold, warm []time.Duration
	for b.Loop() {
		if err := h.Files().Alone(b.Context(), h.path, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
		cold, warm = append(cold, list()), append(warm, list())
	}
	b.ReportMetric(float64(median(cold).Microseconds()), "µs-first")
	b.ReportMetric(float64(median(warm).Microseconds()), "µs-next")
	b.ReportMetric(float64((median(cold) - median(warm)).Microseconds()), "µs-to-open")
}

// What it costs to come by a file that is open.
func BenchmarkUse(b *testing.B) {
	files, _ := MustFiles(b, store.Options{})
	all := hosts(b, files, 100)
	for _, h := range all {
		if err := h.Using(b.Context(), func(any) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if err := all[n%len(all)].Using(b.Context(), func(any) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A list in a Host with 100,000 events and 1,000,000 RSVPs, against one with
// 1,000 events.
func BenchmarkLargeHost(b *testing.B) {
	small, large := MustOpen(b), MustOpen(b)
	crowd(b, small, 1000, 10_000)
	crowd(b, large, 100_000, 1_000_000)
	list := func(h *host, events int) func(int) {
		return func(i int) {
			from := start.Add(time.Duration(i*7919%(events-20)) * time.Minute)
			if page, _, err := h.Events(b.Context(), store.EventQuery{From: from, Limit: 20}); err != nil || len(page) != 20 {
				b.Error(len(page), err)
			}
		}
	}
	var inSmall, inLarge []time.Duration
	for b.Loop() {
		inSmall = append(inSmall, each(1, 100, list(small, 1000)))
		inLarge = append(inLarge, each(1, 100, list(large, 100_000)))
	}
	b.ReportMetric(float64(median(inSmall).Microseconds()), "µs-small")
	b.ReportMetric(float64(median(inLarge).Microseconds()), "µs-large")
	b.ReportMetric(float64(median(inLarge))/float64(median(inSmall)), "times-slower")
}

// crowd fills a Host in two statements: events a minute apart from start on, and
// RSVPs for them in turn.
func crowd(b *testing.B, h *host, events, rsvps int) {
	b.Helper()
	err := h.Write(b.Context(), func(exec execFunc) error {
		if err := exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
			INSERT INTO events (id, title, description, starts_at, time_zone, location, capacity, seats_taken, price, created_at, revision, search)
			SELECT printf('evt_%08d', i), 'Tea', 'With cake', ?2 + i * 60000, 'Europe/Berlin', 'The garden', 0, ?3, 0, 0, i + 1, 'tea' FROM n`,
			events, start.UnixMilli(), rsvps/events); err != nil {
			return err
		}
		return exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 - 1)
			INSERT INTO rsvps (id, event_id, seats, status, name, email, amount, created_at)
			SELECT printf('rsvp_%08d', i), printf('evt_%08d', i / ?1), 1, 'confirmed', 'Guest', '', 0, 0 FROM n`, rsvps/events, rsvps)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// What an open file takes of memory: one that is only read, and one that has
// been written to.
func BenchmarkMemory(b *testing.B) {
	const n = 256
	files, _ := MustFiles(b, store.Options{MaxOpen: 4 * n})
	all := hosts(b, files, n)
	for _, h := range all {
		h.event(b, "tea", nil)
		if err := files.Alone(b.Context(), h.path, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	var closed, read, written int
	for round := 0; b.Loop(); round++ {
		if round > 0 {
			continue // memory that was freed is used again
		}
		closed = resident(b)
		for _, h := range all {
			must(b)(h.Event(b.Context(), "tea"))
		}
		read = resident(b)
		for i, h := range all {
			must(b)(nil, h.Abandon(b.Context(), fmt.Sprint(i)))
		}
		written = resident(b)
	}
	b.ReportMetric(float64(read-closed)/n, "KB-read")
	b.ReportMetric(float64(written-closed)/n, "KB-written")
}

// resident is the memory of this process in KB.
func resident(b *testing.B) int {
	b.Helper()
	runtime.GC()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("only Linux tells")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		b.Fatal(err)
	}
	return kb
}
