package store_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

func BenchmarkBookFree(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "tea", nil)
	for n := 0; b.Loop(); n++ {
		must(b)(h.BookFree(b.Context(), booking("tea", n, 1)))
	}
}

// With 32 guests at a time, who share commits.
func BenchmarkBookFreeParallel(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "tea", nil)
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			must(b)(h.BookFree(b.Context(), booking("tea", int(n.Add(1)), 1)))
		}
	})
}

// A file that is closed, opened and read.
func BenchmarkFirstRead(b *testing.B) {
	files := store.NewFiles(store.Options{})
	b.Cleanup(func() { _ = files.Close() })
	path := filepath.Join(b.TempDir(), "host.db")
	h := files.Host(path)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.Events(b.Context(), store.EventQuery{Limit: 20}); err != nil {
			b.Fatal(err)
		}
		if err := files.Alone(b.Context(), path, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// A file that is closed, opened and written.
func BenchmarkFirstWrite(b *testing.B) {
	files := store.NewFiles(store.Options{})
	b.Cleanup(func() { _ = files.Close() })
	path := filepath.Join(b.TempDir(), "host.db")
	h := files.Host(path)
	if _, err := h.CreateEvent(b.Context(), store.Event{ID: "tea", StartsAt: time.Now().Add(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		must(b)(h.BookFree(b.Context(), booking("tea", n, 1)))
		if err := files.Alone(b.Context(), path, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHoldConfirm(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "opera", priced(0))
	for n := 0; b.Loop(); n++ {
		h.hold(b, "opera", n, 1)
		must(b)(h.Confirm(b.Context(), fmt.Sprintf("pay-%d", n), moved(n)))
	}
}

// The same of 32 guests at a time.
func BenchmarkHoldConfirmParallel(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "opera", priced(0))
	var next atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := int(next.Add(1))
			h.hold(b, "opera", n, 1)
			must(b)(h.Confirm(b.Context(), fmt.Sprintf("pay-%d", n), moved(n)))
		}
	})
}

func BenchmarkClaim(b *testing.B) {
	c := MustOpenServer(b, &clock{}).Claims()
	for n := 0; b.Loop(); n++ {
		if _, won, err := c.Claim(b.Context(), claim("u", n)); err != nil || !won {
			b.Fatal(won, err)
		}
	}
}

func BenchmarkEvents20of1000(b *testing.B) {
	h := MustOpen(b)
	for n := range 1000 {
		h.event(b, fmt.Sprint(n), func(e *store.Event) { e.StartsAt = start.Add(time.Duration(n) * time.Hour) })
	}
	q := store.EventQuery{From: start.Add(500 * time.Hour), Limit: 20}
	for b.Loop() {
		if events, _, err := h.Events(b.Context(), q); err != nil || len(events) != 20 {
			b.Fatal(len(events), err)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "tea", nil)
	for b.Loop() {
		must(b)(h.Event(b.Context(), "tea"))
	}
}

func BenchmarkOpen(b *testing.B) {
	h := MustOpen(b)
	h.event(b, "tea", nil)
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		again, err := store.OpenHost(b.Context(), h.path, store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		must(b)(again.Event(b.Context(), "tea"))
		if err := again.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	dir := b.TempDir()
	for n := 0; b.Loop(); n++ {
		h, err := store.OpenHost(b.Context(), filepath.Join(dir, fmt.Sprint(n)), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
