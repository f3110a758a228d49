package payments

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

var (
	// ErrAlreadyUsed means that the authorization is spoken for: by another
	// booking, another Host, or a transfer that the chain had already seen.
	ErrAlreadyUsed = errors.New("this payment is already used")
	// ErrUnavailable means that the chain or the facilitator is out of reach and
	// nothing was charged, nor will be; the same payment may be sent again.
	ErrUnavailable = errors.New("payments are unavailable")
	// ErrUndecided means that nobody can say yet what becomes of the payment: it
	// may still be taken. The same call may be repeated, but nothing may be paid
	// anew.
	ErrUndecided = errors.New("what becomes of this payment is not known yet")
)

// errGone means that a claim has been released: its payment is as good as new.
var errGone = errors.New("the claim is gone")

// Chain tells what became of an authorization, who signed it, and who can pay;
// [evm.Client] is one.
type Chain interface {
	Head(ctx context.Context) (evm.Head, error)
	Balance(ctx context.Context, token, owner x402.Address) (x402.Uint256, error)
	Authorization(ctx context.Context, t evm.Transfer, since uint64) (evm.Outcome, error)
	Await(ctx context.Context, tx common.Hash, t evm.Transfer, since uint64) (evm.Outcome, error)
	Signed(ctx context.Context, by x402.Address, digest common.Hash, sig x402.Signature) error
	// For books that were restored:
	Final(ctx context.Context) (evm.Head, error)
	BlockAt(ctx context.Context, t time.Time) (uint64, error)
	Movements(ctx context.Context, token, account x402.Address, from, to uint64) ([]evm.Movement, error)
}

// Config is what a [Cashier] needs. Fields without a default must be set.
type Config struct {
	Network     x402.Network
	Asset       x402.Address
	Domain      x402.Domain // of the asset
	Facilitator Facilitator
	Chain       Chain
	Claims      Claims
	Debtors     Debtors
	// Ledger opens the ledger of a user's Host, and done gives it back. A payment
	// has it for as long as it is under way, whatever becomes of the caller.
	Ledger func(ctx context.Context, user string) (ledger Ledger, done func(), err error)
	// Wallet opens the wallet of a user's Host, for refunds, or says [ErrNoWallet].
	// Nil: this server holds none.
	Wallet func(ctx context.Context, user string) (Signer, error)
	Log    *slog.Logger
	// Observe, if it is there, is told of every payment, and every refund, that has come
	// into another state, as the ledger has it now. It must not wait.
	Observe func(p Payment, refund bool)

	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader
	// Patience is how long a caller waits before the answer is "pending".
	// Default 40 s: desktop clients give up at 60.
	Patience time.Duration
	// Lease is how long a claim may stand without a held payment before it
	// counts as orphaned. Default 60 s, twice what that step can take.
	Lease time.Duration
}

// Limits on the parts of a payment, so that its whole has one.
const (
	askTimeout    = 10 * time.Second // one question to the facilitator or the chain
	settleTimeout = 90 * time.Second // from the first try to "the reconciler will see"
)

// Cashier sells bookings for x402 payments. Safe for concurrent use by any
// number of Hosts. Close it to wait for what is under way.
type Cashier struct {
	Config
	mu      sync.Mutex
	flights map[flightKey]*flight
	closed  bool

	rest   rests
	stands standing
	trails trails
}

// New returns a Cashier.
func New(c Config) *Cashier {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Patience == 0 {
		c.Patience = 40 * time.Second
	}
	if c.Lease == 0 {
		c.Lease = time.Minute
	}
	return &Cashier{Config: c, flights: map[flightKey]*flight{}}
}

// Order is a booking with its price, on one Host.
type Order struct {
	User     string       // whose Host sells
	PayTo    x402.Address // that Host's wallet
	Amount   x402.Amount  // for all seats, above 0
	Resource x402.Resource
	Booking  Booking
}

// Quote returns what to ask a payer for. It promises nothing: seats are held
// when the payment comes.
func (c *Cashier) Quote(o Order) x402.PaymentRequired {
	return x402.PaymentRequired{
		X402Version: 2,
		Error:       "Payment required to book",
		Resource:    o.Resource,
		Accepts:     []x402.Requirements{c.requirements(o.PayTo, o.Amount)},
		Extensions:  extensions(nil),
	}
}

func (c *Cashier) requirements(payTo x402.Address, amount x402.Amount) x402.Requirements {
	return x402.Requirements{Scheme: x402.SchemeExact, Network: c.Network, Amount: amount.Uint256(), Asset: c.Asset,
		PayTo: payTo, MaxTimeoutSeconds: timeoutSeconds, Extra: c.Domain}
}

