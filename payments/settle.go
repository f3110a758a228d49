package payments

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/crashpoint"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

// books are told what became of a payment: a [Ledger], or one refund's part of it.
type books interface {
	Confirm(ctx context.Context, id string, s Settlement) (Payment, error)
	Fail(ctx context.Context, id string, reason x402.Reason, final bool) (Payment, error)
}

// settle submits a held payment and waits for the chain. A payment of which
// nothing is known in the end is returned as it is, settling. The only error is
// [ErrNotSettled]: this time the payment was not submitted.
func (c *Cashier) settle(ctx context.Context, ledger books, payment Payment, p x402.Payment, r x402.Requirements) (Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	ctx, span := tracing.Start(ctx, "settle")
	defer span.End()
	answer, err := c.Facilitator.Settle(ctx, p, r)
	crashpoint.Hit(crashpoint.Submitted)
	if errors.Is(err, ErrNotSettled) {
		return payment, err
	}
	if err != nil {
		c.Log.Warn("settlement outcome unknown, asking the chain", "payment", payment.ID, "err", err)
		answer = x402.SettleResponse{ErrorReason: x402.ReasonUnexpectedSettle}
	}
	await, waiting := tracing.Start(ctx, "await the chain")
	outcome, reason, err := c.outcome(await, payment, answer, p, r)
	waiting.End()
	if err != nil {
		c.Log.Warn("payment stays settling", "payment", payment.ID, "payer", payment.Payer, "err", err)
		return payment, nil
	}
	crashpoint.Hit(crashpoint.Found)
	return c.book(ctx, ledger, payment, outcome, reason), nil
}

// outcome asks the chain what a facilitator's answer is worth. While the chain
// knows of nothing, the payment has failed for reason if the facilitator names
// one, or if the very transaction it named came to nothing and another would too.
// Everything else is an error: it may be on its way, and unknown is not failed.
func (c *Cashier) outcome(ctx context.Context, payment Payment, answer x402.SettleResponse, p x402.Payment, r x402.Requirements) (o evm.Outcome, reason x402.Reason, err error) {
	pending := answer.ErrorReason == x402.ReasonSettlementPending
	tx, hashErr := x402.ParseBytes32(answer.Transaction)
	if awaited := hashErr == nil && (answer.Success || pending); awaited {
		o, err = c.Chain.Await(ctx, common.Hash(tx), transfer(payment), payment.Since)
	} else {
		o, err = c.Chain.Authorization(ctx, transfer(payment), payment.Since)
	}
	switch {
	case err != nil || o.State != evm.Unused:
		return o, "", err
	case answer.Success, pending && hashErr != nil:
		return o, "", errors.New("the facilitator reports a settlement that the chain does not have")
	case pending && signedByKey(p, r) && c.verify(ctx, p, r) == nil:
		// Others that shared the transaction may be to blame.
		return o, "", errors.New("its transaction came to nothing, but it would settle still")
	case pending:
		return o, x402.ReasonTransactionFailed, nil
	case answer.ErrorReason == "", answer.ErrorReason == x402.ReasonUnexpectedSettle:
		return o, "", errors.New("the facilitator does not know what became of it")
	}
	return o, answer.ErrorReason, nil
}

// book writes the chain's word into the ledger. With Unused the payment failed
// for reason, provisionally: whoever holds the authorization can still use it.
func (c *Cashier) book(ctx context.Context, ledger books, payment Payment, o evm.Outcome, reason x402.Reason) Payment {
	switch {
	case o.State == evm.Unused:
		return c.fail(ctx, ledger, payment, reason, false)
	case !o.Confirmed:
		return payment // seen, but not deep enough yet
	case o.State == evm.Spent:
		return c.fail(ctx, ledger, payment, x402.ReasonTransactionState, o.Final)
	}
	ctx, span := tracing.Start(ctx, "confirm")
	defer span.End()
	span.Set("concierge.transaction", o.Transaction.String())
	booked, err := ledger.Confirm(context.WithoutCancel(ctx), payment.ID,
		Settlement{Transaction: x402.Bytes32(o.Transaction), Block: o.Block, Final: o.Final})
	return c.booked(ledger, payment, booked, err)
}

func (c *Cashier) fail(ctx context.Context, ledger books, payment Payment, reason x402.Reason, final bool) Payment {
	failed, err := ledger.Fail(context.WithoutCancel(ctx), payment.ID, reason, final)
	return c.booked(ledger, payment, failed, err)
}

// booked returns the payment as it stands in the ledger now. What could not be
// written is as it was before, and the reconciler will try again: for the caller
// it is as good as unknown.
func (c *Cashier) booked(ledger books, before, after Payment, err error) Payment {
	if err != nil {
		c.Log.Error("a payment's outcome could not be written", "payment", before.ID, "err", err)
		return before
	}
	crashpoint.Hit(crashpoint.Booked)
	c.Log.Info("payment "+string(after.State), "payment", after.ID, "payer", after.Payer,
		"amount", after.Amount, "tx", after.Transaction, "reason", after.Reason)
	if c.Observe != nil && after.State != before.State {
		_, refund := ledger.(refundBooks)
		c.Observe(after, refund)
	}
	return after
}

func transfer(p Payment) evm.Transfer {
	return evm.Transfer{Token: p.Asset, From: p.Payer, To: p.PayTo, Value: p.Amount.Uint256(), Nonce: p.Nonce}
}
