package host

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Quotas are what each Host may use. 0 is no limit.
type Quotas struct {
	Requests int64 // a day (UTC)
	Events   int64 // created a day
	Bytes    int64 // of its file
}

// DefaultQuotas are what one machine can give to many Hosts.
func DefaultQuotas() Quotas { return Quotas{Requests: 1_000_000, Events: 10_000, Bytes: 1 << 30} }

// Usage is what a Host has used of its [Quotas].
type Usage struct {
	Quotas
	Limits   Quotas
	ResetsAt time.Time // when the day ends
}

// meter counts what the Hosts are used for, in memory: a request must not wait
// for the disk to be counted. What was not kept yet when the program is killed
// is lost; see [Hosts.KeepUsage].
type meter struct {
	server *store.Server
	now    func() time.Time

	mu      sync.Mutex
	tallies map[dayOf]*tally
	keeping sync.Mutex
}

// dayOf is one day of one user.
type dayOf struct {
	user string
	day  int64
}

type tally struct {
	kept  store.Usage // as it was when it was last read or added to
	added store.Usage // since
}

const day = 24 * time.Hour

// use counts a use of a user's Host today and returns the sums, unless that
// would be more events than most, if that is above 0.
func (m *meter) use(ctx context.Context, user string, requests, events, most int64) (sum store.Usage, ok bool, err error) {
	k := dayOf{user, m.now().Unix() / int64(day/time.Second)}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tallies[k]
	if t == nil {
		m.mu.Unlock()
		kept, err := m.server.Usage(ctx, user, k.day)
		m.mu.Lock()
		if err != nil {
			return sum, false, err
		}
		if t = m.tallies[k]; t == nil { // nobody else was faster
			t = &tally{kept: kept, added: store.Usage{User: user, Day: k.day}}
			m.tallies[k] = t
		}
	}
	sum = store.Usage{User: user, Day: k.day, Requests: t.kept.Requests + t.added.Requests + requests, Events: t.kept.Events + t.added.Events + events}
	if events > 0 && most > 0 && sum.Events > most {
		return sum, false, nil
	}
	t.added.Requests += requests
	t.added.Events += events
	return sum, true, nil
}

// undoEvent takes back an event that was counted, unless it was written already.
func (m *meter) undoEvent(k dayOf) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tallies[k]; t != nil && t.added.Events > 0 {
		t.added.Events--
	}
}

// keep writes what was counted, and forgets users who have been quiet since the
// last time.
func (m *meter) keep(ctx context.Context) error {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	m.mu.Lock()
	var added []store.Usage
	for k, t := range m.tallies {
		if t.added.Requests == 0 && t.added.Events == 0 {
			delete(m.tallies, k)
			continue
		}
		added = append(added, t.added)
	}
	m.mu.Unlock()
	sums, err := m.server.AddUsage(ctx, added)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, sum := range sums {
		t := m.tallies[dayOf{sum.User, sum.Day}]
		t.kept = sum // with what other processes have counted
		t.added.Requests -= added[i].Requests
		t.added.Events -= added[i].Events
	}
	return err
}

// SetQuotas has others hold from now on.
func (h *Hosts) SetQuotas(q Quotas) { h.newQuotas.Store(&q) }

// quotas are those that hold now.
func (h *Hosts) quotas() Quotas {
	if q := h.newQuotas.Load(); q != nil {
		return *q
	}
	return h.Quotas
}

// KeepUsage writes what Hosts were used for every so often, until ctx ends; Close
// writes the rest. A crash loses what was counted since the last time.
func (h *Hosts) KeepUsage(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := h.meter.keep(ctx); err != nil && ctx.Err() == nil {
				h.Log.Error("usage can't be written, and counts on in memory", "err", err)
			}
		}
	}
}

// CountRequest counts a request to a user's Host. spent is the refusal that a
// guest gets when the day's requests are used up.
func (h *Hosts) CountRequest(ctx context.Context, user string) (spent *tools.Error, err error) {
	most := h.quotas().Requests
	sum, _, err := h.meter.use(ctx, user, 1, 0, 0)
	if err == nil && most > 0 && sum.Requests > most {
		spent = tools.OverLimit("This host has had all the requests that it may have today.", h.untilTomorrow())
	}
	return spent, err
}

// Usage returns what a Host has used, without what other processes have counted
// since they last wrote it.
func (h *Hosts) Usage(ctx context.Context, user string) (Usage, error) {
	sum, _, err := h.meter.use(ctx, user, 0, 0, 0)
	if err != nil {
		return Usage{}, err
	}
	return Usage{Quotas: Quotas{Requests: sum.Requests, Events: sum.Events, Bytes: h.size(user)}, Limits: h.quotas(),
		ResetsAt: time.Unix((sum.Day+1)*int64(day/time.Second), 0).UTC()}, nil
}

func (h *Hosts) untilTomorrow() time.Duration {
	now := h.Now().UTC()
	return now.Truncate(day).Add(day).Sub(now)
}

// size returns how large a user's file is, with its log.
func (h *Hosts) size(user string) (bytes int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(h.path(user) + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// quota is [tools.Quota] for one user.
type quota struct {
	hosts *Hosts
	user  string
	sure  atomic.Int64 // calls for which there is room for sure
}

// maxGrowth is more bytes than a call adds to a file and its log.
const maxGrowth = 1 << 20

// Event implements [tools.Quota].
func (q *quota) Event(ctx context.Context) (undo func(), err error) {
	if err := q.Room(ctx); err != nil {
		return nil, err
	}
	sum, ok, err := q.hosts.meter.use(ctx, q.user, 0, 1, q.hosts.quotas().Events)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, tools.OverLimit("As many events as may be were created at this host today.", q.hosts.untilTomorrow())
	}
	return func() { q.hosts.meter.undoEvent(dayOf{q.user, sum.Day}) }, nil
}

// Room implements [tools.Quota]. Far from the limit the file is not looked at each
// time.
func (q *quota) Room(context.Context) error {
	most := q.hosts.quotas().Bytes
	if most <= 0 || q.sure.Add(-1) >= 0 {
		return nil
	}
	left := most - q.hosts.size(q.user)
	if left <= 0 {
		return tools.OverLimit("This host has stored as much as it may. Its owner can ask whoever runs the server for more.", 0)
	}
	q.sure.Store(min(left/maxGrowth, 100))
	return nil
}
