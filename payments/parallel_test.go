package payments_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// outcome is what a caller got.
type outcome struct {
	payments.Payment
	err error
}

// together makes n calls at once.
func together(n int, call func(i int) (payments.Payment, error)) []outcome {
	var (
		wg    sync.WaitGroup
		got   = make([]outcome, n)
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			got[i].Payment, got[i].err = call(i)
		})
	}
	close(start)
	wg.Wait()
	return got
}

// Two parallel requests with one authorization that both verify, and both get
// served: x402 issue 3060.
func TestCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 100)
	g := testnet.guest(t, 100*x402.USD)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	orders := make([]payments.Order, 100)
	for i := range orders {
		orders[i] = again(t, order)
	}
	got := together(100, func(i int) (payments.Payment, error) { return p.call(t.Context(), orders[i], payment) })
	for _, o := range got {
		if o.err != nil || o.State != payments.Settled {
			t.Fatalf("%+v, %v", o.Payment, o.err)
		}
		if diff := cmp.Diff(got[0].Payment, o.Payment); diff != "" {
			t.Fatalf("two answers (-one +another):\n%s", diff)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// One payment shown for four things at once buys one of them.
func TestCopiesForOthers(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"in one process": 1, "in two processes": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var p []*process
			for range processes {
				p = append(p, w.start(t))
			}
			w.share(t, "ada", "bob")
			p[0].event(t, "ada", "opera", 0)
			p[0].event(t, "ada", "ball", 0)
			p[0].event(t, "bob", "opera", 0)
			g := testnet.guest(t, 100*x402.USD)
			kinds := []payments.Order{w.order(t, "ada", "opera", g), w.order(t, "ada", "ball", g), w.order(t, "bob", "opera", g), w.order(t, "ada", "opera", g)}
			kinds[3].Booking.Name = "Somebody else"
			payment := p[0].pays(t, g, kinds[0], func(p *x402.Payment) { p.Resource = nil })
			orders := make([]payments.Order, 60)
			for i := range orders {
				orders[i] = again(t, kinds[i%len(kinds)])
			}
			got := together(len(orders), func(i int) (payments.Payment, error) {
				return p[i/4%processes].call(t.Context(), orders[i], payment)
			})
			for _, q := range p {
				q.stop(t)
			}
			// Who won is known from the books.
			last := w.start(t)
			last.reconcile(t)
			last.finished(t, 0).wants(t, count{payments.Settled: 1})
			won := rsvps(t, last.books(t, "ada"))
			user := "ada"
			if len(won) == 0 {
				won, user = rsvps(t, last.books(t, "bob")), "bob"
			}
			for i, o := range got {
				b := orders[i].Booking
				if orders[i].User == user && b.EventID == won[0].EventID && b.Name == won[0].Name {
					// In another process than the one that settles it, it may be settling still.
					if errors.Is(o.err, payments.ErrUndecided) && processes > 1 {
						continue
					}
					if o.err != nil || o.RSVPID != won[0].ID || o.State != payments.Settled && processes == 1 {
						t.Errorf("a copy of the one that won: %+v, %v", o.Payment, o.err)
					}
				} else if !errors.Is(o.err, payments.ErrAlreadyUsed) {
					t.Errorf("one that did not win: %+v, %v", o.Payment, o.err)
				}
			}
		})
	}
}

// One after the other, with what may come between.
func TestShownToAnotherHost(t *testing.T) {
	t.Parallel()
	nothing := func(_ *testing.T, p *process) *process { return p }
	for name, meanwhile := range map[string]func(*testing.T, *process) *process{
		"at once":          nothing,
		"after reconciled": func(t *testing.T, p *process) *process { p.reconcile(t); return p },
		"after a restart":  func(t *testing.T, p *process) *process { p.stop(t); return p.world.start(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			w.share(t, "ada", "bob")
			p.event(t, "ada", "opera", 0)
			p.event(t, "bob", "opera", 0)
			g := testnet.guest(t, 100*x402.USD)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			if _, err := p.call(t.Context(), order, payment); err != nil {
				t.Fatal(err)
			}
			p = meanwhile(t, p)
			if paid, err := p.call(t.Context(), w.order(t, "bob", "opera", g), payment); !errors.Is(err, payments.ErrAlreadyUsed) {
				t.Errorf("paid twice with it: %+v, %v", paid, err)
			}
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

func TestMoreGuestsThanSeats(t *testing.T) {
	t.Parallel()
	const guests, seats = 200, 10
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", seats)
	var (
		all       [guests]guest
		orders    [guests]payments.Order
		payment   [guests]x402.Payment
		settled   int
		preparing sync.WaitGroup
	)
	for i := range guests {
		preparing.Go(func() {
			all[i] = testnet.guest(t, price)
			orders[i] = w.order(t, "ada", "opera", all[i])
			payment[i] = p.pays(t, all[i], orders[i])
		})
	}
	preparing.Wait()
	for i, o := range together(guests, func(i int) (payments.Payment, error) { return p.call(t.Context(), orders[i], payment[i]) }) {
		left := testnet.balance(t, all[i].Address())
		switch {
		case o.err == nil && o.State == payments.Settled && left == 0:
			settled++
		case !errors.Is(o.err, store.ErrEventFull) || left != price:
			t.Errorf("guest %d: %+v, %v, has %s left", i, o.Payment, o.err, left)
		}
	}
	if settled != seats {
		t.Errorf("%d guests have a seat, want %d", settled, seats)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: seats})
}
