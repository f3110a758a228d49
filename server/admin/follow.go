package admin

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Follower is handed the records of a [Log], in order.
type Follower struct {
	log    *Log
	filter Filter
	news   chan struct{} // has one if there may be something new

	// Of the Log's mutex.
	queue []Record
	lost  bool // the last of queue tells of those that found no place
}

// Follow has records that pass a filter handed over from a place on. Close it.
func (l *Log) Follow(filter Filter, from Place) *Follower {
	f := &Follower{log: l, filter: filter, news: make(chan struct{}, 1)}
	if filter.debug() {
		l.debug.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.queue = l.since(filter, from)
	l.followers[f] = struct{}{}
	f.wake()
	return f
}

// Place is where in a log to begin.
type Place struct {
	// Last is how many records of before are wanted at most, of those that pass the
	// filter. It counts if Run is empty.
	Last int
	// Run and After are where a follower was before: what came later is wanted, all
	// of it if Run is another one.
	Run   string
	After uint64
}

// since returns what there is to be seen of before. It is called with mu locked.
func (l *Log) since(filter Filter, from Place) (all []Record) {
	if from.Run != "" && from.Run != l.Run {
		from.After = 0
	}
	for _, r := range l.last() {
		if r.Seq > from.After && filter.Match(r.Record) {
			all = append(all, r)
		}
	}
	if from.Run == "" {
		return all[max(0, len(all)-from.Last):]
	}
	if oldest := l.seq - uint64(len(l.ring)) + 1; oldest > from.After+1 {
		all = append([]Record{missing(oldest-from.After-1, time.Time{})}, all...)
	}
	return all
}

// missing is a record that stands for n lost ones, the first of which was at this
// time, if that is known. Of those that are not kept any more nobody knows whether
// they would have passed the filter.
func missing(n uint64, at time.Time) Record {
	r := slog.Record{Time: at, Level: slog.LevelWarn, Message: MessageLost}
	r.AddAttrs(slog.Uint64(KeyLost, n))
	return Record{Record: r}
}

// put adds a record, or counts it as lost if f is too far behind. It is called with
// the Log's mu locked.
func (f *Follower) put(r Record) {
	switch {
	case len(f.queue) < f.log.behind:
		f.queue, f.lost = append(f.queue, r), false
	case !f.lost:
		f.queue, f.lost = append(f.queue, missing(1, r.Time)), true
	default:
		last := &f.queue[len(f.queue)-1]
		last.Attrs(func(a slog.Attr) bool {
			*last = missing(a.Value.Uint64()+1, last.Time)
			return false
		})
	}
	f.wake()
}

func (f *Follower) wake() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// Next returns the records that have come, and waits for one if there are none. It
// returns io.EOF at the end of the Log.
func (f *Follower) Next(ctx context.Context) ([]Record, error) {
	for {
		all, closed := f.take()
		switch {
		case len(all) > 0:
			return all, nil
		case closed:
			return nil, io.EOF
		}
		select {
		case <-f.news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns what there is, without waiting.
func (f *Follower) take() (all []Record, closed bool) {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	all, f.queue, f.lost = f.queue, nil, false
	return all, f.log.closed
}

// Close ends it.
func (f *Follower) Close() {
	f.log.mu.Lock()
	_, is := f.log.followers[f]
	delete(f.log.followers, f)
	f.log.mu.Unlock()
	if is && f.filter.debug() {
		f.log.debug.Add(-1)
	}
}
