package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/tracing"
	"github.com/events-concierge/concierge/payments/x402"
)

// Facilitator verifies and submits payments, in x402's sense.
type Facilitator interface {
	// Verify says whether the payment would settle now. An error means that it
	// could not be found out.
	Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error)
	// Settle submits the payment. Success is worth a look at the chain,
	// [x402.ReasonSettlementPending] means that the transaction is on its way,
	// any other reason that it failed. An error leaves open whether money moves,
	// unless it wraps [ErrNotSettled].
	Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error)
}

// ErrNotSettled is wrapped by an error of Settle after which this facilitator
// has certainly not let the authorization out of its hands.
var ErrNotSettled = errors.New("not submitted")

// Local is a facilitator in this process: it asks a chain itself and pays for
// the gas with an account of its own.
type Local struct {
	client *evm.Client
	sender *evm.Sender
	assets []x402.Address
	now    func() time.Time
	log    *slog.Logger
}

// NewLocal returns the facilitator that settles transfers of these assets, and
// of no others, through client, with sender paying the gas.
func NewLocal(client *evm.Client, sender *evm.Sender, assets []x402.Address, now func() time.Time, log *slog.Logger) *Local {
	return &Local{client: client, sender: sender, assets: assets, now: now, log: log}
}

// Verify implements [Facilitator]. The last word has a simulation of the very
// calls that would settle, against the newest block: it covers the signature,
// the balance, the nonce and whatever else the token minds.
func (l *Local) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	a := p.Payload.Authorization
	answer := x402.VerifyResponse{Payer: a.From.String()}
	calls, err := l.pack(ctx, p, r)
	if err == nil {
		err = l.simulate(ctx, calls)
	}
	var refused *Refused
	if errors.As(err, &refused) {
		answer.InvalidReason = refused.Reason
		return answer, nil
	}
	answer.IsValid = err == nil
	return answer, err
}

// Settle implements [Facilitator]. It returns when the transaction is
// submitted, and does not wait for a block. Payments that are settled at the
// same time share a transaction; see [evm.Sender].
func (l *Local) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	a := p.Payload.Authorization
	answer := x402.SettleResponse{Payer: a.From.String(), Network: r.Network.Name(p.Version), Amount: r.Amount.String()}
	calls, err := l.pack(ctx, p, r)
	if err == nil && len(calls) > 1 { // those of one call the sender asks about
		err = l.simulate(ctx, calls)
	}
	var refused *Refused
	if errors.As(err, &refused) {
		answer.ErrorReason = refused.Reason
		return answer, nil
	}
	if err != nil {
		return answer, fmt.Errorf("%w: %w", ErrNotSettled, err)
	}
	all, err := l.client.Bundle(calls...)
	if err != nil {
		return answer, fmt.Errorf("%w: %w", ErrNotSettled, err)
	}
	ctx, span := tracing.Start(ctx, "send to the chain")
	hash, err := l.sender.Send(ctx, all)
	if span.Set("concierge.transaction", hash.Hex()); err != nil {
		span.Fail("not_sent")
	}
	span.End()
	switch {
	case errors.Is(err, evm.ErrReverted): // since it was verified
		answer.ErrorReason = revertReason(err)
		return answer, nil
	case errors.Is(err, evm.ErrNotSent):
		return answer, fmt.Errorf("%w: %w", ErrNotSettled, err)
	case err != nil: // the node may have it all the same: who waits for it will see
		l.log.Warn("settlement perhaps submitted", "tx", hash, "payer", a.From, "err", err)
	default:
		l.log.Debug("settlement submitted", "tx", hash, "payer", a.From)
	}
	answer.Transaction, answer.ErrorReason = hash.Hex(), x402.ReasonSettlementPending
	return answer, nil
}

// pack checks a payment as [check] does and returns the calls that settle it.
func (l *Local) pack(ctx context.Context, p x402.Payment, r x402.Requirements) ([]evm.Call, error) {
	if id, err := r.Network.ChainID(); err != nil || id != l.client.ChainID() {
		return nil, refuse(x402.ReasonNetwork, "this facilitator settles on %s", x402.EVM(l.client.ChainID()))
	}
	if r.Scheme != x402.SchemeExact || p.Scheme != x402.SchemeExact {
		return nil, refuse(x402.ReasonScheme, "this facilitator settles scheme %q", x402.SchemeExact)
	}
	if !slices.Contains(l.assets, r.Asset) {
		return nil, refuse(x402.ReasonRequirements, "this facilitator settles %s", l.assets)
	}
	p.Resource = nil // what is bought is the seller's business
	if err := check(p, x402.PaymentRequired{Accepts: []x402.Requirements{r}}, l.now()); err != nil {
		return nil, err
	}
	domain, err := evm.DomainOf(r)
	if err != nil {
		return nil, err
	}
	calls, err := l.client.Settlement(ctx, domain, p.Payload.Authorization, p.Payload.Signature)
	return calls, unsigned(err, p.Payload.Authorization.From)
}

// simulate finds out whether calls would settle a payment. Errors: [*Refused].
func (l *Local) simulate(ctx context.Context, calls []evm.Call) error {
	err := l.client.Simulate(ctx, l.sender.Address(), calls...)
	if errors.Is(err, evm.ErrReverted) {
		return refuse(revertReason(err), "its transfer fails")
	}
	if err != nil {
		return fmt.Errorf("simulate the transfer: %w", err)
	}
	return nil
}

// revertReason translates the token's own words, as Circle's FiatTokenV2 has
// them.
func revertReason(err error) x402.Reason {
	for _, known := range []struct {
		text   string
		reason x402.Reason
	}{
		{"authorization is used or canceled", x402.ReasonNonceUsed},
		{"exceeds balance", x402.ReasonInsufficientFunds},
		{"authorization is not yet valid", x402.ReasonValidAfter},
		{"authorization is expired", x402.ReasonValidBefore},
		{"invalid signature", x402.ReasonSignature},
	} {
		if strings.Contains(err.Error(), known.text) {
			return known.reason
		}
	}
	return x402.ReasonSimulation
}
