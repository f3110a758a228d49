package payments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/events-concierge/concierge/payments/crashpoint"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

// Refunds are the part of a [Ledger] about money that goes back. A refund is a
// [Payment] in the other direction: its ID and RSVPID are those of the payment
// that it returns, its PayTo is who made that, and its Payer is the Host's wallet
// once an authorization has been signed.
//
//	owed ── signed ─▶ settling ── money moved ─▶ settled
//	  ▲                   │
//	  └── expired unused ─┘
//
// A refund has one authorization at a time: there is a new one only when the
// chain has said that the last can never be used any more. Like those of
// Ledger, the methods that change a refund may be repeated, and return it as it
// is in a state from which they do not lead. All are durable.
type Refunds interface {
	// Refund returns the refund of a payment, or [ErrNoPayment].
	Refund(ctx context.Context, paymentID string) (Payment, error)
	// Sign makes an owed refund settling, with the Payer, Nonce, ValidAfter,
	// ValidBefore, Signature and Since of r.
	Sign(ctx context.Context, r Payment) (Payment, error)
	// ConfirmRefund records that the money of a refund moved in transaction tx.
	ConfirmRefund(ctx context.Context, id string, tx x402.Bytes32) (Payment, error)
	// FailRefund notes why the authorization with this nonce has not moved the
	// money of a settling refund. If final, it never will, and the refund is owed
	// again.
	FailRefund(ctx context.Context, id string, nonce x402.Bytes32, reason x402.Reason, final bool) (Payment, error)
	// Postpone says until when an open refund may be left alone, and why an owed
	// one can't be paid; no reason leaves the one there is.
	Postpone(ctx context.Context, id string, reason x402.Reason, until time.Time) (Payment, error)
	// Due returns the payments whose refunds are open and wait no longer, at most
	// n, those first that have waited longest.
	Due(ctx context.Context, n int) (ids []string, err error)
	// Clear finds out whether no refund is open and no restore goes on, and if so
	// counts that. Otherwise it returns when there is something to do next.
	Clear(ctx context.Context) (cleared bool, next time.Time, err error)
	// Cleared returns that count. Whatever makes a refund other than Confirm does
	// so on condition that it has not changed, and is [ErrCleared] if it has.
	Cleared(ctx context.Context) (int64, error)
}

// ErrCleared means that its Host was taken off the list of [Debtors] before a
// refund was made there.
var ErrCleared = errors.New("the host is no longer looked after for refunds")

// Debtors is the server-wide list of users whose Hosts may have refunds to pay.
// Who is not on it has none. Every method is durable when it returns.
type Debtors interface {
	// Note puts a user on the list, anew if they are on it already.
	Note(ctx context.Context, user string) error
	// Debtors returns the list, in the order of the notes.
	Debtors(ctx context.Context) ([]Debtor, error)
	// Strike takes a user off the list, unless they were noted anew since.
	Strike(ctx context.Context, d Debtor) error
}

// Debtor is one note of a user.
type Debtor struct {
	Seq  int64 // no two notes have the same
	User string
}

// Signer is a wallet that pays refunds.
type Signer interface {
	Address() x402.Address
	SignAuthorization(ctx context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error)
}

// ErrNoWallet means that the server does not hold the wallet of a Host, so that
// its owner has to pay what is owed by other means.
var ErrNoWallet = errors.New("the host's wallet is not held by this server")

// Reasons for which a refund is owed still, besides insufficient_funds; they are
// this project's own.
const (
	ReasonNoWallet    x402.Reason = "wallet_not_held"
	ReasonUnavailable x402.Reason = "payments_unavailable"
	ReasonNotFinal    x402.Reason = "payment_not_final" // the chain could still take the payment back
)

