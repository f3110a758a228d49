package payments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// A single fault at every step of a cancellation. In the end the money is back,
// once.
func TestRefundFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, 1000*x402.USD)
	for _, step := range []step{openLedger, readCleared, note, cancel, readRefund, openWallet, balance, head, signRefund,
		verify, settle, await, confirmRefund, postpone} {
		for _, at := range []point{{step, false}, {step, true}} {
			for kind, fault := range map[string]func() error{
				"error": func() error { return errOutage },
				"panic": func() error { panic("at the disco") },
			} {
				t.Run(fmt.Sprint(kind, " ", at), func(t *testing.T) {
					event := newID(t)
					p.event(t, "ada", event, 1)
					paid := p.buy(t, event, g)
					p.set(once(at, fault))
					func() {
						defer func() { _ = recover() }()
						_, _ = p.undo(t.Context(), t, paid)
					}()
					p.set(nil)
					w.clock.Advance(2 * time.Minute)
					p.reconcile(t)
					back, err := p.undo(t.Context(), t, paid)
					if err != nil || back.State != payments.Settled {
						t.Errorf("in the end it is %s, %v", back.State, err)
					}
				})
			}
		}
	}
	p.reconcile(t)
	p.finished(t, 0)
	if got := testnet.balance(t, g.Address()); got != 1000*x402.USD {
		t.Errorf("the guest has %s", got)
	}
}

// What a facilitator says of a refund is worth no more than of a payment.
func TestRefundWithLyingFacilitator(t *testing.T) {
	t.Parallel()
	type answer = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error)
	settled := func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) {
		if _, err := real.Settle(ctx, p, r); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		answer answer
		state  payments.State // at once
	}{
		"success, and nothing done": {func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
			return x402.SettleResponse{Success: true}, nil
		}, payments.Settling},
		"failure, and done": {func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
			settled(ctx, real, p, r)
			return x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds}, nil
		}, payments.Settled},
		"failure, and not done": {func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
			return x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds}, nil
		}, payments.Settling},
		"not submitted": {func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
			return x402.SettleResponse{}, payments.ErrNotSettled
		}, payments.Settling},
		"lost, and done": {func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
			settled(ctx, real, p, r)
			return x402.SettleResponse{}, errOutage
		}, payments.Settled},
		"lost": {func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
			return x402.SettleResponse{}, errOutage
		}, payments.Settling},
		"twice": {func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
			settled(ctx, real, p, r)
			return real.Settle(ctx, p, r)
		}, payments.Settled},
		"another's transaction": {func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
			tx := testnet.give(t, testnet.guest(t, 1), common.Address{1}, 1)
			return x402.SettleResponse{Success: true, Transaction: tx.Hex()}, nil
		}, payments.Settling},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			paid := p.buy(t, "opera", g)
			p.settles = c.answer
			back, err := p.undo(t.Context(), t, paid)
			if err != nil || back.State != c.state {
				t.Errorf("it is %s, %v, want %s", back.State, err, c.state)
			}
			p.agree(t, 0)
			first := back.Nonce
			for range 3 { // the window is open: nothing else is signed
				w.clock.Advance(time.Minute)
				p.reconcile(t)
			}
			if r, err := p.books(t, "ada").Refund(t.Context(), paid.ID); err != nil || r.Nonce != first {
				t.Errorf("another authorization while the first can be used: %v", err)
			}
			p.agree(t, 0)
			p.stop(t)
			q := w.start(t)
			w.clock.Advance(time.Minute)
			q.reconcile(t)
			q.reconcile(t)
			q.finished(t, 0)
			if got := testnet.balance(t, g.Address()); got != price {
				t.Errorf("the guest has %s", got)
			}
		})
	}
}

// The owner of the wallet cancels the refund's authorization on the chain: it is
// dead, and there may be another.
func TestRefundAuthorizationCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := p.buy(t, "opera", g)
	p.settles = func(_ context.Context, _ payments.Facilitator, p x402.Payment, _ x402.Requirements) (x402.SettleResponse, error) {
		testnet.cancel(t, guest{w.wallets["ada"]}, p.Payload.Authorization)
		return x402.SettleResponse{}, errOutage
	}
	back, err := p.undo(t.Context(), t, paid)
	if err != nil || back.State != payments.Owed {
		t.Errorf("it is %s, %v", back.State, err)
	}
	p.settles = nil
	w.clock.Advance(time.Minute)
	p.reconcile(t)
	p.reconcile(t)
	p.finished(t, 0)
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("the guest has %s", got)
	}
}

