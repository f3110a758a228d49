package x402

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Limits on what is read, in bytes of JSON.
const (
	MaxPayment  = 32 << 10 // one payment: an ERC-6492 signature and an extension or two
	MaxRequired = 64 << 10 // one request for payment
	maxReceipt  = 16 << 10 // one settlement receipt
	maxAccepts  = 32       // entries in a request for payment
	maxTimeout  = 1 << 31  // seconds
)

// wirePayload leaves its members as they are, so that an error can name the one
// at fault.
type wirePayload struct {
	Signature     json.RawMessage `json:"signature"`
	Authorization *struct {
		From        json.RawMessage `json:"from"`
		To          json.RawMessage `json:"to"`
		Value       json.RawMessage `json:"value"`
		ValidAfter  json.RawMessage `json:"validAfter"`
		ValidBefore json.RawMessage `json:"validBefore"`
		Nonce       json.RawMessage `json:"nonce"`
	} `json:"authorization"`
}

type wireRequirement struct {
	Scheme            *string  `json:"scheme"`
	Network           *Network `json:"network"`
	Amount            *Uint256 `json:"amount"`
	Asset             *Address `json:"asset"`
	PayTo             *Address `json:"payTo"`
	MaxTimeoutSeconds *int     `json:"maxTimeoutSeconds"`
	Extra             Domain   `json:"extra"`
}

// DecodePayment reads the JSON of a payment of version 1 or 2.
func DecodePayment(raw []byte) (Payment, error) {
	p, err := decodePayment(raw)
	if err != nil {
		return Payment{}, fmt.Errorf("payment: %w", err)
	}
	return p, nil
}

func decodePayment(raw []byte) (p Payment, err error) {
	if p.Version, err = decodeVersion(raw, MaxPayment); err != nil {
		return p, err
	}
	var payload *wirePayload
	if p.Version == 1 {
		payload, err = p.fromV1(raw)
	} else {
		payload, err = p.fromV2(raw)
	}
	if err != nil {
		return p, err
	}
	if p.Scheme != SchemeExact {
		return p, fmt.Errorf("%w: %.40q", ErrScheme, p.Scheme)
	}
	return p, payload.into(&p.Payload)
}

func (p *Payment) fromV1(raw []byte) (*wirePayload, error) {
	var w struct {
		Scheme  *string      `json:"scheme"`
		Network *string      `json:"network"`
		Payload *wirePayload `json:"payload"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return nil, err
	}
	var network string
	err := errors.Join(required("scheme", w.Scheme, &p.Scheme), required("network", w.Network, &network))
	if err == nil {
		p.Network, err = NetworkV1(network)
	}
	return w.Payload, err
}

func (p *Payment) fromV2(raw []byte) (*wirePayload, error) {
	var w struct {
		Payload    *wirePayload    `json:"payload"`
		Accepted   json.RawMessage `json:"accepted"`
		Resource   *Resource       `json:"resource"`
		Extensions json.RawMessage `json:"extensions"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return nil, err
	}
	var accepted wireRequirement
	if err := member("accepted", w.Accepted, &accepted); err != nil {
		return nil, err
	}
	r, err := accepted.requirements()
	if err != nil {
		return nil, fmt.Errorf("accepted: %w", err)
	}
	p.Accepted, p.Scheme, p.Network, p.Resource = &r, r.Scheme, r.Network, w.Resource
	if p.Extensions, err = extensions(w.Extensions); err == nil {
		p.Identifier, err = identifier(p.Extensions)
	}
	return w.Payload, err
}

func (w *wirePayload) into(p *Payload) error {
	if w == nil || w.Authorization == nil {
		return fmt.Errorf("%w: payload.authorization", ErrMissing)
	}
	a, into := w.Authorization, &p.Authorization
	return cmp.Or(
		member("payload.signature", w.Signature, &p.Signature),
		member("authorization.from", a.From, &into.From),
		member("authorization.to", a.To, &into.To),
		member("authorization.value", a.Value, &into.Value),
		member("authorization.validAfter", a.ValidAfter, &into.ValidAfter),
		member("authorization.validBefore", a.ValidBefore, &into.ValidBefore),
		member("authorization.nonce", a.Nonce, &into.Nonce))
}

func (w *wireRequirement) requirements() (Requirements, error) {
	r := Requirements{Extra: w.Extra}
	err := errors.Join(
		required("scheme", w.Scheme, &r.Scheme),
		required("network", w.Network, &r.Network),
		required("amount", w.Amount, &r.Amount),
		required("asset", w.Asset, &r.Asset),
		required("payTo", w.PayTo, &r.PayTo),
		required("maxTimeoutSeconds", w.MaxTimeoutSeconds, &r.MaxTimeoutSeconds))
	if err == nil && (r.MaxTimeoutSeconds <= 0 || r.MaxTimeoutSeconds > maxTimeout) {
		err = fmt.Errorf("%w: maxTimeoutSeconds", ErrRange)
	}
	return r, err
}

// member reads a member that must be there.
func member(name string, raw json.RawMessage, into any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if err := unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// required copies a member that must be there.
func required[T any](name string, from *T, into *T) error {
	if from == nil {
		return fmt.Errorf("%w: %s", ErrMissing, name)
	}
	*into = *from
	return nil
}

// DecodeHeader reads a payment from the value of X-PAYMENT or
// PAYMENT-SIGNATURE: standard base64 of its JSON.
func DecodeHeader(value string) (Payment, error) {
	raw, err := decodeBase64(value, MaxPayment)
	if err != nil {
		return Payment{}, fmt.Errorf("payment: %w", err)
	}
	return DecodePayment(raw)
}

// DecodeMeta reads a payment from MCP's `_meta["x402/payment"]`: the JSON of
// the payment itself, or a JSON string with its base64.
func DecodeMeta(raw json.RawMessage) (Payment, error) {
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '"' {
		var s string
		if err := decodeJSON(trimmed, base64.StdEncoding.EncodedLen(MaxPayment)+2, &s); err != nil {
			return Payment{}, fmt.Errorf("payment: %w", err)
		}
		return DecodeHeader(s)
	}
	return DecodePayment(raw)
}

// DecodeReceipt reads the JSON of a settlement receipt.
func DecodeReceipt(raw []byte) (SettleResponse, error) {
	var w struct {
		SettleResponse
		Success *bool `json:"success"`
	}
	err := decodeJSON(raw, maxReceipt, &w)
	if err == nil {
		err = required("success", w.Success, &w.SettleResponse.Success)
	}
	if err == nil {
		w.Extensions, err = extensions(w.Extensions)
	}
	if err != nil {
		return SettleResponse{}, fmt.Errorf("receipt: %w", err)
	}
	return w.SettleResponse, nil
}

// DecodeReceiptHeader reads the value of PAYMENT-RESPONSE or
// X-PAYMENT-RESPONSE.
func DecodeReceiptHeader(value string) (SettleResponse, error) {
	raw, err := decodeBase64(value, maxReceipt)
	if err != nil {
		return SettleResponse{}, fmt.Errorf("receipt: %w", err)
	}
	return DecodeReceipt(raw)
}
