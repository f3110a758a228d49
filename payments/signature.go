package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// signed makes sure that the payer signed a payment. An ordinary account's
// signature is judged here. Of every other the chain is asked, for it may be a
// smart wallet's. Errors: [*Refused], [ErrUnavailable].
func (c *Cashier) signed(ctx context.Context, p x402.Payment, r x402.Requirements) error {
	domain, err := evm.DomainOf(r)
	if err != nil {
		return err
	}
	a, sig := p.Payload.Authorization, p.Payload.Signature
	digest := domain.Digest(a)
	signer, flaw := evm.Recover(digest, sig)
	if flaw == nil && signer == a.From {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = c.Chain.Signed(ctx, a.From, digest, sig)
	if err != nil && !errors.Is(err, evm.ErrSignature) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil && flaw != nil && len(sig) == 65 {
		err = flaw // says more to who has an ordinary account
	}
	return unsigned(err, a.From)
}

// signedByKey reports whether a payment is signed by the payer's own key. What it
// does is then the token's doing alone; a smart wallet may do one thing when it
// is asked, and another in a block.
func signedByKey(p x402.Payment, r x402.Requirements) bool {
	domain, err := evm.DomainOf(r)
	if err != nil {
		return false
	}
	signer, err := evm.Recover(domain.Digest(p.Payload.Authorization), p.Payload.Signature)
	return err == nil && signer == p.Payload.Authorization.From
}

// unsigned makes the word that payer has not signed a refusal.
func unsigned(err error, payer x402.Address) error {
	switch {
	case errors.Is(err, evm.ErrFactory):
		return refuse(x402.ReasonFactory, "the payer's wallet is not deployed, and its factory is not one that is called here; deploy the wallet first")
	case errors.Is(err, evm.ErrSignature):
		return refuse(x402.ReasonSignature, "it is not signed by %s in the token's EIP-712 domain: %v", payer, err)
	}
	return err
}
