package payments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// A smart wallet books, deployed or not, and gets the same answer to the same
// payment for ever.
func TestContractWalletPays(t *testing.T) {
	t.Parallel()
	type make = func(*testing.T) (contractWallet, func(x402.Signature) x402.Signature)
	for name, c := range map[string]struct {
		make    make
		version func(*x402.Payment)
	}{
		"deployed": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			return testnet.owned(t, price).deployed(t), asItIs
		}, version2},
		"deployed, version 1": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			return testnet.owned(t, price).deployed(t), asItIs
		}, version1},
		"deployed, yet wrapped": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			w := testnet.owned(t, price).deployed(t)
			return w, w.wrapped(t)
		}, version2},
		"to be deployed": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			w := testnet.owned(t, price)
			return w, w.wrapped(t)
		}, version2},
		"to be deployed, v1": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			w := testnet.owned(t, price)
			return w, w.wrapped(t)
		}, version1},
		"with its own signature": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			return testnet.coded(t, price, saysYes).deployed(t), func(x402.Signature) x402.Signature { return x402.Signature("the money is its own") }
		}, version2},
		"of 8 KiB, wrapped": {func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
			w := testnet.coded(t, price, saysYes)
			return w, func(x402.Signature) x402.Signature { return wrap(t, make8K(), w.deploy) }
		}, version2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			wallet, signs := c.make(t)
			order := w.order(t, "ada", "opera", wallet.owner)
			payment := p.pays(t, wallet.owner, order, c.version, wallet.from(t, p, order, signs))
			first, err := p.call(t.Context(), order, payment)
			if err != nil || first.State != payments.Settled || first.Payer != wallet.address {
				t.Fatalf("%+v, %v", first, err)
			}
			if !wallet.isDeployed(t) {
				t.Error("the wallet is not deployed")
			}
			for _, when := range []string{"at once", "after a restart"} {
				repeated, err := p.call(t.Context(), again(t, order), payment)
				if diff := cmp.Diff(first, repeated); diff != "" || err != nil {
					t.Errorf("%s: %v (-first +again):\n%s", when, err, diff)
				}
				p.reconcile(t)
				p.stop(t)
				p = w.start(t)
			}
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

// version2 leaves it as it is.
func version2(*x402.Payment) {}

// make8K is a signature that, wrapped, comes near to the longest that is read.
func make8K() x402.Signature { return x402.Signature(make([]byte, x402.MaxSignature-600)) }

// Copies of one payment at once, and two payments of one wallet that both would
// deploy it.
func TestContractWalletAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 0)
	p.event(t, "ada", "ball", 0)
	wallet := testnet.owned(t, 2*price)
	orders := []payments.Order{w.order(t, "ada", "opera", wallet.owner), w.order(t, "ada", "ball", wallet.owner)}
	var payment []x402.Payment
	for _, o := range orders {
		payment = append(payment, p.pays(t, wallet.owner, o, wallet.from(t, p, o, wallet.wrapped(t))))
	}
	var calls []payments.Order
	for i := range 40 {
		calls = append(calls, again(t, orders[i%2]))
	}
	for i, o := range together(len(calls), func(i int) (payments.Payment, error) { return p.call(t.Context(), calls[i], payment[i%2]) }) {
		if o.err != nil || o.State != payments.Settled || o.Nonce != payment[i%2].Payload.Authorization.Nonce {
			t.Fatalf("%+v, %v", o.Payment, o.err)
		}
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 2})
}

// Somebody else deploys the wallet while it pays.
func TestContractWalletDeployedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, at := range []point{{signed, true}, {verify, false}, {verify, true}, {hold, true}, {settle, false}} {
		t.Run(at.String(), func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			wallet := testnet.owned(t, price)
			order := w.order(t, "ada", "opera", wallet.owner)
			payment := p.pays(t, wallet.owner, order, wallet.from(t, p, order, wallet.wrapped(t)))
			p.on(at, func(context.Context) error { wallet.deployed(t); return nil })
			if paid, err := p.call(t.Context(), order, payment); err != nil || paid.State != payments.Settled {
				t.Fatalf("%+v, %v", paid, err)
			}
			p.set(nil)
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

// The process dies while nothing is submitted; the next one has only what the
// ledger keeps, and that is enough to deploy the wallet.
func TestContractWalletResubmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	wallet := testnet.owned(t, price)
	order := w.order(t, "ada", "opera", wallet.owner)
	payment := p.pays(t, wallet.owner, order, wallet.from(t, p, order, wallet.wrapped(t)))
	p.settles = lost
	first, err := p.call(t.Context(), order, payment)
	if err != nil || first.State != payments.Settling {
		t.Fatalf("%+v, %v", first, err)
	}
	p.stop(t)
	p = w.start(t)
	repeated, err := p.call(t.Context(), again(t, order), payment)
	if err != nil || repeated.State != payments.Settling || repeated.RSVPID != first.RSVPID {
		t.Errorf("before: %+v, %v", repeated, err)
	}
	w.clock.Advance(time.Minute)
	p.reconcile(t)
	repeated, err = p.call(t.Context(), again(t, order), payment)
	if err != nil || repeated.State != payments.Settled || repeated.RSVPID != first.RSVPID {
		t.Errorf("after: %+v, %v", repeated, err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// Without the chain nobody knows whether a wallet has signed: nothing is taken,
// and nothing is told. An ordinary account's signature needs no chain.
func TestContractWalletWithoutChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 2)
	wallet := testnet.owned(t, price)
	order := w.order(t, "ada", "opera", wallet.owner)
	payment := p.pays(t, wallet.owner, order, wallet.from(t, p, order, wallet.wrapped(t)))
	outage := func() {
		p.set(func(_ context.Context, at point) error {
			switch {
			case at == point{signed, false}:
				return errOutage
			case at.step != find && at.step != signed:
				t.Errorf("unexpected: %s", at)
			}
			return nil
		})
	}
	outage()
	if paid, err := p.call(t.Context(), order, payment); !errors.Is(err, payments.ErrUnavailable) {
		t.Errorf("a new payment: %+v, %v", paid, err)
	}
	p.set(nil)
	first, err := p.call(t.Context(), order, payment)
	if err != nil || first.State != payments.Settled {
		t.Fatalf("%+v, %v", first, err)
	}
	outage()
	paid, err := p.call(t.Context(), again(t, order), payment)
	if diff := cmp.Diff(payments.Payment{}, paid); diff != "" || !errors.Is(err, payments.ErrUndecided) || errors.Is(err, payments.ErrUnavailable) {
		t.Errorf("a known payment: %+v, %v", paid, err)
	}
	p.on(point{signed, false}, func(context.Context) error { return errOutage })
	g := testnet.guest(t, price)
	order = w.order(t, "ada", "opera", g)
	if paid, err := p.call(t.Context(), order, p.pays(t, g, order)); err != nil || paid.State != payments.Settled {
		t.Errorf("an ordinary account: %+v, %v", paid, err)
	}
	p.set(nil)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 2})
}