// Owe runs change, which makes refunds in a user's Host, so that whatever
// happens they are found and paid: the user is noted as a debtor before. cleared
// is what [Refunds] wants of who makes a refund. change is run again when it
// fails with [ErrCleared].
func (c *Cashier) Owe(ctx context.Context, user string, change func(ctx context.Context, cleared int64) error) error {
	ledger, done, err := c.Ledger(ctx, user)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer done()
	for attempt := 1; ; attempt++ {
		cleared, err := ledger.Cleared(ctx)
		if err != nil {
			return err
		}
		if err := c.Debtors.Note(ctx, user); err != nil {
			return fmt.Errorf("note a debtor: %w", err)
		}
		crashpoint.Hit(crashpoint.RefundNoted)
		err = change(ctx, cleared)
		if err == nil {
			crashpoint.Hit(crashpoint.RefundOwed)
		}
		if attempt == 3 || !errors.Is(err, ErrCleared) {
			return err
		}
	}
}

// Refund pays the refund of a payment, or goes on with it. The refund it
// returns says what came of it: settled, settling (nobody knows yet), or owed
// for its Reason; in the last two cases [Cashier.Reconcile] sees to the rest. It
// goes on when ctx ends, and answers when the caller's patience does. Errors:
// [ErrNoPayment] if there is no refund.
func (c *Cashier) Refund(ctx context.Context, user, paymentID string) (Payment, error) {
	f, _, err := c.flyRefund(ctx, user, paymentID)
	if err != nil {
		return Payment{}, err
	}
	patience := c.patience(ctx)
	defer patience.Stop()
	return f.wait(ctx, f.fingerprint, patience.C)
}

func (c *Cashier) flyRefund(ctx context.Context, user, paymentID string) (*flight, bool, error) {
	return c.fly(ctx, flightKey{refund: paymentID}, Claim{User: user, PaymentID: paymentID},
		func(ctx context.Context, l Ledger, f *flight) (Payment, error) {
			ctx, span := tracing.Start(ctx, "refund")
			defer span.End()
			span.Set("concierge.payment", paymentID)
			refund, err := c.refund(ctx, l, f, user, paymentID)
			tell(span, refund, err)
			return refund, err
		})
}

// refund is the way of a refund: sign, settle.
func (c *Cashier) refund(ctx context.Context, ledger Ledger, f *flight, user, id string) (Payment, error) {
	r, err := ledger.Refund(ctx, id)
	if err != nil || !r.Open {
		return r, err
	}
	f.hold(r)
	if r.State == Settling {
		r = c.pursue(ctx, refundBooks{ledger, r.Nonce}, r)
	}
	var reason x402.Reason
	if r.State == Owed {
		paid, err := ledger.Payment(ctx, id)
		if err != nil {
			return r, err
		}
		if reason, err = uncertain(ctx, ledger); err != nil {
			return r, err
		}
		switch {
		case reason != "":
		case paid.Open:
			reason = ReasonNotFinal
		default:
			r, reason = c.sign(ctx, ledger, f, user, r)
		}
	}
	if !r.Open {
		return r, nil
	}
	postponed, err := ledger.Postpone(context.WithoutCancel(ctx), id, reason, c.retryAt(r))
	if err != nil {
		c.Log.Warn("a refund could not be postponed", "payment", id, "err", err)
		return r, nil
	}
	return postponed, nil
}

// retryAt is when to look at an open refund again. One that is owed waits as
// long as it has waited already, within bounds.
func (c *Cashier) retryAt(r Payment) time.Time {
	now := c.Now().UTC()
	if r.State == Settling {
		return now.Add(handover)
	}
	return now.Add(min(max(now.Sub(r.CreatedAt), handover), longestWait))
}

// longestWait is the longest pause between two attempts to pay what is owed.
const longestWait = 15 * time.Minute