// Who signs while the answer of the chain is old must not pay twice: another
// process has meanwhile buried the first authorization and signed a second.
func TestRefundOldNews(t *testing.T) {
	w := newWorld(t)
	p, q := w.start(t), w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := p.buy(t, "opera", g)
	p.settles = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
		return x402.SettleResponse{}, errOutage
	}
	if back, err := p.undo(t.Context(), t, paid); err != nil || back.State != payments.Settling {
		t.Fatalf("%s, %v", back.State, err)
	}
	testnet.advance(t, 6*time.Minute)
	w.clock.Advance(6 * time.Minute)
	slow := newGate(point{failRefund, false})
	p.set(slow.hook)
	old := answers(func() (payments.Payment, error) { return p.Refund(t.Context(), "ada", paid.ID) })
	<-slow.reached
	q.settles = p.settles
	second, err := q.Refund(t.Context(), "ada", paid.ID)
	if err != nil || second.State != payments.Settling {
		t.Fatalf("%s, %v", second.State, err)
	}
	slow.open()
	if o := <-old; o.err != nil || o.Payment.State != payments.Settling || o.Payment.Nonce != second.Nonce {
		t.Errorf("%s with another nonce, %v", o.Payment.State, o.err)
	}
	p.set(nil)
	p.settles, q.settles = nil, nil
	w.clock.Advance(time.Minute)
	p.reconcile(t)
	p.reconcile(t)
	p.finished(t, 0)
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("the guest has %s", got)
	}
}

// Many cancel the same RSVP at once, in two processes.
func TestRefundInParallel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both := []*process{w.start(t), w.start(t)}
	both[0].event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := both[0].buy(t, "opera", g)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			back, err := both[i%2].undo(t.Context(), t, paid)
			if err != nil || back.State == payments.Owed {
				t.Errorf("%s, %v", back.State, err)
			}
		})
		if i%5 == 0 {
			wg.Go(func() { both[i%2].reconcile(t) })
		}
	}
	wg.Wait()
	w.clock.Advance(time.Minute)
	both[0].reconcile(t)
	both[1].reconcile(t)
	both[0].reconcile(t)
	both[0].finished(t, 0)
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("the guest has %s", got)
	}
}

// An event is cancelled while its payments are at any point of their way: who
// has paid gets the money back, and nobody keeps a seat.
func TestCancelEventWhileSelling(t *testing.T) {
	t.Parallel()
	for _, at := range []point{{hold, false}, {hold, true}, {settle, false}, {settle, true}, {confirm, false}, {confirm, true}} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 3)
			g, other := testnet.guest(t, price), testnet.guest(t, price)
			p.buy(t, "opera", other)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			p.set(once(at, func() error { p.cancelEvent(t); return nil }))
			got := class(p.call(t.Context(), order, payment))
			p.set(nil)
			want := map[point]string{{hold, false}: "error", {confirm, true}: "settled"}[at]
			if want == "" {
				want = "owed"
			}
			if got != want {
				t.Errorf("the answer is %s, want %s", got, want)
			}
			p.reconcile(t)
			p.reconcile(t)
			p.finished(t, 0)
			for _, g := range []guest{g, other} {
				if has := testnet.balance(t, g.Address()); has != price {
					t.Errorf("a guest has %s", has)
				}
			}
			if n := p.taken(t, "opera"); n != 0 {
				t.Errorf("%d seats taken", n)
			}
		})
	}
}

// cancelEvent cancels ada's opera past everything that a test has put between.
func (p *process) cancelEvent(tb testing.TB) {
	tb.Helper()
	h := p.books(tb, "ada")
	for err := payments.ErrCleared; errors.Is(err, payments.ErrCleared); {
		var cleared int64
		if cleared, err = h.Cleared(tb.Context()); err == nil {
			err = p.server.Note(tb.Context(), "ada")
		}
		if err == nil {
			_, err = h.CancelEvent(tb.Context(), "opera", cleared)
		}
		if err != nil && !errors.Is(err, payments.ErrCleared) {
			tb.Error(err)
		}
	}
}

// A Host is struck off between the note of a refund and the refund: it is noted
// again.
func TestRefundAfterClearing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, q := w.start(t), w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	paid := p.buy(t, "opera", g)
	p.set(once(point{cancel, false}, func() error { q.reconcile(t); return nil }))
	h := p.books(t, "ada")
	notes := 0
	err := p.Owe(t.Context(), "ada", func(ctx context.Context, cleared int64) error {
		notes++
		return only(ctx, p.between, cancel, func() error {
			_, err := h.CancelRSVP(ctx, paid.RSVPID, cleared)
			return err
		})
	})
	if err != nil || notes != 2 {
		t.Errorf("%d times, %v", notes, err)
	}
	q.reconcile(t)
	q.reconcile(t)
	q.finished(t, 0)
	if got := testnet.balance(t, g.Address()); got != price {
		t.Errorf("the guest has %s", got)
	}
	// There is an end to it.
	notes = 0
	err = p.Owe(t.Context(), "ada", func(context.Context, int64) error { notes++; return payments.ErrCleared })
	if !errors.Is(err, payments.ErrCleared) || notes != 3 {
		t.Errorf("%d times, %v", notes, err)
	}
}

