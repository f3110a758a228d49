package payments

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

// expiryGrace is how far the chain must be past the end of an authorization's
// window before the window counts as closed; a block that replaces another may
// be a little older than it.
const expiryGrace = 10 * time.Second

// reconcilers is how many payments one pass of Reconcile works on at a time.
const reconcilers = 16

// handover is for how long a payment that is settling is left to the process
// that made it so. After that, any process may submit it.
const handover = 30 * time.Second

func (c *Cashier) handedOver(p Payment) bool { return c.Now().Sub(p.UpdatedAt) >= handover }

// The longest pause between two looks at a payment that somebody waits for, and
// at one that is only watched.
const (
	often  = 15 * time.Second
	seldom = time.Minute
)

// agenda says when open payments, by their id, are looked at again. One that is
// not in it is looked at.
type agenda map[string]visit

type visit struct {
	next  time.Time
	pause time.Duration // before it
	state State         // as it was found
	begun time.Time
}

// Run reconciles at once, and then every interval until ctx ends. What stays
// open is looked at more and more seldom, but always as soon as its
// authorization has expired. Payments do not wait
// for refunds, of which there may be many.
func (c *Cashier) Run(ctx context.Context, interval time.Duration) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.every(ctx, interval, c.reconcileRefunds) })
	looks := agenda{}
	c.every(ctx, interval, func(ctx context.Context) error { return c.reconcilePayments(ctx, looks, interval) })
}

func (c *Cashier) every(ctx context.Context, interval time.Duration, pass func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := pass(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("reconcile payments", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Reconcile makes one pass over payments and one over refunds, without regard to
// when they were looked at last.
func (c *Cashier) Reconcile(ctx context.Context) error {
	return errors.Join(c.reconcilePayments(ctx, agenda{}, 0), c.reconcileRefunds(ctx))
}

// reconcilePayments goes once through the claims that are still open and whose
// time has come: payments without an outcome are finished by what the chain says,
// failed ones are watched until their authorization has expired, settled ones
// until their transfer is final, and claims that never came to a held payment are
// released. What can't be decided now is left for the next time.
func (c *Cashier) reconcilePayments(ctx context.Context, looks agenda, pause time.Duration) error {
	claims, err := c.Claims.Open(ctx)
	if err != nil {
		return fmt.Errorf("list open claims: %w", err)
	}
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, reconcilers)
		mu     sync.Mutex
		closed []string
		errs   []error
	)
	now := c.Now()
	stands := map[State]Tally{}
	before := maps.Clone(looks)
	clear(looks) // of those that are no longer open
	for _, claim := range claims {
		seen, ok := before[claim.PaymentID]
		if ok && now.Before(seen.next) {
			mu.Lock()
			looks[claim.PaymentID] = seen
			add(stands, seen.state, seen.begun)
			mu.Unlock()
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-places }()
			payment, err := c.reconcileClaim(ctx, claim)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, errBusy):
				add(stands, Claimed, claim.ClaimedAt)
				return
			case err != nil:
				errs = append(errs, fmt.Errorf("user %s, payment %s: %w", claim.User, claim.PaymentID, err))
			case !payment.Open:
				closed = append(closed, claim.PaymentID)
				return
			}
			look := seen.after(now, pause, payment)
			if look.state, look.begun = payment.State, payment.CreatedAt; err != nil { // it can't be read
				look.state, look.begun = seen.state, seen.begun
			}
			if look.state == "" {
				look.state, look.begun = Claimed, claim.ClaimedAt
			}
			looks[claim.PaymentID] = look
			add(stands, look.state, look.begun)
		})
	}
	wg.Wait()
	c.stands.set(stands, c.Now())
	if len(closed) > 0 {
		errs = append(errs, c.Claims.Close(ctx, closed))
	}
	return errors.Join(errs...)
}

// after is the visit that follows this one, which is now: after twice its pause,
// but as soon as the authorization has expired, for that may decide something.
func (v visit) after(now time.Time, first time.Duration, p Payment) visit {
	longest := seldom
	if p.State == Settling {
		longest = often
	}
	v.pause = min(max(first, 2*v.pause), longest)
	v.next = now.Add(v.pause)
	if end := p.ValidBefore.Add(expiryGrace); end.After(now) && v.next.After(end) {
		v.next = end
	}
	return v
}

// errBusy means that nothing was done about a claim this time: its payment is
// not held yet, or somebody else is at work on it.
var errBusy = errors.New("the claim is in other hands")

// reconcileClaim returns the claim's payment as it is then. Errors: [errBusy].
func (c *Cashier) reconcileClaim(ctx context.Context, claim Claim) (Payment, error) {
	traced := c.trails.follow(ctx, claim.PaymentID)
	f, started, err := c.fly(traced, flightKey{ClaimKey: claim.ClaimKey}, claim, func(ctx context.Context, l Ledger, f *flight) (Payment, error) {
		ctx, span := tracing.Start(ctx, "reconcile")
		defer span.End()
		payment, err := c.resume(ctx, l, f, claim)
		if err == nil {
			c.trails.done(payment, claim.PaymentID, nil)
		}
		tell(span, payment, err)
		if err == nil && payment.Open && payment.moved() {
			payment = c.recheck(ctx, l, payment)
		}
		return payment, err
	})
	if errors.Is(err, errStopping) || !started {
		return Payment{}, errBusy
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Payment{}, ctx.Err()
	}
	if errors.Is(f.err, errGone) || errors.Is(f.err, ErrUndecided) {
		return Payment{}, errBusy
	}
	if f.err == nil && f.payment.State == Owed { // its refund must be found without the claim
		return f.payment, c.Debtors.Note(ctx, claim.User)
	}
	return f.payment, f.err
}

