package admin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
)

// Keys of what a Log adds to a record, and of the record that tells of lost ones.
const (
	KeySeq  = "seq"
	KeyLost = "lost"
)

// Messages of records.
const (
	// MessageRequest is that of the one record which each request leaves.
	MessageRequest = "request"
	// MessageLost is that of a record which a [Log] puts where others are missing;
	// [KeyLost] says how many.
	MessageLost = "records lost"
)

// Sizes of a Log, in records.
const (
	defaultKept   = 1000 // the last ones, for who comes later
	defaultBehind = 1024 // that who follows may be behind
)

// Record is a line of a log. They are counted from 1; those that a [Log] made itself
// have no number.
type Record struct {
	Seq uint64
	slog.Record
}

// Log has the last records of a server, and hands new ones to who follows. It never
// waits for anybody. Safe for concurrent use.
type Log struct {
	// Run names this run of the server: another one counts anew.
	Run string

	kept, behind int
	debug        atomic.Int32 // who follow want debug records

	mu        sync.Mutex
	ring      []Record // the newest is before place, once it is full
	place     int
	seq       uint64
	followers map[*Follower]struct{}
	closed    bool
}

// NewLog returns an empty Log.
func NewLog() *Log { return newLog(defaultKept, defaultBehind) }

func newLog(kept, behind int) *Log {
	return &Log{Run: rand.Text(), kept: kept, behind: behind, followers: map[*Follower]struct{}{}}
}

// Handler returns a handler that hands records to next, as before, and keeps those
// of level info and above whatever level next has; those of debug while somebody
// follows who wants them.
func (l *Log) Handler(next slog.Handler) slog.Handler { return handler{log: l, next: next} }

// Close ends all who follow, once they have what there is.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for f := range l.followers {
		f.wake()
	}
}

// count returns how many follow.
func (l *Log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.followers)
}

func (l *Log) keeps(level slog.Level) bool {
	return level >= slog.LevelInfo || level >= slog.LevelDebug && l.debug.Load() > 0
}

func (l *Log) add(r slog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	record := Record{Seq: l.seq, Record: r}
	if len(l.ring) < l.kept {
		l.ring = append(l.ring, record)
	} else {
		l.ring[l.place] = record
		l.place = (l.place + 1) % l.kept
	}
	for f := range l.followers {
		if f.filter.Match(r) {
			f.put(record)
		}
	}
}

// last returns the records that are kept, oldest first. It is called with mu locked.
func (l *Log) last() []Record { return slices.Concat(l.ring[l.place:], l.ring[:l.place]) }

// handler is a slog.Handler in front of another one.
type handler struct {
	log   *Log
	next  slog.Handler
	attrs []slog.Attr // of With
	group string      // before the names of attributes, with a dot at its end
}

// Enabled implements [slog.Handler].
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.log.keeps(level) || h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if h.log.keeps(r.Level) {
		h.log.add(h.own(r))
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// own returns a record that has all it says in itself, for it is read later.
func (h handler) own(r slog.Record) slog.Record {
	flat := len(h.attrs) == 0 && h.group == ""
	r.Attrs(func(a slog.Attr) bool {
		flat = flat && simple(a.Value)
		return flat
	})
	if flat {
		return r.Clone()
	}
	all := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		all = flatten(all, h.group, a)
		return true
	})
	own := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	own.AddAttrs(all...)
	return own
}

// simple reports whether a value will be the same later.
func simple(v slog.Value) bool {
	k := v.Kind()
	return k != slog.KindAny && k != slog.KindLogValuer && k != slog.KindGroup
}

// flatten appends an attribute, those of a group each with the group's name.
func flatten(to []slog.Attr, group string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			to = flatten(to, group, member)
		}
		return to
	case slog.KindAny:
		v = slog.StringValue(v.String())
	}
	if a.Key == "" && v.Equal(slog.Value{}) { // which handlers ignore
		return to
	}
	return append(to, slog.Attr{Key: group + a.Key, Value: v})
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		h.attrs = flatten(h.attrs, h.group, a)
	}
	h.next = h.next.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h handler) WithGroup(name string) slog.Handler {
	if name != "" {
		h.group += name + "."
		h.next = h.next.WithGroup(name)
	}
	return h
}