// shown are the authorizations of refunds that anybody but the ledger has seen.
type shown struct {
	mu  sync.Mutex
	all map[x402.Address][]x402.Authorization // by payee
	t   *testing.T
}

// see notes one. It must not be there before the last can't be used any more.
func (s *shown) see(ctx context.Context, a x402.Authorization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.all[a.To]
	if slices.Contains(seen, a) {
		return
	}
	for _, last := range seen {
		o, err := testnet.client.Authorization(ctx, evm.Transfer{Token: x402.Address(devnet.USDC()), From: last.From, To: last.To, Value: last.Value, Nonce: last.Nonce}, 0)
		if err == nil && o.State == evm.Unused && uint64(o.Head.Time.Unix()) < last.ValidBefore.Uint64() {
			s.t.Errorf("two authorizations of one refund can be used")
		}
	}
	s.all[a.To] = append(seen, a)
}

func (s *shown) count() (n int) {
	for _, all := range s.all {
		n += len(all)
	}
	return n
}

// Guests book and cancel, the event is cancelled in the middle of it, two
// processes reconcile, every tenth call goes wrong. When the storm is over everybody has all of their
// money.
func TestRefundChaos(t *testing.T) {
	const guests = 40
	w := newWorld(t)
	both := []*process{w.start(t), w.start(t)}
	both[0].event(t, "ada", "opera", 0)
	seen := &shown{all: map[x402.Address][]x402.Authorization{}, t: t}
	host := w.wallet(t, "ada")
	for _, p := range both {
		p.settles = func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
			if p.Payload.Authorization.From == host {
				seen.see(ctx, p.Payload.Authorization)
			}
			return real.Settle(ctx, p, r)
		}
		p.verifies = func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
			if p.Payload.Authorization.From == host {
				seen.see(ctx, p.Payload.Authorization)
			}
			return real.Verify(ctx, p, r)
		}
	}
	var (
		all     [guests]guest
		orders  [guests]payments.Order
		payment [guests]x402.Payment
		wg      sync.WaitGroup
		called  atomic.Int64
		sold    atomic.Int64
	)
	for i := range guests {
		wg.Go(func() {
			all[i] = testnet.guest(t, price)
			orders[i] = w.order(t, "ada", "opera", all[i])
			payment[i] = both[0].pays(t, all[i], orders[i])
		})
	}
	wg.Wait()
	for i, p := range both {
		p.set(chance(uint64(10 + i)))
	}
	for i := range guests {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			p := both[i%2]
			for n := range 3 {
				paid, err := p.call(t.Context(), again(t, orders[i]), payment[i])
				if n == 0 {
					called.Add(1)
				}
				if err != nil || paid.State != payments.Settled {
					continue
				}
				if sold.Add(1) == 5 {
					p.cancelEvent(t)
				}
				if random.IntN(2) == 0 {
					func() {
						defer func() { _ = recover() }() // undo is the caller's own goroutine
						_, _ = p.undo(t.Context(), t, paid)
					}()
				}
			}
		})
	}
	for i, p := range both {
		wg.Go(func() {
			for round := 0; round < 20; {
				_ = p.Reconcile(t.Context()) // its errors are those that were made
				if called.Load() < guests {
					continue // what is signed is good for five minutes
				}
				round++
				w.clock.Advance(10 * time.Second)
				if i == 0 && round == 10 {
					testnet.advance(t, 6*time.Minute)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range both {
		p.set(nil)
	}
	testnet.advance(t, 6*time.Minute)
	for range 3 {
		w.clock.Advance(6 * time.Minute)
		for _, p := range both {
			p.reconcile(t)
		}
	}
	both[0].finished(t, 0)
	for i := range guests {
		if has := testnet.balance(t, all[i].Address()); has != price {
			t.Errorf("guest %d has %s", i, has)
		}
	}
	revenue, err := both[0].books(t, "ada").Revenue(t.Context(), "")
	if err != nil || revenue.Settled != 0 || revenue.Owed != 0 || revenue.Pending != 0 || revenue.Refunded == 0 {
		t.Errorf("revenue: %+v, %v", revenue, err)
	}
	t.Logf("%s refunded to %d guests with %d authorizations", revenue.Refunded.USD(), len(seen.all), seen.count())
	for _, r := range rsvps(t, both[0].books(t, "ada")) {
		if r.Status != store.RSVPRefunded && r.Status != store.RSVPFailed {
			t.Errorf("an RSVP is %s", r.Status)
		}
	}
}