// recheck looks whether the transfer of a payment is still there: until it is
// final, a reorganisation of the chain can take it back.
func (c *Cashier) recheck(ctx context.Context, ledger Ledger, payment Payment) Payment {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	outcome, err := c.Chain.Authorization(ask, transfer(payment), payment.Since)
	switch {
	case err != nil:
		c.Log.Warn("the chain can't be asked about a payment", "payment", payment.ID, "err", err)
		return payment
	case outcome.Head.Number < payment.Block: // the word of a node that lags behind
		return payment
	case outcome.State == evm.Transferred && !outcome.Final && x402.Bytes32(outcome.Transaction) == payment.Transaction:
		return payment
	case outcome.State == evm.Transferred:
		return c.book(ctx, ledger, payment, outcome, "")
	}
	c.Log.Error("the chain has taken back the transfer of a payment", "payment", payment.ID, "payer", payment.Payer, "tx", payment.Transaction)
	reopened, err := ledger.Reopen(context.WithoutCancel(ctx), payment.ID)
	return c.booked(ledger, payment, reopened, err)
}

// reap releases a claim whose payment was never held, once nobody can be on the
// way to holding it. Should somebody be (a process that was stopped for long),
// Abandon makes its Hold fail. The claim is then gone ([errGone]), as it is when
// another call had released it; otherwise its payment is [ErrUndecided].
func (c *Cashier) reap(ctx context.Context, ledger Ledger, claim Claim) error {
	standing, claimed, err := c.Claims.Find(ctx, claim.ClaimKey)
	if err != nil {
		return err
	}
	if !claimed || standing.PaymentID != claim.PaymentID {
		return errGone
	}
	// Its payment may have been lost with the books, and must be looked for first.
	if r, restored, err := ledger.Restored(ctx); err != nil || restored && !r.Looked {
		return errors.Join(fmt.Errorf("%w: %w", ErrUndecided, errLooking), err)
	}
	if c.Now().Sub(claim.ClaimedAt) < c.Lease {
		return fmt.Errorf("%w: another call is at work on it; repeat this one in a minute", ErrUndecided)
	}
	err = ledger.Abandon(ctx, claim.PaymentID)
	if errors.Is(err, ErrHeld) {
		return fmt.Errorf("%w: another call has just held it", ErrUndecided)
	}
	if err != nil {
		return err
	}
	if err := c.Claims.Release(ctx, claim.ClaimKey, claim.PaymentID); err != nil {
		return err
	}
	c.Log.Info("claim without a payment released", "payment", claim.PaymentID, "payer", claim.Payer)
	return errGone
}

// pursue asks the chain about an open payment and books what it says. While
// the authorization is unused and alive, a settling payment that nobody else is
// at work on is submitted again: the chain lets it be used once, however often
// it is sent.
func (c *Cashier) pursue(ctx context.Context, ledger books, payment Payment) Payment {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	outcome, err := c.Chain.Authorization(ask, transfer(payment), payment.Since)
	if err != nil {
		c.Log.Warn("the chain can't be asked about a payment", "payment", payment.ID, "err", err)
		return payment
	}
	if outcome.State != evm.Unused {
		return c.book(ctx, ledger, payment, outcome, "")
	}
	switch {
	case outcome.Head.Time.After(payment.ValidBefore.Add(expiryGrace)):
		return c.fail(ctx, ledger, payment, x402.ReasonExpiredUnused, true)
	case payment.State == Settling && c.handedOver(payment):
		return c.resubmit(ctx, ledger, payment)
	}
	return payment
}

// resubmit settles a payment once more if it would still settle; else there is
// nothing to do but to wait for its window to close.
func (c *Cashier) resubmit(ctx context.Context, ledger books, payment Payment) Payment {
	p, r := c.rebuild(payment)
	if err := c.verify(ctx, p, r); err != nil {
		c.Log.Info("payment stays settling", "payment", payment.ID, "err", err)
		return payment
	}
	settled, err := c.settle(ctx, ledger, payment, p, r)
	if err != nil {
		c.Log.Warn("payment stays settling", "payment", payment.ID, "err", err)
		return payment
	}
	return settled
}

// rebuild returns what a facilitator is given, from what the ledger keeps.
func (c *Cashier) rebuild(p Payment) (x402.Payment, x402.Requirements) {
	r := c.requirements(p.PayTo, p.Amount)
	payment := x402.Payment{Version: p.X402Version, Scheme: x402.SchemeExact, Network: p.Network,
		Payload: x402.Payload{Signature: p.Signature, Authorization: x402.Authorization{
			From: p.Payer, To: p.PayTo, Value: p.Amount.Uint256(), Nonce: p.Nonce,
			ValidAfter:  x402.NewUint256(uint64(p.ValidAfter.Unix())),  // #nosec G115 -- it was decoded from such a number
			ValidBefore: x402.NewUint256(uint64(p.ValidBefore.Unix())), // #nosec G115 -- it was decoded from such a number
		}}}
	if p.X402Version == 2 {
		payment.Accepted = &r
	}
	return payment, r
}
