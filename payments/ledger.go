package payments

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Booking is what a payment buys: seats at one event of a Host.
type Booking struct {
	RSVPID  string // 128 random bits, made by the caller
	EventID string
	Seats   int
	Name    string
	Email   string
}

// State of a payment.
type State string

// The states; see the package comment for the ways between them.
const (
	Settling State = "settling" // seats are held; the money may or may not have moved
	Settled  State = "settled"  // the transfer is on the chain; the RSVP is confirmed
	Failed   State = "failed"   // no money moved; the seats are free again
	Owed     State = "owed"     // money moved after the seats had gone: there is a refund of it
)

// Payment is one row of a Host's ledger.
type Payment struct {
	ID     string
	RSVPID string
	State  State
	// Open is true until nothing can change any more. A failed payment stays
	// open while its authorization could still be used by whoever holds it, one
	// whose money moved while the chain could still take that back.
	Open        bool
	X402Version int
	Network     x402.Network
	Asset       x402.Address
	Payer       x402.Address
	PayTo       x402.Address
	Amount      x402.Amount
	Nonce       x402.Bytes32
	ValidAfter  time.Time
	ValidBefore time.Time
	Signature   x402.Signature // gone once the payment is no longer open
	Since       uint64         // a block before which the authorization was not used
	Transaction x402.Bytes32   // of the transfer, once it is known
	Block       uint64         // of Transaction
	Reason      x402.Reason    // why it failed
	CreatedAt   time.Time
	UpdatedAt   time.Time
	// Booked is true in what [Ledger.Confirm] returns when it has confirmed the
	// RSVP just now. It is not kept.
	Booked bool
}

// moved reports whether the money has moved, as far as the ledger knows.
func (p Payment) moved() bool { return p.State == Settled || p.State == Owed }

// Settlement is the transfer that paid.
type Settlement struct {
	Transaction x402.Bytes32
	Block       uint64 // that it is in
	Final       bool   // nothing will take it back
}

// Ledger is one Host's seats and payments. Every method is one durable
// transaction, and the methods that change a payment may be repeated: in a
// state from which they do not lead they change nothing and return the payment
// as it is.
type Ledger interface {
	Refunds
	Restores
	// Hold takes the seats of b, and records its RSVP as pending and p as
	// settling. Its errors are the Host's reasons not to sell (full, past,
	// already booked by this payer), [ErrAbandoned], and [ErrHeld] if another
	// payment has this authorization, unless that one is closed as failed.
	Hold(ctx context.Context, p Payment, b Booking) error
	// Payment returns one payment, or [ErrNoPayment].
	Payment(ctx context.Context, id string) (Payment, error)
	// Confirm records that the money of a payment moved. The RSVP of a settling
	// payment is confirmed unless its event is cancelled; a failed one gets its
	// seats back if they can still be had. Otherwise the money is owed, and there
	// is a refund of it from then on. If the settlement is final, the payment is
	// closed as well.
	Confirm(ctx context.Context, id string, s Settlement) (Payment, error)
	// Reopen records that the chain has taken back the transfer of an open
	// payment: a settled one is settling again, an owed one failed.
	Reopen(ctx context.Context, id string) (Payment, error)
	// Fail records that no money moved and frees the seats. If final, the
	// payment is closed as well: it never will.
	Fail(ctx context.Context, id string, reason x402.Reason, final bool) (Payment, error)
	// Abandon makes sure that the payment with this id, of which there is no
	// row, never gets one: a later Hold of it is [ErrAbandoned]. Errors:
	// [ErrHeld] when there is a row.
	Abandon(ctx context.Context, id string) error
}

// Errors of a [Ledger].
var (
	ErrNoPayment = errors.New("no such payment")
	ErrAbandoned = errors.New("the payment was given up before it was held")
	ErrHeld      = errors.New("the payment is held already")
)

// ClaimKey names an authorization: the chain lets it be used once.
type ClaimKey struct {
	Network x402.Network
	Asset   x402.Address
	Payer   x402.Address
	Nonce   x402.Bytes32
}

// Claim says who uses an authorization, and for what.
type Claim struct {
	ClaimKey
	User        string // whose Host
	PaymentID   string // the row in that Host's ledger, there or about to be
	Fingerprint [sha256.Size]byte
	Identifier  string // the payer's own name of the payment, "" if it has none
	ClaimedAt   time.Time
}

// Claims is the list of all authorizations that any Host of this server has
// begun to use. Every method is durable when it returns.
type Claims interface {
	// Claim records c unless its key is claimed already, or another key of the
	// same payer with the same identifier, for the same user's Host. It returns
	// the claim that stands, and whether that is c.
	Claim(ctx context.Context, c Claim) (standing Claim, won bool, err error)
	// Find returns the claim of a key, if there is one.
	Find(ctx context.Context, key ClaimKey) (Claim, bool, error)
	// Identified returns the claim of a payer on a user's Host that has this
	// identifier, if there is one.
	Identified(ctx context.Context, user string, payer x402.Address, identifier string) (Claim, bool, error)
	// FreeIdentifier takes its identifier from the claim of this payment.
	FreeIdentifier(ctx context.Context, paymentID string) error
	// Release removes a claim, if it still belongs to this payment.
	Release(ctx context.Context, key ClaimKey, paymentID string) error
	// Open returns the claims whose payments may still change, oldest first.
	Open(ctx context.Context) ([]Claim, error)
	// Reopen makes sure that c is claimed and open, unless its key is claimed by
	// another payment.
	Reopen(ctx context.Context, c Claim) error
	// Close marks the claims of these payments as no longer open. They stand
	// for good.
	Close(ctx context.Context, paymentIDs []string) error
}

// fingerprint tells whether two calls ask for the same thing by the same name.
func fingerprint(user string, b Booking, identifier string) [sha256.Size]byte {
	b.RSVPID = "" // made anew for each call
	raw, err := json.Marshal(struct {
		User       string
		Booking    Booking
		Identifier string `json:",omitempty"` // as there are claims that know of none
	}{user, b, identifier})
	if err != nil {
		panic(err) // strings and an int always marshal
	}
	return sha256.Sum256(raw)
}
