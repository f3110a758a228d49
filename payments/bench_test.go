//go:build unix

package payments_test

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/instant"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// most is the CPU that a booking may take, in that of one synced commit.
const most = 20

// BenchmarkPay measures what a booking costs without its network: the Cashier's
// own part and the commits of its books, one after the other and 32 at a time.
// What it costs in CPU (user and system, of this process) must be below 2 ms;
// as such figures are of one machine and one moment, it is also told against one
// synced commit of the same disk in the same run, and fails by that.
//
// "commits/booking" is the time of a booking in commits. One after the other it
// can't be less than three (claim, hold, confirm), plus signatures; many at a
// time share them.
func BenchmarkPay(b *testing.B) {
	for _, parallel := range []int{1, 32} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			w := newWorld(b)
			p := w.start(b, func(c *payments.Config) {
				c.Facilitator, c.Chain, c.Log = instant.Network{}, instant.Network{}, testlog.New()
			})
			p.event(b, "ada", "opera", 0)
			orders, payment := make([]payments.Order, b.N), make([]x402.Payment, b.N)
			for i := range b.N {
				g := guest{newWallet(b)}
				orders[i] = w.order(b, "ada", "opera", g)
				payment[i] = p.pays(b, g, orders[i])
			}
			commit, booking := took{math.MaxInt64, math.MaxInt64}, took{math.MaxInt64, math.MaxInt64}
			const commits, rounds = 20, 5 // the quietest round counts
			b.ResetTimer()
			for r := range rounds {
				b.StopTimer()
				start := now(b)
				for i := range commits {
					if err := p.books(b, "ada").Abandon(b.Context(), fmt.Sprint(r, i)); err != nil {
						b.Fatal(err)
					}
				}
				commit = commit.least(start.each(b, commits))
				b.StartTimer()
				from, to := b.N*r/rounds, b.N*(r+1)/rounds
				if from == to {
					continue
				}
				var wg sync.WaitGroup
				var next atomic.Int64
				start = now(b)
				for range parallel {
					wg.Go(func() {
						for i := from + int(next.Add(1)) - 1; i < to; i = from + int(next.Add(1)) - 1 {
							if got := class(p.call(b.Context(), orders[i], payment[i])); got != "settled" {
								b.Errorf("it is %s", got)
							}
						}
					})
				}
				wg.Wait()
				booking = booking.least(start.each(b, to-from))
			}
			ratio := float64(booking.cpu) / float64(commit.cpu)
			b.ReportMetric(ms(booking.cpu), "cpu-ms/booking")
			b.ReportMetric(ratio, "cpu-commits/booking")
			b.ReportMetric(float64(booking.wall)/float64(commit.wall), "commits/booking")
			b.ReportMetric(ms(commit.wall), "ms/commit")
			if b.N >= 100 && ratio > most { // of a few, the garbage of what was before is a large part
				b.Errorf("a booking takes the CPU of %.1f commits, more than %d", ratio, most)
			}
		})
	}
}

// clocks are the two that a benchmark looks at.
type clocks struct {
	cpu  time.Duration // of this process, since it began
	time time.Time
}

func now(tb testing.TB) clocks {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return clocks{time.Duration(used.Utime.Nano() + used.Stime.Nano()), time.Now()}
}

// took is what something has cost.
type took struct{ cpu, wall time.Duration }

// each returns what one of n has cost since c.
func (c clocks) each(tb testing.TB, n int) took {
	tb.Helper()
	end := now(tb)
	return took{(end.cpu - c.cpu) / time.Duration(n), end.time.Sub(c.time) / time.Duration(n)}
}

func (t took) least(o took) took { return took{min(t.cpu, o.cpu), min(t.wall, o.wall)} }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
