package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/crashpoint"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

// reorgDepth is how many blocks may be replaced by others under a payment: its
// transfer may then be in an older block than the one it was awaited from.
const reorgDepth = 64

// sell is the way of a new payment: claim, verify, hold, settle.
func (c *Cashier) sell(ctx context.Context, ledger Ledger, f *flight, claim Claim, o Order, p x402.Payment, r x402.Requirements) (Payment, error) {
	for attempt := 1; ; attempt++ {
		claim.ClaimedAt = c.Now().UTC()
		ctx, span := tracing.Start(ctx, "claim")
		standing, won, err := c.Claims.Claim(ctx, claim)
		span.End()
		if err != nil {
			c.release(ctx, claim) // it may stand all the same
			return Payment{}, fmt.Errorf("claim a payment: %w", err)
		}
		if won {
			break
		}
		var payment Payment
		if standing.ClaimKey == claim.ClaimKey {
			payment, err = c.resume(ctx, ledger, f, standing)
		} else {
			err = c.takeIdentifier(ctx, ledger, standing)
		}
		if !errors.Is(err, errGone) {
			return payment, err
		}
		if attempt == 3 { // it comes and goes, or the ledger is older than the claims
			return Payment{}, fmt.Errorf("%w: its claim does not stay", ErrUndecided)
		}
	}
	f.claim()
	crashpoint.Hit(crashpoint.Claimed)
	since, used, err := c.vet(ctx, p, r)
	if err != nil {
		c.release(ctx, claim)
		return Payment{}, err
	}
	crashpoint.Hit(crashpoint.Verified)
	payment := c.settling(claim, o, p, since)
	if err := c.hold(ctx, ledger, claim, payment, o.Booking); err != nil {
		return Payment{}, err
	}
	f.hold(payment)
	c.trails.keep(ctx, payment.ID)
	crashpoint.Hit(crashpoint.Held)
	if used {
		return c.pursue(ctx, ledger, payment), nil
	}
	settled, err := c.settle(ctx, ledger, payment, p, r)
	if err != nil {
		return c.giveUp(ctx, ledger, claim, payment, err)
	}
	return settled, nil
}

// vet asks the chain and the facilitator about a claimed payment. It returns a
// block at which the authorization was not used, so that its use is found
// wherever it comes later. For that the facilitator's word is not enough: of one
// that was used before, no log would ever be found, and no end.
//
// Used means that somebody else has submitted the authorization since: it was
// unused when it was claimed, so what it paid, it paid for this.
func (c *Cashier) vet(ctx context.Context, p x402.Payment, r x402.Requirements) (since uint64, used bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ctx, span := tracing.Start(ctx, "verify")
	defer span.End()
	head, err := c.Chain.Head(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	a := p.Payload.Authorization
	outcome, chainErr := c.Chain.Authorization(ctx,
		evm.Transfer{Token: c.Asset, From: a.From, To: a.To, Value: a.Value, Nonce: a.Nonce}, head.Number)
	if chainErr == nil && outcome.State != evm.Unused {
		return 0, false, ErrAlreadyUsed
	}
	// Used in an older block it is an error of the chain, and has a name here.
	err = c.verify(ctx, p, r)
	used = chainErr == nil && errors.Is(err, ErrAlreadyUsed)
	if err != nil && !used {
		return 0, false, err
	}
	if chainErr != nil {
		return 0, false, fmt.Errorf("%w: %w", ErrUnavailable, chainErr)
	}
	return outcome.Head.Number - min(outcome.Head.Number, reorgDepth), used, nil
}

// verify asks the facilitator whether a payment would settle.
func (c *Cashier) verify(ctx context.Context, p x402.Payment, r x402.Requirements) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	verdict, err := c.Facilitator.Verify(ctx, p, r)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case verdict.IsValid:
		return nil
	case verdict.InvalidReason == x402.ReasonNonceUsed:
		return ErrAlreadyUsed
	case verdict.InvalidReason == x402.ReasonInsufficientFunds:
		return refuse(verdict.InvalidReason, "the payer's balance is too low")
	}
	return refuse(verdict.InvalidReason, "the facilitator does not accept it")
}

