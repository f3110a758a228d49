package payments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Restore is what a [Ledger] knows of having been put back to an earlier time.
type Restore struct {
	To     time.Time    // from when its books are
	At     time.Time    // when they were put back
	Wallet x402.Address // that its payers pay, and refunds come from
	Next   uint64       // the first block that was not looked at; 0: none was
	Looked bool         // whatever was sent from the wallet before is known
	Over   bool         // nothing of before can come any more
}

// Found is a transfer from or to the wallet of a restored ledger.
type Found struct {
	evm.Movement
	Network x402.Network
	Amount  x402.Amount
	// Of one to the wallet that is in nobody's books: what it is to be booked as.
	PaymentID, RSVPID string
}

// Held is a payment that is open, with what it is for.
type Held struct {
	Payment
	Booking Booking
}

// Restores are the part of a [Ledger] about books that were put back to an earlier
// time, as from a backup. What was paid since is not in them, but on the chain.
type Restores interface {
	// Restored returns the last restore that is not over; ok is false if there is
	// none.
	Restored(ctx context.Context) (r Restore, ok bool, err error)
	// Held returns the payments that are open.
	Held(ctx context.Context) ([]Held, error)
	// Accounted reports whether there is a payment with this authorization, other
	// than one that was closed without it.
	Accounted(ctx context.Context, key ClaimKey) (bool, error)
	// Recover records what was found on the chain up to before r.Next, and r. Money
	// that came is owed back. What was sent is the refund of the payment that it can
	// only be for; what can be for several stays a stray, and is taken for the first
	// refund of one of these that is to be paid. Errors: [ErrAbandoned].
	Recover(ctx context.Context, r Restore, found []Found) error
}

// ReasonRestored is why a refund is owed still: the books were put back to an
// earlier time, and it may have been paid since.
const ReasonRestored x402.Reason = "books_restored"

const (
	// clockSlack is how far the clocks of the chain and of a server may be apart.
	clockSlack = time.Hour
	// refundsOut is how long after a restore a refund that was signed before it may
	// still be submitted: as long as its authorization lives.
	refundsOut = timeoutSeconds*time.Second + expiryGrace
	// paymentsOut is the same for payments.
	paymentsOut = farthestWindow + clockSlack
	// lookRange is how many blocks are looked at in one step.
	lookRange = 10_000
)

// lookBack goes on looking at the chain for what a ledger that was restored does
// not know: once what is final now has been looked at it returns.
func (c *Cashier) lookBack(ctx context.Context, ledger Ledger, user string) error {
	r, restored, err := ledger.Restored(ctx)
	if err != nil || !restored {
		return err
	}
	if r.Next == 0 {
		if err := c.begin(ctx, ledger, user, &r); err != nil {
			return fmt.Errorf("books that were restored: %w", err)
		}
	}
	final, err := c.Chain.Final(ctx)
	for err == nil && r.Next <= final.Number {
		to := min(r.Next+lookRange-1, final.Number)
		if to == final.Number {
			r.Looked = r.Looked || final.Time.After(r.At.Add(refundsOut))
			r.Over = final.Time.After(r.At.Add(paymentsOut))
		}
		err = c.look(ctx, ledger, user, r, to)
		r.Next = to + 1
	}
	if err != nil {
		return fmt.Errorf("look at the chain for what restored books do not know: %w", err)
	}
	return nil
}

// begin finds the block to begin with, and sees to it that all open payments are
// claimed: the claims may be those of another moment.
func (c *Cashier) begin(ctx context.Context, ledger Ledger, user string, r *Restore) error {
	held, err := ledger.Held(ctx)
	if err != nil {
		return err
	}
	for _, h := range held {
		claim := Claim{ClaimKey: ClaimKey{Network: h.Network, Asset: h.Asset, Payer: h.Payer, Nonce: h.Nonce},
			User: user, PaymentID: h.ID, Fingerprint: fingerprint(user, h.Booking, ""), ClaimedAt: h.CreatedAt}
		if err := c.Claims.Reopen(ctx, claim); err != nil {
			return err
		}
	}
	head, err := c.Chain.Head(ctx)
	if err != nil {
		return err
	}
	if r.At.Before(head.Time) { // by either clock, what was signed before the restore was so by then
		r.At = head.Time
	}
	block, err := c.Chain.BlockAt(ctx, r.To.Add(-clockSlack))
	r.Next = max(1, block)
	return err
}

// look looks at the blocks from r.Next to to, and records what they have.
func (c *Cashier) look(ctx context.Context, ledger Ledger, user string, r Restore, to uint64) error {
	moves, err := c.Chain.Movements(ctx, c.Asset, r.Wallet, r.Next, to)
	if err != nil {
		return err
	}
	var all []Found
	for _, m := range moves {
		f, ok, err := c.found(ctx, ledger, user, r, m)
		if err != nil {
			return err
		}
		if ok {
			all = append(all, f)
		}
	}
	r.Next = to + 1
	return ledger.Recover(ctx, r, all)
}

// found returns what a movement is to be recorded as; ok is false if the books
// have it, or those of another Host. A payment that nobody knows is claimed before
// it is booked: then its authorization stays used, here and at every Host.
func (c *Cashier) found(ctx context.Context, ledger Ledger, user string, r Restore, m evm.Movement) (f Found, ok bool, err error) {
	f.Movement, f.Network = m, c.Network
	if f.Amount, err = m.Value.Amount(); err != nil || m.From == m.To {
		return f, false, nil // nothing that was ever asked for
	}
	if m.From == r.Wallet {
		return f, true, nil
	}
	key := ClaimKey{Network: c.Network, Asset: m.Token, Payer: m.From, Nonce: m.Nonce}
	if known, err := ledger.Accounted(ctx, key); err != nil || known {
		return f, false, err
	}
	claim, claimed, err := c.Claims.Find(ctx, key)
	if err == nil && !claimed {
		claim, err = c.claimFound(ctx, user, key)
	}
	if err != nil || claim.User != user {
		return f, false, err
	}
	f.PaymentID = claim.PaymentID
	f.RSVPID, err = c.newID("rsvp_")
	return f, true, err
}

// claimFound claims a payment of which nothing is left but its transfer. Whoever
// sends it again does so for another thing, whatever it is: nobody knows for what
// it was.
func (c *Cashier) claimFound(ctx context.Context, user string, key ClaimKey) (Claim, error) {
	claim := Claim{ClaimKey: key, User: user, ClaimedAt: c.Now().UTC()}
	if _, err := io.ReadFull(c.Rand, claim.Fingerprint[:]); err != nil {
		return Claim{}, err
	}
	var err error
	if claim.PaymentID, err = c.newID("pay_"); err != nil {
		return Claim{}, err
	}
	standing, _, err := c.Claims.Claim(ctx, claim)
	return standing, err
}

// uncertain returns why a refund must not be paid now, if that is so.
func uncertain(ctx context.Context, ledger Ledger) (x402.Reason, error) {
	r, restored, err := ledger.Restored(ctx)
	if err == nil && restored && !r.Looked {
		return ReasonRestored, nil
	}
	return "", err
}

// errLooking is about a claim without a payment, whose payment may have been lost.
var errLooking = errors.New("the host's books were restored from a backup, and the chain is being looked at; repeat this call in some minutes")
