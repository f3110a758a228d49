package payments_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// class of an answer: what a caller can make of it.
func class(paid payments.Payment, err error) string {
	var refused *payments.Refused
	switch {
	case err == nil:
		return string(paid.State)
	case errors.As(err, &refused):
		return "refused"
	case errors.Is(err, payments.ErrAlreadyUsed):
		return "used"
	case errors.Is(err, payments.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, payments.ErrUndecided):
		return "undecided"
	case errors.Is(err, context.Canceled):
		return "gone"
	case errors.Is(err, store.ErrEventFull):
		return "full"
	}
	return "error"
}

// honest checks an answer against what has become of the payment in the end:
// nobody may be told that nothing was charged when something is.
func honest(tb testing.TB, class string, charged bool) {
	tb.Helper()
	switch class {
	case "settled":
		if !charged {
			tb.Errorf("the answer was %s, and no money has moved", class)
		}
	case "failed", "refused", "used", "unavailable", "full":
		if charged {
			tb.Errorf("the answer was %s, and money has moved", class)
		}
	}
}

// once is a hook that does something at the first call that is at this point.
func once(at point, f func() error) func(context.Context, point) error {
	var o sync.Once
	return func(_ context.Context, p point) (err error) {
		if p == at {
			o.Do(func() { err = f() })
		}
		return err
	}
}

// A single fault at every step of a sale. Whatever the answer is, it is honest,
// and the same call again, once everything works, ends in one booking for one
// payment.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, 1000*x402.USD)
	sales := 0
	for _, c := range []struct {
		step
		before, after           string // the answer to an error there
		panicBefore, panicAfter string
	}{
		{find, "error", "error", "panic", "panic"}, // in the caller's own goroutine
		{openLedger, "error", "error", "undecided", "undecided"},
		{claim, "error", "error", "undecided", "undecided"},
		{head, "unavailable", "unavailable", "undecided", "undecided"},
		{authorization, "unavailable", "unavailable", "undecided", "undecided"},
		{verify, "unavailable", "unavailable", "undecided", "undecided"},
		{hold, "error", "settled", "undecided", "undecided"},    // after: it is looked up
		{settle, "settling", "settled", "settling", "settling"}, // after: the chain is asked
		{await, "settling", "settling", "settling", "settling"},
		{confirm, "settling", "settling", "settling", "settling"},
	} {
		for at, want := range map[point][2]string{{c.step, false}: {c.before, c.panicBefore}, {c.step, true}: {c.after, c.panicAfter}} {
			for kind, want := range map[string]string{"error": want[0], "timeout": want[0], "panic": want[1], "caller gone": "gone"} {
				if kind == "timeout" && !slices.Contains([]step{head, authorization, verify, settle, await}, c.step) {
					continue // an error like any other; for these it is the usual one
				}
				sales++
				t.Run(fmt.Sprint(kind, " ", at), func(t *testing.T) {
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					p.fault(ctx, t, g, want, once(at, map[string]func() error{
						"error":       func() error { return errOutage },
						"timeout":     func() error { return context.DeadlineExceeded },
						"panic":       func() error { panic("at the disco") },
						"caller gone": func() error { leave(); return nil },
					}[kind]))
				})
			}
		}
	}
	p.finished(t, 0).wants(t, count{payments.Settled: sales})
}

// fault makes a sale with a fault in it.
func (p *process) fault(ctx context.Context, t *testing.T, g guest, want string, hook func(context.Context, point) error) {
	event := newID(t)
	p.event(t, "ada", event, 1)
	order := p.world.order(t, "ada", event, g)
	payment := p.pays(t, g, order)
	p.set(hook)
	got := func() (got string) {
		defer func() {
			if recover() != nil {
				got = "panic"
			}
		}()
		return class(p.call(ctx, order, payment))
	}()
	// A caller who has left may have been faster, or slower than all the rest.
	if got != want && (want != "gone" || got != "settled") {
		t.Errorf("the answer is %s, want %s", got, want)
	}
	if want == "gone" {
		// The work goes on without the caller; who asks again has part in it.
		if again := class(p.call(t.Context(), order, payment)); again != "settled" {
			t.Errorf("without the caller it is %s", again)
		}
	}
	p.set(nil)
	p.reconcile(t)
	if (got == "unavailable" || got == "error") && p.isClaimed(t, payment) {
		t.Error("the claim stands after an answer that it is not needed")
	}
	p.world.clock.Advance(2 * time.Minute) // past lease and handover
	p.reconcile(t)
	p.reconcile(t)
	honest(t, got, moved(t, payment.Payload.Authorization))
	if last := class(p.call(t.Context(), again(t, order), payment)); last != "settled" {
		t.Errorf("at last it is %s", last)
	}
	p.reconcile(t)
	if e, err := p.books(t, "ada").Event(t.Context(), event); err != nil || e.SeatsTaken != 1 {
		t.Errorf("%d seats taken, %v", e.SeatsTaken, err)
	}
}

func (p *process) isClaimed(tb testing.TB, payment x402.Payment) bool {
	tb.Helper()
	a := payment.Payload.Authorization
	_, claimed, err := p.server.Claims().Find(tb.Context(), payments.ClaimKey{
		Network: p.Network, Asset: p.Asset, Payer: a.From, Nonce: a.Nonce})
	if err != nil {
		tb.Fatal(err)
	}
	return claimed
}
