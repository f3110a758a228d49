// Package limit says who may do how much: token buckets by key, in bounded
// memory ([Buckets]), and which client a network address is ([Client]). What a
// refusal looks like is its caller's business.
package limit

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// generation is how many keys come before those that did not are forgotten.
const generation = 32 << 10

// Policy is how much one key may do.
type Policy struct {
	Name  string
	Rate  float64 // a second, in the long run
	Burst int     // at once, after a pause
}

// Verdict is what became of one request for a token.
type Verdict struct {
	OK   bool
	Left int           // tokens that are there still
	Wait time.Duration // until there is one more, or enough; 0 if the bucket is full
}

// Buckets is a token bucket for each key. A nil one has no limit. Safe for
// concurrent use.
//
// It remembers at most 65,536 keys, in two generations. A generation ends after
// the time in which an empty bucket fills, so what is forgotten by then was full:
// nothing is lost. It ends before when it has 32,768 keys. So who wants to have an
// empty bucket forgotten must come under that many other names within that time,
// for one burst more; it has a burst under each of them anyway.
type Buckets[K comparable] struct {
	Policy
	fill time.Duration // from empty to full

	mu          sync.Mutex
	young, aged map[K]*rate.Limiter
	since       time.Time // when young began
}

// New returns full buckets, or nil if the policy has no rate: that is no limit.
func New[K comparable](p Policy) *Buckets[K] {
	if !(p.Rate > 0) { // nor not a number
		return nil
	}
	p.Burst = max(1, p.Burst)
	return &Buckets[K]{Policy: p, fill: duration(float64(p.Burst) / p.Rate)}
}

// Take takes n tokens from the bucket of k, or none if there are fewer. Of more
// than a bucket holds it takes all.
func (b *Buckets[K]) Take(k K, n int, now time.Time) Verdict {
	if b == nil {
		return Verdict{OK: true}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket := b.bucket(k, now)
	n = min(n, b.Burst)
	ok := bucket.AllowN(now, n)
	v := b.verdict(ok, bucket.TokensAt(now))
	if !ok {
		v.Wait = duration((float64(n) - bucket.TokensAt(now)) / b.Rate)
	}
	return v
}

// Look says what [Buckets.Take] of one token would, and takes nothing.
func (b *Buckets[K]) Look(k K, now time.Time) Verdict {
	if b == nil {
		return Verdict{OK: true}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, known := b.young[k]
	if !known {
		bucket, known = b.aged[k]
	}
	if !known {
		return b.verdict(true, float64(b.Burst))
	}
	tokens := bucket.TokensAt(now)
	return b.verdict(tokens >= 1, tokens)
}

// bucket finds the bucket of k, or gives it a full one.
func (b *Buckets[K]) bucket(k K, now time.Time) *rate.Limiter {
	if b.young == nil || len(b.young) >= generation || now.Sub(b.since) >= b.fill {
		b.young, b.aged, b.since = make(map[K]*rate.Limiter, len(b.young)), b.young, now
	}
	bucket := b.young[k]
	if bucket != nil {
		return bucket
	}
	if bucket = b.aged[k]; bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(b.Rate), b.Burst)
	}
	b.young[k] = bucket
	return bucket
}

func (b *Buckets[K]) verdict(ok bool, tokens float64) Verdict {
	v := Verdict{OK: ok}
	whole := max(0, math.Floor(tokens))
	if v.Left = int(whole); v.Left < b.Burst {
		v.Wait = duration((whole + 1 - tokens) / b.Rate)
	}
	return v
}

// duration is so many seconds, and never the overflow of a very slow rate.
func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), float64(math.MaxInt64/2)))
}
