package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/x402"
)

// RSVP is [Host.RSVPToEvent] with the payment taken from wherever a client may
// put it: the `_meta` of the call, or an HTTP header, whose values header
// returns. It notes in c who paid and the receipt.
func (c *Call) RSVP(ctx context.Context, in RSVPInput, header func(string) []string) (RSVP, error) {
	c.about(in)
	payment, err := paymentIn(metaPayments(c.message), header)
	if err != nil {
		return RSVP{}, c.Host.unreadable(ctx, in, err)
	}
	switch {
	case payment != nil:
		a := payment.Payload.Authorization
		c.Payer, c.Amount = a.From.String(), a.Value.String()
	case c.Spent != nil:
		return RSVP{}, c.Spent
	}
	out, receipt, err := c.Host.RSVPToEvent(ctx, in, payment)
	c.Receipt = receipt
	return out, err
}

// metaPayments returns what a JSON-RPC message has in `_meta["x402/payment"]`,
// to the letter: of a member that is there twice, both.
func metaPayments(message json.RawMessage) []json.RawMessage {
	// Most messages have none, and need not be read for that. A name is known in upper
	// case as well, and written with escapes.
	if !bytes.Contains(message, []byte("402/")) && !bytes.ContainsRune(message, '\\') {
		return nil
	}
	var m struct {
		Params struct {
			Meta struct {
				Payments each `json:"x402/payment"` // [x402.MetaPayment]
			} `json:"_meta"`
		} `json:"params"`
	}
	_ = json.Unmarshal(message, &m) // what is no call has no payment
	return m.Params.Meta.Payments
}

// each keeps every value of a member.
type each []json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (e *each) UnmarshalJSON(raw []byte) error {
	if string(raw) != "null" {
		*e = append(*e, bytes.Clone(raw))
	}
	return nil
}

// paymentIn finds the payment of a call, if there is one. Two that differ are
// refused: nobody can say which was meant. Of two forms of one, the one with an
// identifier counts.
func paymentIn(meta []json.RawMessage, header func(string) []string) (*x402.Payment, error) {
	var found *x402.Payment
	add := func(place string, p x402.Payment, err error) error {
		if err == nil && found != nil && (found.Payload.Authorization != p.Payload.Authorization ||
			found.Identifier != "" && p.Identifier != "" && found.Identifier != p.Identifier) {
			err = errors.New("there are two different payments")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		if found == nil || found.Identifier == "" {
			found = &p
		}
		return nil
	}
	for _, raw := range meta {
		p, err := x402.DecodeMeta(raw)
		if err := add(fmt.Sprintf("_meta[%q]", x402.MetaPayment), p, err); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{x402.HeaderPaymentV2, x402.HeaderPaymentV1} {
		for _, value := range header(name) {
			if value == "" {
				continue
			}
			p, err := x402.DecodeHeader(value)
			if err == nil && name == x402.HeaderPaymentV2 && p.Version != 2 {
				err = fmt.Errorf("%w: %d in the header of version 2", x402.ErrVersion, p.Version)
			}
			if err := add(name, p, err); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}
