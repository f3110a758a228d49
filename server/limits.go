package server

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/server/limit"
	"github.com/events-concierge/concierge/tools"
)

// Limits says how often the server may be called, in requests a second, which may
// come all at once. 0 is no limit.
type Limits struct {
	IP   float64 // by one client address
	User float64 // by all guests of one Host together, and as often by its owner
	Tool float64 // by one address, of one dear tool of one Host
	// Connections may be open at a time, ConnectionsPerIP of them from one address.
	Connections, ConnectionsPerIP int
}

// DefaultLimits are far above what people and their agents do, and below what
// one machine can serve.
func DefaultLimits() Limits {
	return Limits{IP: 100, User: 200, Tool: 5, Connections: 4096, ConnectionsPerIP: 256}
}

// What one address may do besides, if addresses are limited at all: a
// registration makes a key and a file, and who guesses tokens needs many tries.
const (
	registrations = 20 // at once
	registerEvery = 10 // seconds, in the long run
	wrongTokens   = 10 // at once
	wrongEvery    = 6  // seconds, in the long run
	tellEvery     = 10 * time.Second
)

// hostKey is a user's id by value: a part of a request's path would keep the
// whole request in memory.
type hostKey [26]byte

func keyOf(user string) (k hostKey, ok bool) {
	return k, copy(k[:], user) == len(user) && len(user) == len(k)
}

// use is one tool of one Host, as one client uses it.
type use struct {
	client netip.Prefix
	host   hostKey
	tool   string
}

// Who asks again without a pause is given one: a refusal comes this late, so that
// a flood over a few connections becomes a small one.
const (
	holdBack = 100 * time.Millisecond
	maxHeld  = 256 // at a time: each keeps a connection
)

// limits are the buckets of a server.
type limits struct {
	ip, register, wrong *limit.Buckets[netip.Prefix]
	say                 *limit.Buckets[netip.Prefix] // at the agent
	guests, owner       *limit.Buckets[hostKey]
	tool                *limit.Buckets[use]
	refusals            *refusals
	holdBack            time.Duration
	held                chan struct{} // has room for the refusals that are held back
}

func newLimits(l Limits) *limits {
	policy := func(name string, rate float64) limit.Policy {
		return limit.Policy{Name: name, Rate: rate, Burst: int(rate)}
	}
	all := &limits{
		ip:     limit.New[netip.Prefix](policy("ip", l.IP)),
		guests: limit.New[hostKey](policy("guests", l.User)),
		owner:  limit.New[hostKey](policy("owner", l.User)),
		tool:   limit.New[use](policy("tool", l.Tool)),

		refusals: &refusals{},
		holdBack: holdBack,
		held:     make(chan struct{}, maxHeld),
	}
	if l.IP > 0 {
		all.register = limit.New[netip.Prefix](limit.Policy{Name: "register", Rate: 1. / registerEvery, Burst: registrations})
		all.say = limit.New[netip.Prefix](limit.Policy{Name: "agent", Rate: 1. / sayEvery, Burst: sayings})
		all.wrong = limit.New[netip.Prefix](limit.Policy{Name: "token", Rate: 1. / wrongEvery, Burst: wrongTokens})
	}
	return all
}

// words say whose limit it was.
func words(name string) string {
	switch name {
	case "ip":
		return "Your address sends too many requests."
	case "guests":
		return "The guests of this host, all together, send too many requests."
	case "owner":
		return "The owner of this host sends too many requests."
	case "register":
		return "Your address registers, or signs in, too often."
	case "token":
		return "Your address has sent too many wrong tokens."
	}
	return "Your address calls this tool of this host too often."
}

// clientOf returns which client a request is counted for, and false for one straight
// from this machine. All that come through a proxy which is not declared are one.
func clientOf(r *http.Request) (netip.Prefix, bool) {
	client := limit.Client(r.RemoteAddr)
	proxy, _ := forwarded.Through(r)
	return client, proxy || !client.Addr().IsLoopback()
}

