package payments_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// chance is a hook that breaks calls at random. What the caller's own goroutine
// runs is not made to panic: that would be the test's end.
func chance(seed uint64) func(context.Context, point) error {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return func(_ context.Context, at point) error {
		mu.Lock()
		n := random.IntN(100)
		mu.Unlock()
		switch {
		case n < 3 && at.step != find && at.step != openClaims && at.step != closeClaims && at.step != listDebtors && at.step != note:
			panic("at the disco")
		case n < 10:
			return errOutage
		}
		return nil
	}
}

// More guests than seats, two processes that reconcile all the time, and every
// tenth call goes wrong. When the storm is over all that is left is to agree.
func TestChaos(t *testing.T) {
	t.Parallel()
	const guests, seats, tries = 24, 10, 3
	w := newWorld(t)
	both := []*process{w.start(t), w.start(t)}
	both[0].event(t, "ada", "opera", seats)
	var (
		all     [guests]guest
		orders  [guests][tries]payments.Order
		payment [guests]x402.Payment
		told    [guests]bool // that it is settled
		wg      sync.WaitGroup
	)
	for i := range guests {
		wg.Go(func() {
			all[i] = testnet.guest(t, price)
			orders[i][0] = w.order(t, "ada", "opera", all[i])
			for n := range tries {
				orders[i][n] = again(t, orders[i][0])
			}
			payment[i] = both[0].pays(t, all[i], orders[i][0])
		})
	}
	wg.Wait()
	for i, p := range both {
		p.set(chance(uint64(i)))
	}
	for i := range guests {
		wg.Go(func() {
			for n := range tries {
				if class(both[(i+n)%2].call(t.Context(), orders[i][n], payment[i])) == "settled" {
					told[i] = true
				}
			}
		})
	}
	for _, p := range both {
		wg.Go(func() {
			for range 10 {
				_ = p.Reconcile(t.Context()) // its errors are those that were made
				w.clock.Advance(10 * time.Second)
			}
		})
	}
	wg.Wait()
	for _, p := range both {
		p.set(nil)
	}
	w.clock.Advance(2 * time.Minute)
	for range 2 {
		for _, p := range both {
			p.reconcile(t)
		}
	}
	both[0].finished(t, 0)
	booked := 0
	for i := range guests {
		got := class(both[1].call(t.Context(), again(t, orders[i][0]), payment[i]))
		charged := moved(t, payment[i].Payload.Authorization)
		switch {
		case got != "settled" && got != "full", charged != (got == "settled"), told[i] && !charged:
			t.Errorf("guest %d is told %s; told before that it is settled: %t; charged: %t", i, got, told[i], charged)
		case charged:
			booked++
		}
	}
	if booked != seats {
		t.Errorf("%d guests have booked, want %d", booked, seats)
	}
	both[0].reconcile(t)
	both[0].finished(t, 0).wants(t, count{payments.Settled: seats})
}
