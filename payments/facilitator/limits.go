package facilitator

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients is how many client addresses a generation of limits remembers.
const maxClients = 10_000

// limits is a token bucket for each client address, in bounded memory: when a
// generation is full the one before it is forgotten. Whoever is forgotten begins
// anew with a full bucket, which needs twice maxClients others to come.
type limits struct {
	rate  rate.Limit // requests a second
	burst int

	mu          sync.Mutex
	young, aged map[netip.Prefix]*rate.Limiter
}

func newLimits(perSecond float64) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: max(1, int(2*perSecond)), young: map[netip.Prefix]*rate.Limiter{}}
}

// allow reports whether a client may make one more request now. An address that
// is none shares one bucket with all others of the kind.
func (l *limits) allow(remote string, now time.Time) bool {
	client := clientOf(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.young[client]
	if bucket == nil {
		if bucket = l.aged[client]; bucket == nil {
			bucket = rate.NewLimiter(l.rate, l.burst)
		}
		if len(l.young) >= maxClients {
			l.aged, l.young = l.young, map[netip.Prefix]*rate.Limiter{}
		}
		l.young[client] = bucket
	}
	return bucket.AllowN(now, 1)
}

// clientOf returns who is counted: an IPv4 address, or the /64 of an IPv6 one,
// which is what a single customer has.
func clientOf(remote string) netip.Prefix {
	at, _ := netip.ParseAddrPort(remote)
	addr := at.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	client, _ := addr.Prefix(bits)
	return client
}