// hold has the ledger hold the seats. After an error of it nothing is held,
// unless it is [ErrUndecided].
func (c *Cashier) hold(ctx context.Context, ledger Ledger, claim Claim, payment Payment, b Booking) error {
	held, span := tracing.Start(ctx, "hold")
	err := ledger.Hold(held, payment, b)
	span.End()
	if err == nil {
		return nil
	}
	switch _, lookup := ledger.Payment(context.WithoutCancel(ctx), payment.ID); {
	case lookup == nil: // it is held; only the answer was lost
		return nil
	case !errors.Is(lookup, ErrNoPayment): // held or not: the reconciler will see
		return fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	c.release(ctx, claim)
	switch {
	case errors.Is(err, ErrAbandoned): // it took longer than the lease; another call may have it by now
		return fmt.Errorf("%w: %w", ErrUndecided, err)
	case errors.Is(err, ErrHeld): // the ledger knows the authorization, though its claim was lost
		return fmt.Errorf("%w: %w", ErrAlreadyUsed, err)
	}
	return err
}

func (c *Cashier) settling(claim Claim, o Order, p x402.Payment, since uint64) Payment {
	a := p.Payload.Authorization
	after, before, _ := a.Window() // check has seen to it
	now := c.Now().UTC()
	return Payment{
		ID: claim.PaymentID, RSVPID: o.Booking.RSVPID, State: Settling, Open: true, X402Version: p.Version,
		Network: c.Network, Asset: c.Asset, Payer: a.From, PayTo: a.To, Amount: o.Amount, Nonce: a.Nonce,
		ValidAfter: after.UTC(), ValidBefore: before.UTC(), Signature: p.Payload.Signature, Since: since,
		CreatedAt: now, UpdatedAt: now,
	}
}

// giveUp ends a payment that the facilitator had no way to submit, so that the
// payer may use it again. It must be certain that nobody else has submitted it,
// for nobody will look after it any more.
func (c *Cashier) giveUp(ctx context.Context, ledger Ledger, claim Claim, payment Payment, cause error) (Payment, error) {
	c.Log.Error("payment not submitted", "payment", payment.ID, "payer", payment.Payer, "err", cause)
	if c.handedOver(payment) {
		return payment, nil
	}
	failed := c.fail(ctx, ledger, payment, x402.ReasonUnexpectedSettle, true)
	if failed.State != Failed {
		return failed, nil // it could not be written: the reconciler goes on with it
	}
	c.release(ctx, claim)
	return Payment{}, fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// resume answers a payment whose claim stood before this call: with the outcome
// that it has, or with what the chain says now. Errors: [ErrAlreadyUsed],
// [ErrUndecided], [errGone].
func (c *Cashier) resume(ctx context.Context, ledger Ledger, f *flight, standing Claim) (Payment, error) {
	if standing.Fingerprint != f.fingerprint {
		return Payment{}, ErrAlreadyUsed
	}
	payment, err := ledger.Payment(ctx, standing.PaymentID)
	switch {
	case errors.Is(err, ErrNoPayment):
		return Payment{}, c.reap(ctx, ledger, standing)
	case err != nil || !payment.Open || payment.moved():
		return payment, err
	}
	f.claim()
	f.hold(payment)
	return c.pursue(ctx, ledger, payment), nil
}

// release gives a claim back. When that fails the claim is an orphan, and the
// reconciler releases it.
func (c *Cashier) release(ctx context.Context, claim Claim) {
	if err := c.Claims.Release(context.WithoutCancel(ctx), claim.ClaimKey, claim.PaymentID); err != nil {
		c.Log.Warn("a claim could not be released; the reconciler will", "payment", claim.PaymentID, "err", err)
	}
	crashpoint.Hit(crashpoint.Released)
}
