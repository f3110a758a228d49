package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// buy books one seat of an event of ada's.
func (p *process) buy(tb testing.TB, event string, g guest) payments.Payment {
	tb.Helper()
	order := p.world.order(tb, "ada", event, g)
	paid, err := p.call(tb.Context(), order, p.pays(tb, g, order))
	if err != nil || paid.State != payments.Settled {
		tb.Fatalf("%s, %v", paid.State, err)
	}
	return paid
}

// undo does what a Host does when an RSVP is cancelled: it owes, and pays.
func (p *process) undo(ctx context.Context, tb testing.TB, paid payments.Payment) (payments.Payment, error) {
	tb.Helper()
	h := p.books(tb, "ada")
	err := p.Owe(ctx, "ada", func(ctx context.Context, cleared int64) error {
		return only(ctx, p.between, cancel, func() error {
			_, err := h.CancelRSVP(ctx, paid.RSVPID, cleared)
			return err
		})
	})
	if err != nil {
		return payments.Payment{}, err
	}
	return p.Refund(ctx, "ada", paid.ID)
}

func TestRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := p.buy(t, "opera", g)

	for range 2 { // cancelled again, it is the same
		back, err := p.undo(t.Context(), t, paid)
		if err != nil || back.State != payments.Settled || back.Open || back.PayTo != g.Address() || back.Payer != w.wallet(t, "ada") || back.Amount != price {
			t.Fatalf("%+v, %v", back, err)
		}
		if got := testnet.balance(t, g.Address()); got != price {
			t.Errorf("the guest has %s", got)
		}
	}
	p.agree(t, 0)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
	if r, err := p.books(t, "ada").RSVP(t.Context(), paid.RSVPID); err != nil || r.Status != store.RSVPRefunded {
		t.Errorf("%s, %v", r.Status, err)
	}
	if got := p.taken(t, "opera"); got != 0 {
		t.Errorf("%d seats taken", got)
	}
	p.buy(t, "opera", g) // who has cancelled may book again
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 2})
}

// Without the money to pay it back a refund is owed, says why, and is tried
// again.
func TestRefundWithoutMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := p.buy(t, "opera", g)
	testnet.fund(t, w.wallet(t, "ada"), 0) // for gas
	testnet.spend(t, guest{w.wallets["ada"]}, price)

	back, err := p.undo(t.Context(), t, paid)
	if err != nil || back.State != payments.Owed || back.Reason != x402.ReasonInsufficientFunds || back.Nonce != (x402.Bytes32{}) {
		t.Fatalf("%+v, %v", back, err)
	}
	p.reconcile(t)
	p.set(p.noStep(t, openClaims, listDebtors)) // it is not due
	p.reconcile(t)
	p.set(nil)
	testnet.fund(t, w.wallet(t, "ada"), 2*price)
	w.clock.Advance(15 * time.Minute)
	p.reconcile(t)
	p.reconcile(t)
	p.finished(t, price).wants(t, count{payments.Settled: 1})
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("the guest has %s", got)
	}
}

// What the chain could still take back is not returned yet.
func TestRefundWaitsForFinality(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	p.saw = shallow
	p.settles = settles(true, x402.SettleResponse{}, errOutage) // so that Authorization is asked
	paid := p.buy(t, "opera", g)
	p.settles = nil
	back, err := p.undo(t.Context(), t, paid)
	if err != nil || back.State != payments.Owed || back.Reason != payments.ReasonNotFinal {
		t.Fatalf("%+v, %v", back, err)
	}
	w.clock.Advance(time.Minute)
	p.reconcile(t)
	if got := testnet.balance(t, g.Address()); got != 0 {
		t.Errorf("the guest has %s", got)
	}
	p.saw = nil
	p.reconcile(t)
	p.reconcile(t) // ada is a debtor no more
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("in the end the guest has %s", got)
	}
}

// A wallet that is not held here pays nothing.
func TestRefundWithoutWallet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, wallet := range map[string]func(context.Context, string) (payments.Signer, error){
		"none is held": nil,
		"not this one": func(context.Context, string) (payments.Signer, error) { return nil, payments.ErrNoWallet },
	} {
		t.Run(name, func(t *testing.T) {
			p := w.start(t, func(c *payments.Config) { c.Wallet = wallet })
			event := newID(t)
			p.event(t, "ada", event, 1)
			g := testnet.guest(t, price)
			back, err := p.undo(t.Context(), t, p.buy(t, event, g))
			if err != nil || back.State != payments.Owed || back.Reason != payments.ReasonNoWallet {
				t.Errorf("%+v, %v", back, err)
			}
		})
	}
}
