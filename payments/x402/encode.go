package x402

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// HTTP header names, and keys of MCP's `_meta`.
const (
	HeaderPaymentV1  = "X-PAYMENT"
	HeaderPaymentV2  = "PAYMENT-SIGNATURE"
	HeaderRequired   = "PAYMENT-REQUIRED"
	HeaderResponseV1 = "X-PAYMENT-RESPONSE"
	HeaderResponseV2 = "PAYMENT-RESPONSE"

	MetaPayment  = "x402/payment"
	MetaResponse = "x402/payment-response"
	MetaError    = "x402/error"
	// MetaRequired marks a tool as paid, in the dialect of Cloudflare's agents.
	MetaRequired = "agents-x402/paymentRequired"
)

// PaymentHeader returns the name of the request header that carries a payment
// of the given version.
func PaymentHeader(version int) string {
	if version == 1 {
		return HeaderPaymentV1
	}
	return HeaderPaymentV2
}

// MarshalJSON writes the payment in the shape of its version. A payment that no
// decoder would take is an error: [ErrVersion], or [ErrMissing] for a version 2
// without what it accepted.
func (p Payment) MarshalJSON() ([]byte, error) {
	if p.Version == 1 {
		return json.Marshal(struct {
			X402Version int     `json:"x402Version"`
			Scheme      string  `json:"scheme"`
			Network     string  `json:"network"`
			Payload     Payload `json:"payload"`
		}{1, p.Scheme, p.Network.Name(1), p.Payload})
	}
	if p.Version != 2 {
		return nil, fmt.Errorf("%w: %d", ErrVersion, p.Version)
	}
	if p.Accepted == nil {
		return nil, fmt.Errorf("%w: accepted", ErrMissing)
	}
	var accepted any = p.Accepted
	if p.AcceptedRaw != nil {
		accepted = p.AcceptedRaw
	}
	return json.Marshal(struct {
		X402Version int             `json:"x402Version"`
		Payload     Payload         `json:"payload"`
		Resource    *Resource       `json:"resource,omitempty"`
		Accepted    any             `json:"accepted"`
		Extensions  json.RawMessage `json:"extensions,omitempty"`
	}{p.Version, p.Payload, p.Resource, accepted, p.Extensions})
}

// UnmarshalJSON implements json.Unmarshaler with [DecodePayment].
func (p *Payment) UnmarshalJSON(raw []byte) (err error) {
	*p, err = DecodePayment(raw)
	return err
}

// Header returns v's JSON as standard base64: the value of the payment,
// payment-required and payment-response headers.
func Header(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}
