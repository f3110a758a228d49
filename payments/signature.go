package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// ordinary reports whether a payment has the signature of its payer as an
// ordinary account, which needs nobody else to judge.
func ordinary(p x402.Payment, r x402.Requirements) bool {
	domain, err := evm.DomainOf(r)
	return err == nil && evm.SignedBy(p.Payload.Authorization.From, domain.Digest(p.Payload.Authorization), p.Payload.Signature)
}

// signed makes sure that the payer signed a payment. An ordinary account's
// signature is judged here. Of every other the chain is asked, for it may be a
// smart wallet's. Errors: [*Refused], [ErrUnavailable].
func (c *Cashier) signed(ctx context.Context, p x402.Payment, r x402.Requirements) error {
	if ordinary(p, r) {
		return nil
	}
	domain, err := evm.DomainOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a := p.Payload.Authorization
	err = unsigned(c.Chain.Signed(ctx, a.From, domain.Digest(a), p.Payload.Signature), a.From)
	if refused := new(Refused); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// unsigned turns the word that payer has not signed into a refusal.
func unsigned(err error, payer x402.Address) error {
	switch {
	case errors.Is(err, evm.ErrFactory):
		return refuse(x402.ReasonFactory, "the payer's wallet is not deployed, and its factory is not one that is called here; deploy the wallet first")
	case errors.Is(err, evm.ErrSignature):
		return refuse(x402.ReasonSignature, "it is not signed by %s in the token's EIP-712 domain", payer)
	case err != nil:
		return fmt.Errorf("check a signature: %w", err)
	}
	return nil
}