// Receipt returns what a payer is told of a payment's settlement.
func Receipt(p Payment) x402.SettleResponse {
	r := x402.SettleResponse{Success: p.State == Settled, Payer: p.Payer.String(),
		Network: p.Network.Name(p.X402Version), Amount: p.Amount.String()}
	if p.Transaction != (x402.Bytes32{}) {
		r.Transaction = p.Transaction.String()
	}
	switch p.State {
	case Settling:
		r.ErrorReason = x402.ReasonSettlementPending
	case Failed, Owed:
		r.ErrorReason = p.Reason
	}
	return r
}

// Repeat answers a payment that was seen before: the same payment for the same
// booking, under the same identifier if it has one, gets the same answer; for
// anything else it is [ErrAlreadyUsed]. ok is false for a payment that is new,
// which is [ErrConflict] if its identifier is not. Ask it before anything that
// the first call may have changed, such as the seats that are left.
func (c *Cashier) Repeat(ctx context.Context, user string, b Booking, p x402.Payment) (payment Payment, ok bool, err error) {
	if p.Network != c.Network {
		return Payment{}, false, nil
	}
	standing, claimed, err := c.Claims.Find(ctx, c.key(p))
	if err != nil {
		return Payment{}, false, err
	}
	var conflict error
	if !claimed {
		if conflict = c.checkIdentifier(ctx, user, p); conflict == nil {
			return Payment{}, false, nil
		}
	}
	// Who can't sign the payment is told nothing of it. Pay says what is wrong.
	err = c.signed(ctx, p, c.requirements(p.Payload.Authorization.To, 0))
	switch refused := new(Refused); {
	case errors.As(err, &refused):
		return Payment{}, false, nil
	case err != nil:
		return Payment{}, true, fmt.Errorf("%w: %v", ErrUndecided, err)
	}
	if conflict != nil {
		return Payment{}, false, conflict
	}
	if standing.Fingerprint != fingerprint(user, b, p.Identifier) {
		return Payment{}, true, ErrAlreadyUsed
	}
	payment, err = c.take(ctx, standing, func(ctx context.Context, l Ledger, f *flight) (Payment, error) {
		return c.resume(ctx, l, f, standing)
	})
	switch {
	case errors.Is(err, errGone):
		return Payment{}, false, nil
	case errors.Is(err, errStopping):
		err = fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	return payment, true, err
}

// Pay takes the payment for an order. The payment it returns says what came of
// it: settled, settling (nobody knows yet; never ask for money again), failed,
// or owed. Errors: [*Refused], [ErrAlreadyUsed], [ErrConflict], [ErrUnavailable], and the
// ledger's own reasons not to sell; after any of them nothing is charged. Any
// other, [ErrUndecided] among them, leaves that open.
//
// Once the payment is claimed, it goes on when ctx ends. Ask [Cashier.Repeat]
// first.
func (c *Cashier) Pay(ctx context.Context, o Order, p x402.Payment) (Payment, error) {
	if err := ctx.Err(); err != nil {
		return Payment{}, err
	}
	if o.Amount <= 0 {
		return Payment{}, fmt.Errorf("take a payment: the price is %s", o.Amount)
	}
	quote := c.Quote(o)
	if err := check(p, quote, c.Now()); err != nil {
		return Payment{}, err
	}
	// Nobody may claim what another could have signed.
	if err := c.signed(ctx, p, quote.Accepts[0]); err != nil {
		return Payment{}, err
	}
	id, err := c.newID("pay_")
	if err != nil {
		return Payment{}, err
	}
	claim := Claim{ClaimKey: c.key(p), User: o.User, PaymentID: id, Identifier: p.Identifier,
		Fingerprint: fingerprint(o.User, o.Booking, p.Identifier)}
	payment, err := c.take(ctx, claim, func(ctx context.Context, l Ledger, f *flight) (Payment, error) {
		ctx, span := tracing.Start(ctx, "payment")
		defer span.End()
		span.Set("concierge.payment", claim.PaymentID)
		span.Set("concierge.payer", claim.Payer.String())
		payment, err := c.sell(ctx, l, f, claim, o, p, quote.Accepts[0])
		c.trails.done(payment, claim.PaymentID, err)
		tell(span, payment, err)
		return payment, err
	})
	if errors.Is(err, errStopping) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return payment, err
}

func (c *Cashier) key(p x402.Payment) ClaimKey {
	return ClaimKey{Network: c.Network, Asset: c.Asset, Payer: p.Payload.Authorization.From, Nonce: p.Payload.Authorization.Nonce}
}

// newID returns a prefix, the time and 128 random bits.
func (c *Cashier) newID(prefix string) (string, error) { return NewID(prefix, c.Now(), c.Rand) }

// NewID returns a prefix, the time to the millisecond and 128 random bits, in
// hex. What is made at a time is in one place of an index, of which each commit
// then writes few pages.
func NewID(prefix string, now time.Time, random io.Reader) (string, error) {
	var id [8 + 16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli()))
	if _, err := io.ReadFull(random, id[8:]); err != nil {
		return "", fmt.Errorf("%sid: %w", prefix, err)
	}
	return prefix + hex.EncodeToString(id[2:]), nil // for ten thousand years
}
