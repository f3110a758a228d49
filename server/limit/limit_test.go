package limit_test

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/limit"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// What a bucket gives over time: bursts, then its rate, never more than it holds.
func TestTake(t *testing.T) {
	b, now := limit.New[string](limit.Policy{Rate: 0.5, Burst: 3}), noon
	for _, step := range []struct {
		after time.Duration // the step before
		want  limit.Verdict
	}{
		{0, limit.Verdict{OK: true, Left: 2, Wait: 2 * time.Second}},
		{0, limit.Verdict{OK: true, Left: 1, Wait: 2 * time.Second}},
		{0, limit.Verdict{OK: true, Left: 0, Wait: 2 * time.Second}},
		{0, limit.Verdict{Wait: 2 * time.Second}},
		{500 * time.Millisecond, limit.Verdict{Wait: 1500 * time.Millisecond}},
		{1500 * time.Millisecond, limit.Verdict{OK: true, Left: 0, Wait: 2 * time.Second}},
		{time.Hour, limit.Verdict{OK: true, Left: 2, Wait: 2 * time.Second}},
		{-time.Minute, limit.Verdict{OK: true, Left: 1, Wait: 2 * time.Second}}, // a clock that was set back
	} {
		now = now.Add(step.after)
		if got := b.Look("a", now); got.OK != step.want.OK {
			t.Errorf("after %s: looks like %+v", step.after, got)
		}
		if got := b.Take("a", 1, now); got != step.want {
			t.Errorf("after %s: %+v, want %+v", step.after, got, step.want)
		}
	}
	if got := b.Take("b", 1, now); got.Left != 2 {
		t.Errorf("another key: %+v", got)
	}
	if got := b.Look("c", now); got != (limit.Verdict{OK: true, Left: 3}) {
		t.Errorf("a key that never came: %+v", got)
	}
	none := limit.New[string](limit.Policy{Burst: 3})
	if got := none.Take("a", 1, now); !got.OK || none != nil || !none.Look("a", now).OK {
		t.Errorf("no rate: %+v", got)
	}
}

// Several tokens are taken together or not at all.
func TestTakeMany(t *testing.T) {
	b := limit.New[int](limit.Policy{Rate: 2, Burst: 10})
	for _, step := range []struct {
		n    int
		want limit.Verdict
	}{
		{4, limit.Verdict{OK: true, Left: 6, Wait: time.Second / 2}},
		{8, limit.Verdict{Left: 6, Wait: time.Second}},
		{6, limit.Verdict{OK: true, Left: 0, Wait: time.Second / 2}},
		{1000, limit.Verdict{Left: 0, Wait: 5 * time.Second}},
	} {
		if got := b.Take(0, step.n, noon); got != step.want {
			t.Errorf("%d: %+v, want %+v", step.n, got, step.want)
		}
	}
	if got := b.Take(0, 1000, noon.Add(5*time.Second)); !got.OK || got.Left != 0 {
		t.Errorf("more than there can be: %+v", got)
	}
}

// Memory is bounded however many come, and an empty bucket outlasts 32,000 others.
func TestForgetting(t *testing.T) {
	b := limit.New[int](limit.Policy{Rate: 1, Burst: 4})
	for range 4 {
		b.Take(-1, 1, noon)
	}
	most := 0
	for i := range 200_000 {
		b.Take(i, 1, noon)
		if i%32_000 == 0 && b.Take(-1, 1, noon).OK {
			t.Fatalf("after %d others the empty bucket is full", i)
		}
		most = max(most, b.Len())
	}
	if most > 65_536 {
		t.Errorf("%d buckets are remembered", most)
	}
	for i := range 3 {
		b.Take(i, 1, noon.Add(time.Duration(i+1)*4*time.Second))
	}
	if n := b.Len(); n != 2 {
		t.Errorf("when all are full again, %d are remembered", n)
	}
}

// However many take at once, there are as many tokens as there are.
func TestConcurrent(t *testing.T) {
	b := limit.New[int](limit.Policy{Rate: 1, Burst: 100})
	var given [3]atomic.Int64
	var taking sync.WaitGroup
	for range 8 {
		taking.Go(func() {
			for i := range 300 {
				if b.Take(i%3, 1, noon).OK {
					given[i%3].Add(1)
				}
				b.Look(i%3, noon)
			}
		})
	}
	taking.Wait()
	for i := range given {
		if n := given[i].Load(); n != 100 {
			t.Errorf("key %d: %d tokens", i, n)
		}
	}
}

func TestClient(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:443":              "192.0.2.1/32",
		"[::ffff:192.0.2.1]:443":     "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64",
		"[::1]:443":                  "::1/128",
		"[fe80::1%eth0]:443":         "fe80::/64",
		"@":                          "invalid Prefix",
		"":                           "invalid Prefix",
	} {
		if got := limit.Client(remote).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
}

// BenchmarkTake is what a limit costs each request.
func BenchmarkTake(b *testing.B) {
	for _, clients := range []int{1, 1000, 1_000_000} {
		b.Run(strconv.Itoa(clients)+"-clients", func(b *testing.B) {
			buckets := limit.New[netip.Prefix](limit.Policy{Rate: 50, Burst: 200})
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					n := rand.IntN(clients)
					addr := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
					buckets.Take(netip.PrefixFrom(addr, 32), 1, time.Now())
				}
			})
		})
	}
}
