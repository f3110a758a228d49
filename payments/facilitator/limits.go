package facilitator

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients is how many client addresses are remembered. Who is forgotten
// begins anew with a full bucket, for which that many others have to come.
const maxClients = 10_000

// limits is a token bucket for each client address.
type limits struct {
	rate  rate.Limit // requests a second
	burst int

	mu      sync.Mutex
	buckets recent[netip.Prefix, *rate.Limiter]
}

func newLimits(perSecond float64) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: max(1, int(2*perSecond)),
		buckets: recent[netip.Prefix, *rate.Limiter]{size: maxClients}}
}

// allow reports whether a client may make one more request now.
func (l *limits) allow(remote string, now time.Time) bool {
	client := clientOf(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.buckets.get(client)
	if !known {
		bucket = rate.NewLimiter(l.rate, l.burst)
		l.buckets.put(client, bucket)
	}
	return bucket.AllowN(now, 1)
}

// clientOf returns who is counted: an IPv4 address, or the /64 of an IPv6 one,
// which is what a single customer has. What is no address is all one client.
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
