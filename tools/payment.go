package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/x402"
)

// RSVP is [Host.RSVPToEvent] with the payment taken from wherever a client may
// put it: meta is what is in `_meta["x402/payment"]`, or nil, and header returns
// an HTTP header. It notes in c who paid and the receipt.
func (c *Call) RSVP(ctx context.Context, in RSVPInput, meta any, header func(string) string) (RSVP, error) {
	payment, err := paymentIn(meta, header)
	if err != nil {
		return RSVP{}, &Error{Code: CodePaymentInvalid, cause: err,
			Message: fmt.Sprintf("The payment can't be read (%v). Nothing was charged; send an x402 payment of version 1 or 2.", err)}
	}
	if payment != nil {
		c.Payer = payment.Payload.Authorization.From.String()
	}
	out, receipt, err := c.Host.RSVPToEvent(ctx, in, payment)
	c.Receipt = receipt
	return out, err
}

// paymentIn finds the payment of a call, if there is one. Two that differ are
// refused: nobody can say which was meant. Of two forms of one, the one with an
// identifier counts.
func paymentIn(meta any, header func(string) string) (*x402.Payment, error) {
	var found *x402.Payment
	add := func(p x402.Payment, err error) error {
		if err != nil {
			return err
		}
		if found != nil && (found.Payload.Authorization != p.Payload.Authorization ||
			found.Identifier != "" && p.Identifier != "" && found.Identifier != p.Identifier) {
			return errors.New("there are two different payments")
		}
		if found == nil || found.Identifier == "" {
			found = &p
		}
		return nil
	}
	if meta != nil {
		raw, err := json.Marshal(meta)
		if err != nil {
			return nil, err
		}
		if err := add(x402.DecodeMeta(raw)); err != nil {
			return nil, fmt.Errorf("_meta[%q]: %w", x402.MetaPayment, err)
		}
	}
	for _, name := range []string{x402.HeaderPaymentV2, x402.HeaderPaymentV1} {
		value := header(name)
		if value == "" {
			continue
		}
		p, err := x402.DecodeHeader(value)
		if err == nil && name == x402.HeaderPaymentV2 && p.Version != 2 {
			err = fmt.Errorf("%w: %d in the header of version 2", x402.ErrVersion, p.Version)
		}
		if err := add(p, err); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return found, nil
}
