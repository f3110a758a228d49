package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
)

// quiet writes nothing, as a server with --log-level error does with most.
func quiet() slog.Handler {
	return slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})
}

func seqs(all []Record) (n []uint64) {
	for _, r := range all {
		n = append(n, r.Seq)
	}
	return n
}

func next(t *testing.T, f *Follower) []Record {
	t.Helper()
	all, err := f.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lost(t *testing.T, r Record) (n uint64) {
	t.Helper()
	if r.Message != MessageLost || r.Seq != 0 {
		t.Fatalf("want a record of what was lost: %v", r)
	}
	r.Attrs(func(a slog.Attr) bool { n = a.Value.Uint64(); return true })
	return n
}

func everything() Filter { return Filter{Level: new(slog.Level)} }

func TestLogHandsOverWhatComes(t *testing.T) {
	l := newLog(3, 10)
	log := testlog.New(l.Handler(quiet()))
	for range 5 {
		log.Info("before")
	}
	f := l.Follow(everything(), Place{Last: 2})
	defer f.Close()
	if got := seqs(next(t, f)); len(got) != 2 || got[0] != 4 || got[1] != 5 {
		t.Errorf("of before: %v", got)
	}
	log.Warn("now")
	if got := next(t, f); len(got) != 1 || got[0].Message != "now" || got[0].Seq != 6 {
		t.Errorf("now: %v", got)
	}
	l.Close()
	if _, err := f.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// Whoever comes back gets what it missed, and is told how much is gone.
func TestLogGoesOn(t *testing.T) {
	l := newLog(3, 10)
	log := testlog.New(l.Handler(quiet()))
	for range 5 {
		log.Info("x")
	}
	for name, c := range map[string]struct {
		place Place
		lost  uint64
		first uint64
		n     int
	}{
		"nothing missed":          {Place{Run: l.Run, After: 5}, 0, 0, 0},
		"all there still":         {Place{Run: l.Run, After: 2}, 0, 3, 3},
		"one is gone":             {Place{Run: l.Run, After: 1}, 1, 3, 3},
		"another run":             {Place{Run: "other", After: 900}, 2, 3, 3},
		"the future, of this run": {Place{Run: l.Run, After: 900}, 0, 0, 0},
	} {
		f := l.Follow(everything(), c.place)
		all, _ := f.take()
		f.Close()
		if c.lost > 0 {
			if len(all) == 0 || lost(t, all[0]) != c.lost {
				t.Errorf("%s: %v", name, all)
				continue
			}
			all = all[1:]
		}
		if len(all) != c.n || c.n > 0 && all[0].Seq != c.first {
			t.Errorf("%s: %v", name, seqs(all))
		}
	}
}

// A reader that does not read costs it records, and nobody else anything.
func TestLogLosesWhatNobodyReads(t *testing.T) {
	l := newLog(100, 2)
	log := testlog.New(l.Handler(quiet()))
	slow, fast := l.Follow(everything(), Place{}), l.Follow(everything(), Place{})
	defer slow.Close()
	defer fast.Close()
	for range 5 {
		log.Info("x")
		if got := next(t, fast); len(got) != 1 || got[0].Seq == 0 {
			t.Fatalf("who reads: %v", got)
		}
	}
	all := next(t, slow)
	if len(all) != 3 || all[0].Seq != 1 || all[1].Seq != 2 || lost(t, all[2]) != 3 {
		t.Fatalf("who did not: %v", all)
	}
	log.Info("x")
	if got := seqs(next(t, slow)); len(got) != 1 || got[0] != 6 {
		t.Errorf("afterwards: %v", got)
	}
}

func TestLogLevels(t *testing.T) {
	var out bytes.Buffer
	l := NewLog()
	h := l.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log := testlog.New(h) // which takes everything where the logs of tests are collected
	ctx := context.Background()
	if h.Enabled(ctx, slog.LevelDebug) {
		t.Error("debug is made for nobody")
	}
	debug := slog.LevelDebug
	f := l.Follow(Filter{Level: &debug}, Place{})
	log.Debug("seen")
	log.Info("seen")
	if got := next(t, f); len(got) != 2 {
		t.Errorf("%v", got)
	}
	f.Close()
	f.Close()
	if h.Enabled(ctx, slog.LevelDebug) {
		t.Error("debug is still made")
	}
	if out.Len() > 0 {
		t.Errorf("below its level: %s", &out)
	}
	log.Warn("told")
	if !strings.Contains(out.String(), "msg=told") {
		t.Errorf("the log itself: %s", &out)
	}
}

// What a record says is what it said then.
func TestLogKeepsWhatWasSaid(t *testing.T) {
	l := NewLog()
	log := testlog.New(l.Handler(quiet())).With("user", "u1").WithGroup("g").With("b", 1)
	changing := &bytes.Buffer{}
	changing.WriteString("then")
	log.Info("x", "err", errors.New("it broke"), "any", changing, slog.Group("in", "c", true))
	changing.WriteString(" and later")
	f := l.Follow(everything(), Place{Last: 1})
	defer f.Close()
	var line bytes.Buffer
	if err := next(t, f)[0].encode(&line); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"user":"u1"`, `"g.b":1`, `"g.err":"it broke"`, `"g.any":"then"`, `"g.in.c":true`, `"seq":1`} {
		if !strings.Contains(line.String(), want) {
			t.Errorf("%s is not in %s", want, &line)
		}
	}
}

func TestLogAtOnce(t *testing.T) {
	l := newLog(10, 100_000)
	log := testlog.New(l.Handler(quiet()))
	f := l.Follow(everything(), Place{})
	defer f.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.Info("x")
			}
		})
		wg.Go(func() { l.Follow(everything(), Place{Last: 5}).Close() })
	}
	wg.Wait()
	l.Close()
	n := uint64(0)
	for {
		all, err := f.Next(t.Context())
		if err != nil {
			break
		}
		for _, r := range all {
			if n++; r.Seq != n {
				t.Fatalf("%d comes after %d", r.Seq, n-1)
			}
		}
	}
	if n != 800 {
		t.Errorf("%d of 800", n)
	}
}

// What a request pays for being kept while nobody follows.
func BenchmarkRecord(b *testing.B) {
	attrs := []slog.Attr{slog.String("method", "POST"), slog.String("route", "/mcp/users/{user}"), slog.Int("status", 200),
		slog.Duration("dur", 1000), slog.String("request_id", "a"), slog.String("client", "192.0.2.1"), slog.String("user", "u"),
		slog.String("tool", "list_events")}
	for name, h := range map[string]slog.Handler{"alone": slog.NewTextHandler(io.Discard, nil), "kept": NewLog().Handler(slog.NewTextHandler(io.Discard, nil))} {
		b.Run(name, func(b *testing.B) {
			log := testlog.New(h)
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(context.Background(), slog.LevelInfo, MessageRequest, attrs...)
			}
		})
	}
}
