package payments_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// copies are the files of a stopped world.
func (w *world) copies(tb testing.TB, names ...string) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(w.dir, name+".db"))
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = content
	}
	return all
}

// putBack puts ada's file back to what it was at a time, alone or with the
// server's, as a restore does.
func (w *world) putBack(tb testing.TB, files map[string][]byte, to time.Time) {
	tb.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name+".db"), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	ctx, o := tb.Context(), store.Options{Now: w.clock.Now}
	h, err := store.OpenHost(ctx, filepath.Join(w.dir, "ada.db"), o)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := store.OpenServer(ctx, filepath.Join(w.dir, "server.db"), o)
	if err != nil {
		tb.Fatal(err)
	}
	_, claims := s.Claims().ReopenAll(ctx, "ada", func(id string) (bool, error) {
		p, err := h.Payment(ctx, id)
		if errors.Is(err, payments.ErrNoPayment) {
			return false, nil
		}
		return !p.Open, err
	})
	if err := errors.Join(claims, h.MarkRestored(ctx, to, w.wallet(tb, "ada")), s.Note(ctx, "ada"), h.Close(), s.Close()); err != nil {
		tb.Fatal(err)
	}
}

// later moves all clocks.
func (w *world) later(tb testing.TB, by time.Duration) {
	tb.Helper()
	w.clock.Advance(by)
	testnet.advance(tb, by)
}

// After a restore to an earlier time, of one Host's file or of all: what was paid
// since is owed, and goes back once; what was sent back since is not sent again;
// what was used stays used; and the books agree with the chain.
func TestRestored(t *testing.T) {
	for name, files := range map[string][]string{"one host": {"ada"}, "everything": {"ada", "server"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 100)
			var guests [6]guest
			for i := range guests {
				guests[i] = testnet.guest(t, price)
			}
			before, kept, owed := p.buy(t, "opera", guests[0]), p.buy(t, "opera", guests[1]), p.buy(t, "opera", guests[2])
			p.reconcile(t)
			// One refund is owed at the time, and paid afterwards.
			if err := p.Owe(t.Context(), "ada", func(ctx context.Context, cleared int64) error {
				_, err := p.books(t, "ada").CancelRSVP(ctx, owed.RSVPID, cleared)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			p.stop(t)
			to, copies := w.clock.Now(), w.copies(t, files...)

			// What is lost: a payment, one that was sent back, a refund.
			p = w.start(t)
			w.later(t, time.Minute)
			order := w.order(t, "ada", "opera", guests[3])
			authorization := p.pays(t, guests[3], order)
			if paid, err := p.call(t.Context(), order, authorization); err != nil || paid.State != payments.Settled {
				t.Fatalf("%s, %v", paid.State, err)
			}
			lost := p.buy(t, "opera", guests[4])
			p.reconcile(t) // pays what is owed, and closes payments
			for _, paid := range []payments.Payment{lost, before} {
				if back, err := p.undo(t.Context(), t, paid); err != nil || back.State != payments.Settled {
					t.Fatalf("%s, %v", back.State, err)
				}
			}
			p.stop(t)
			w.later(t, time.Minute)
			w.putBack(t, copies, to)

			p = w.start(t)
			p.reconcile(t)
			// Nothing is sent back before it is known what was.
			if got := testnet.balance(t, guests[3].Address()); got != 0 {
				t.Errorf("it was sent back at once: %s", got)
			}
			if r, err := p.books(t, "ada").OpenRefunds(t.Context(), "", 10); err != nil || len(r) != 1 || r[0].PayTo != guests[3].Address() || r[0].State != payments.Owed {
				t.Errorf("owed: %+v, %v", r, err)
			}
			if paid, err := p.call(t.Context(), again(t, order), authorization); err == nil && paid.State != payments.Owed {
				t.Errorf("the authorization is good again: %+v", paid)
			} else if err != nil && !errors.Is(err, payments.ErrAlreadyUsed) && !errors.Is(err, payments.ErrUndecided) {
				t.Error(err)
			}
			other := w.order(t, "bob", "opera", guests[3])
			other.PayTo = w.wallet(t, "ada")
			p.event(t, "bob", "opera", 1)
			if _, err := p.call(t.Context(), other, authorization); !errors.Is(err, payments.ErrAlreadyUsed) {
				t.Errorf("at another Host it is good: %v", err)
			}
			if r, err := p.undo(t.Context(), t, kept); err != nil || r.State != payments.Owed || r.Reason != payments.ReasonRestored {
				t.Errorf("a refund of before is %s (%s), %v", r.State, r.Reason, err)
			}
			fresh := p.buy(t, "opera", guests[5]) // life goes on

			w.later(t, 6*time.Minute)
			for range 3 {
				p.reconcile(t)
				w.later(t, time.Minute)
			}
			for i, g := range guests[:5] {
				if got := testnet.balance(t, g.Address()); got != price {
					t.Errorf("guest %d has %s", i, got)
				}
			}
			p.agree(t, 0)
			if back, err := p.undo(t.Context(), t, fresh); err != nil || back.State != payments.Settled {
				t.Errorf("a refund of afterwards is %s (%s), %v", back.State, back.Reason, err)
			}
			if _, err := p.call(t.Context(), again(t, order), authorization); err != nil && !errors.Is(err, payments.ErrAlreadyUsed) {
				t.Error(err)
			}
			w.later(t, 26*time.Hour)
			p.reconcile(t)
			p.reconcile(t)
			if _, restoring, err := p.books(t, "ada").Restored(t.Context()); err != nil || restoring {
				t.Errorf("it is not over: %v", err)
			}
			p.finished(t, 0).wants(t, count{payments.Settled: 4, payments.Owed: 2})
		})
	}
}

// What can't be told from others is not sent back a second time, whichever of them
// is cancelled.
func TestRestoredStray(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 10)
	p.event(t, "ada", "ballet", 10)
	g := testnet.guest(t, 2*price)
	first, second := p.buy(t, "opera", g), p.buy(t, "ballet", g)
	p.reconcile(t)
	p.stop(t)
	to, copies := w.clock.Now(), w.copies(t, "ada")
	p = w.start(t)
	w.later(t, time.Minute)
	if back, err := p.undo(t.Context(), t, first); err != nil || back.State != payments.Settled {
		t.Fatalf("%s, %v", back.State, err)
	}
	p.stop(t)
	w.putBack(t, copies, to)
	p = w.start(t)
	for range 2 {
		p.reconcile(t)
		w.later(t, 6*time.Minute)
	}
	p.reconcile(t)
	h := p.books(t, "ada")
	strays, err := h.Strays(t.Context())
	if err != nil || len(strays) != 1 || strays[0].Payee != g.Address() || strays[0].Amount != price {
		t.Fatalf("%+v, %v", strays, err)
	}
	for i, paid := range []payments.Payment{second, first} {
		if back, err := p.undo(t.Context(), t, paid); err != nil || back.State != payments.Settled || back.Transaction == (x402.Bytes32{}) {
			t.Errorf("%s (%s), %v", back.State, back.Reason, err)
		}
		if got := testnet.balance(t, g.Address()); got != price*x402.Amount(i+1) {
			t.Errorf("after %d refunds the guest has %s", i+1, got)
		}
	}
	p.agree(t, 0)
	if strays, err := h.Strays(t.Context()); err != nil || len(strays) > 0 {
		t.Errorf("%+v, %v", strays, err)
	}
}
