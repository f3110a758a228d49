package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/x402"
)

// ErrConflict means that the payer has given the payment an identifier that
// another payment of theirs has, on the same Host. Nothing was claimed.
var ErrConflict = errors.New("this payment's identifier is another payment's")

// extensions returns what a quote says of x402's extensions; offer is nil where
// nobody signs it.
func extensions(offer json.RawMessage) json.RawMessage {
	all := map[string]json.RawMessage{x402.ExtensionIdentifier: x402.IdentifierExtension()}
	if offer != nil {
		all[x402.ExtensionOfferReceipt] = offer
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err) // both are JSON of package x402
	}
	return raw
}

// checkIdentifier finds out early, and without holding anything, that a new payment
// has the identifier of another: also when its booking can't be had any more
// because that one has it. Errors: [ErrConflict].
func (c *Cashier) checkIdentifier(ctx context.Context, user string, p x402.Payment) error {
	if p.Identifier == "" {
		return nil
	}
	standing, named, err := c.Claims.Identified(ctx, user, p.Payload.Authorization.From, p.Identifier)
	if err != nil || !named || standing.ClaimKey == c.key(p) { // a copy of this call is at it by now
		return err
	}
	ledger, release, err := c.Ledger(ctx, user)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer release()
	if err = conflict(ctx, ledger, standing); errors.Is(err, errGone) {
		return nil
	}
	return err
}

// takeIdentifier makes an identifier free that has a payment which came to nothing:
// its payer has been asked to pay anew, and may call that the same thing. The
// claim is then as good as gone ([errGone]). Errors: [ErrConflict].
func (c *Cashier) takeIdentifier(ctx context.Context, ledger Ledger, standing Claim) error {
	err := conflict(ctx, ledger, standing)
	if !errors.Is(err, errGone) {
		return err
	}
	if err := c.Claims.FreeIdentifier(ctx, standing.PaymentID); err != nil {
		return fmt.Errorf("free an identifier: %w", err)
	}
	return errGone
}

// conflict is [ErrConflict], or [errGone] if the payment that stands has failed.
// One that is not held yet may still be.
func conflict(ctx context.Context, ledger Ledger, standing Claim) error {
	payment, err := ledger.Payment(ctx, standing.PaymentID)
	switch {
	case err == nil && payment.State == Failed:
		return errGone
	case err != nil && !errors.Is(err, ErrNoPayment):
		return err
	}
	return ErrConflict
}