// tellOfProxy says once that a proxy at an address which is nobody's on the internet
// should be declared. Strangers can write its headers, but not come from there.
func (s *Server) tellOfProxy(r *http.Request) {
	if proxy, declared := forwarded.Through(r); !proxy || declared {
		return
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if a := at.Addr().Unmap(); err == nil && (a.IsLoopback() || a.IsPrivate()) {
		s.proxy.Do(func() {
			s.Log.Warn("a proxy passes on requests, and all its clients count as one: start the server with --trusted-proxy "+a.WithZone("").String(), // #nosec G706 -- an address, as netip writes it
				"proxy", a.WithZone("").String())
		})
	}
}

// take takes tokens for a request. The error is the refusal.
func take[K comparable](s *Server, ctx context.Context, b *limit.Buckets[K], k K, n int) error {
	if b == nil {
		return nil
	}
	v := b.Take(k, n, s.Hosts.Now())
	recordOf(ctx).under(counted{b.Policy, v})
	if v.OK {
		return nil
	}
	return s.refuse(ctx, b.Policy, v)
}

func (s *Server) refuse(ctx context.Context, p limit.Policy, v limit.Verdict) error {
	s.limits().hold(ctx)
	s.limits().refusals.note(ctx, s.Log, p.Name, s.Hosts.Now())
	s.Metrics.Limited(p.Name)
	return tools.OverLimit(words(p.Name), v.Wait)
}

// hold waits, unless too many are being held back already.
func (l *limits) hold(ctx context.Context) {
	select {
	case l.held <- struct{}{}:
		defer func() { <-l.held }()
	default:
		return
	}
	pause := time.NewTimer(l.holdBack)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done(): // the client has gone
	}
}

// limitClients refuses clients that send too much, before anything else is done
// for them.
func (s *Server) limitClients(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.tellOfProxy(r)
		if client, counted := clientOf(r); counted {
			if err := take(s, r.Context(), s.limits().ip, client, 1); err != nil {
				fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// charge returns how a request that has come in takes more tokens.
func charge[K comparable](s *Server, r *http.Request, b *limit.Buckets[K], k K) func(int) error {
	return func(n int) error {
		if client, counted := clientOf(r); counted {
			if err := take(s, r.Context(), s.limits().ip, client, n); err != nil {
				return err
			}
		}
		return take(s, r.Context(), b, k, n)
	}
}

// limitTool is [tools.Call.Allow] for a guest.
func (s *Server) limitTool(r *http.Request, host hostKey) func(string) error {
	client, counted := clientOf(r)
	if !counted || s.limits().tool == nil {
		return nil
	}
	return func(tool string) error { return take(s, r.Context(), s.limits().tool, use{client, host, tool}, 1) }
}

// counted is a limit that a request came under, and what was left.
type counted struct {
	limit.Policy
	limit.Verdict
}

// under notes a limit, in place of what was noted of it before.
func (rec *record) under(c counted) {
	for i := range rec.limits {
		if rec.limits[i].Name == c.Name {
			rec.limits[i] = c
			return
		}
	}
	rec.limits = append(rec.limits, c)
}

// announce tells a client of its limits (draft-ietf-httpapi-ratelimit-headers).
func announce(h http.Header, all []counted) {
	if len(all) == 0 {
		return
	}
	var policy, left []byte
	for i, c := range all {
		if i > 0 {
			policy, left = append(policy, ", "...), append(left, ", "...)
		}
		policy = item(policy, c.Name, "q", c.Burst, "w", float64(c.Burst)/c.Rate)
		left = item(left, c.Name, "r", c.Left, "t", c.Wait.Seconds())
	}
	h.Set("RateLimit-Policy", string(policy))
	h.Set("RateLimit", string(left))
}

// item appends a string with two parameters (RFC 9651), the second in seconds,
// rounded up, unless it is 0.
func item(b []byte, name, amount string, n int, time string, seconds float64) []byte {
	b = append(append(append(b, '"'), name...), `";`...)
	b = strconv.AppendInt(append(append(b, amount...), '='), int64(n), 10)
	if seconds > 0 {
		b = strconv.AppendInt(append(append(append(b, ';'), time...), '='), int64(math.Ceil(seconds)), 10)
	}
	return b
}

// refusals tells the log that requests are refused, but not of each: a flood
// must not become one of the log.
type refusals struct {
	mu     sync.Mutex
	counts map[string]int
	told   time.Time
}

func (f *refusals) note(ctx context.Context, log *slog.Logger, name string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[name]++
	if now.Sub(f.told) < tellEvery {
		return
	}
	var attrs []slog.Attr
	for name, n := range f.counts {
		attrs = append(attrs, slog.Int(name, n))
	}
	log.LogAttrs(ctx, slog.LevelWarn, "requests over a limit are refused", attrs...)
	f.counts, f.told = nil, now
}