// sign has the Host's wallet sign an owed refund, records that, and submits it.
// A refund that is owed still is so for reason.
func (c *Cashier) sign(ctx context.Context, ledger Ledger, f *flight, user string, r Payment) (_ Payment, reason x402.Reason) {
	signed, err := c.authorize(ctx, user, r)
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		c.Log.Warn("a refund stays owed", "user", user, "payment", r.ID, "reason", refused.Reason)
		return r, refused.Reason
	case err != nil:
		c.Log.Warn("a refund stays owed", "user", user, "payment", r.ID, "err", err)
		return r, ReasonUnavailable
	}
	recorded, err := ledger.Sign(ctx, signed)
	if err != nil {
		c.Log.Error("a refund's authorization could not be recorded", "user", user, "payment", r.ID, "err", err)
		return r, ReasonUnavailable // if it is recorded after all, it is expired before the next
	}
	f.hold(recorded)
	if recorded.State != Settling || recorded.Nonce != signed.Nonce {
		return recorded, "" // another process was faster
	}
	crashpoint.Hit(crashpoint.RefundSigned)
	return c.resubmit(ctx, refundBooks{ledger, recorded.Nonce}, recorded), ""
}

// authorize returns an owed refund as the Host's wallet has signed it. Errors:
// [*Refused] when the wallet can't pay.
func (c *Cashier) authorize(ctx context.Context, user string, r Payment) (Payment, error) {
	// A wallet that is kept elsewhere may take longer than one question.
	ctx, cancel := context.WithTimeout(ctx, 3*askTimeout)
	defer cancel()
	if c.Wallet == nil {
		return r, refuse(ReasonNoWallet, "%v", ErrNoWallet)
	}
	wallet, err := c.Wallet(ctx, user)
	switch {
	case errors.Is(err, ErrNoWallet):
		return r, refuse(ReasonNoWallet, "%v", err)
	case err != nil:
		return r, err
	}
	balance, err := c.Chain.Balance(ctx, r.Asset, wallet.Address())
	if err != nil {
		return r, err
	}
	if need := r.Amount.Uint256(); balance.Lt(&need.Int) {
		return r, refuse(x402.ReasonInsufficientFunds, "the host's balance is too low")
	}
	head, err := c.Chain.Head(ctx)
	if err != nil {
		return r, err
	}
	r.State, r.Payer, r.Since = Settling, wallet.Address(), sinceOf(head)
	r.ValidAfter, r.ValidBefore = window(c.Now(), head.Time)
	if _, err := io.ReadFull(c.Rand, r.Nonce[:]); err != nil {
		return r, fmt.Errorf("nonce: %w", err)
	}
	p, required := c.rebuild(r)
	r.Signature, err = wallet.SignAuthorization(ctx, required, p.Payload.Authorization)
	return r, err
}

// window is one that is open now both by our clock and the chain's, and closes
// soon by both: what is not used then may be signed anew.
func window(now, chain time.Time) (after, before time.Time) {
	early, late := now, chain
	if late.Before(early) {
		early, late = late, early
	}
	return early.Add(-10 * time.Minute).Truncate(time.Second).UTC(), late.Add(timeoutSeconds * time.Second).Truncate(time.Second).UTC()
}

// refundBooks are the books of one refund's authorization.
type refundBooks struct {
	ledger Ledger
	nonce  x402.Bytes32
}

// Confirm leaves a refund settling until its transfer is final: there is no way
// back from settled.
func (b refundBooks) Confirm(ctx context.Context, id string, s Settlement) (Payment, error) {
	crashpoint.Hit(crashpoint.RefundFound)
	if !s.Final {
		return b.ledger.Refund(ctx, id)
	}
	r, err := b.ledger.ConfirmRefund(ctx, id, s.Transaction)
	if err == nil {
		crashpoint.Hit(crashpoint.RefundBooked)
	}
	return r, err
}

func (b refundBooks) Fail(ctx context.Context, id string, reason x402.Reason, final bool) (Payment, error) {
	return b.ledger.FailRefund(ctx, id, b.nonce, reason, final)
}

// sinceOf is the block from which the use of a nonce is looked for that nobody
// knew before head.
func sinceOf(head evm.Head) uint64 { return head.Number - min(head.Number, reorgDepth) }
