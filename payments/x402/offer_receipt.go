package x402

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ExtensionOfferReceipt is the key of x402's extension offer-receipt: what a
// seller signs, before payment and after it. Source:
// specs/extensions/extension-offer-and-receipt.md. Of its two formats the
// EIP-712 one is spoken here; package evm signs it and finds out who has.
const ExtensionOfferReceipt = "offer-receipt"

const (
	formatEIP712 = "eip712"
	// OfferReceiptVersion is the one version of both payloads.
	OfferReceiptVersion = 1
)

// OfferPayload is what a seller says in a signed offer. Its texts are signed as
// they are written.
type OfferPayload struct {
	Version     uint64  `json:"version"`
	ResourceURL string  `json:"resourceUrl"`
	Scheme      string  `json:"scheme"`
	Network     Network `json:"network"`
	Asset       string  `json:"asset"`
	PayTo       string  `json:"payTo"`
	Amount      string  `json:"amount"`     // atomic units of Asset
	ValidUntil  uint64  `json:"validUntil"` // Unix seconds; 0: no end
}

// SignedOffer is an [OfferPayload] with its EIP-712 signature.
type SignedOffer struct {
	Format      string       `json:"format"`
	AcceptIndex int          `json:"acceptIndex"` // of the entry of `accepts` it is about; not signed
	Payload     OfferPayload `json:"payload"`
	Signature   Signature    `json:"signature"`
}

// ReceiptPayload is what a seller says in a signed receipt: that Payer has paid
// for ResourceURL and was served.
type ReceiptPayload struct {
	Version     uint64  `json:"version"`
	Network     Network `json:"network"`
	ResourceURL string  `json:"resourceUrl"`
	Payer       string  `json:"payer"`
	IssuedAt    uint64  `json:"issuedAt"`    // Unix seconds
	Transaction string  `json:"transaction"` // hash; "": not told
}

// SignedReceipt is a [ReceiptPayload] with its EIP-712 signature.
type SignedReceipt struct {
	Format    string         `json:"format"`
	Payload   ReceiptPayload `json:"payload"`
	Signature Signature      `json:"signature"`
}

// OfferExtension returns what belongs under [ExtensionOfferReceipt] in a
// request for payment whose one entry is offered by p.
func OfferExtension(p OfferPayload, s Signature) (json.RawMessage, error) {
	return offerReceipt("offers", []SignedOffer{{Format: formatEIP712, Payload: p, Signature: s}}, `{
		"type": "array",
		"items": {
			"type": "object",
			"properties": {
				"format": {"type": "string", "const": "eip712"},
				"acceptIndex": {"type": "integer"},
				"payload": {
					"type": "object",
					"properties": {
						"version": {"type": "integer"},
						"resourceUrl": {"type": "string"},
						"scheme": {"type": "string"},
						"network": {"type": "string"},
						"asset": {"type": "string"},
						"payTo": {"type": "string"},
						"amount": {"type": "string"},
						"validUntil": {"type": "integer"}
					},
					"required": ["version", "resourceUrl", "scheme", "network", "asset", "payTo", "amount"]
				},
				"signature": {"type": "string"}
			},
			"required": ["format", "payload", "signature"]
		}
	}`)
}

// ReceiptExtension returns what belongs under [ExtensionOfferReceipt] in a
// [SettleResponse].
func ReceiptExtension(p ReceiptPayload, s Signature) (json.RawMessage, error) {
	return offerReceipt("receipt", SignedReceipt{Format: formatEIP712, Payload: p, Signature: s}, `{
		"type": "object",
		"properties": {
			"format": {"type": "string", "const": "eip712"},
			"payload": {
				"type": "object",
				"properties": {
					"version": {"type": "integer"},
					"network": {"type": "string"},
					"resourceUrl": {"type": "string"},
					"payer": {"type": "string"},
					"issuedAt": {"type": "integer"},
					"transaction": {"type": "string"}
				},
				"required": ["version", "network", "resourceUrl", "payer", "issuedAt"]
			},
			"signature": {"type": "string"}
		},
		"required": ["format", "payload", "signature"]
	}`)
}

// offerReceipt puts what is signed, under its name, beside its JSON schema.
func offerReceipt(name string, signed any, schema string) (json.RawMessage, error) {
	return json.Marshal(map[string]any{
		"info": map[string]any{name: signed},
		"schema": map[string]any{
			"$schema":    "https://json-schema.org/draft/2020-12/schema",
			"type":       "object",
			"properties": map[string]json.RawMessage{name: json.RawMessage(schema)},
			"required":   []string{name},
		},
	})
}

// wireSigned is a signed offer or receipt; payload P tells a missing member
// from a zero one.
type wireSigned[P any] struct {
	Format      *string         `json:"format"`
	AcceptIndex int             `json:"acceptIndex"`
	Payload     *P              `json:"payload"`
	Signature   json.RawMessage `json:"signature"` // in another format it is no hex
}

// decodeSigned reads what offers and receipts have in common.
func decodeSigned[P any](raw []byte) (w wireSigned[P], s Signature, err error) {
	if err := decodeJSON(raw, maxReceipt, &w); err != nil {
		return w, nil, err
	}
	var format string
	if err := required("format", w.Format, &format); err != nil {
		return w, nil, err
	}
	if format != formatEIP712 {
		return w, nil, fmt.Errorf("%w: %.40q", ErrFormat, format)
	}
	if w.Payload == nil {
		return w, nil, fmt.Errorf("%w: payload", ErrMissing)
	}
	var signature *Signature
	if w.Signature != nil {
		err = unmarshal(w.Signature, &signature)
	}
	if err == nil {
		err = required("signature", signature, &s)
	}
	return w, s, err
}

func payloadVersion(from, into *uint64) error {
	if err := required("payload.version", from, into); err != nil {
		return err
	}
	if *into != OfferReceiptVersion {
		return fmt.Errorf("%w: payload.version %d", ErrVersion, *into)
	}
	return nil
}

// DecodeSignedOffer reads the JSON of one signed offer. That it is signed by
// anybody in particular is not checked.
func DecodeSignedOffer(raw []byte) (SignedOffer, error) {
	o, err := decodeSignedOffer(raw)
	if err != nil {
		return SignedOffer{}, fmt.Errorf("signed offer: %w", err)
	}
	return o, nil
}

func decodeSignedOffer(raw []byte) (SignedOffer, error) {
	type payload struct {
		Version     *uint64  `json:"version"`
		ResourceURL *string  `json:"resourceUrl"`
		Scheme      *string  `json:"scheme"`
		Network     *Network `json:"network"`
		Asset       *string  `json:"asset"`
		PayTo       *string  `json:"payTo"`
		Amount      *string  `json:"amount"`
		ValidUntil  uint64   `json:"validUntil"`
	}
	w, signature, err := decodeSigned[payload](raw)
	if err != nil {
		return SignedOffer{}, err
	}
	o := SignedOffer{Format: formatEIP712, AcceptIndex: w.AcceptIndex, Signature: signature}
	if err := payloadVersion(w.Payload.Version, &o.Payload.Version); err != nil {
		return o, err
	}
	if o.Payload.ValidUntil = w.Payload.ValidUntil; o.Payload.ValidUntil > farthest {
		return o, fmt.Errorf("%w: payload.validUntil", ErrRange)
	}
	return o, errors.Join(
		required("payload.resourceUrl", w.Payload.ResourceURL, &o.Payload.ResourceURL),
		required("payload.scheme", w.Payload.Scheme, &o.Payload.Scheme),
		required("payload.network", w.Payload.Network, &o.Payload.Network),
		required("payload.asset", w.Payload.Asset, &o.Payload.Asset),
		required("payload.payTo", w.Payload.PayTo, &o.Payload.PayTo),
		required("payload.amount", w.Payload.Amount, &o.Payload.Amount))
}

// DecodeSignedReceipt reads the JSON of a signed receipt. That it is signed by
// anybody in particular is not checked.
func DecodeSignedReceipt(raw []byte) (SignedReceipt, error) {
	r, err := decodeSignedReceipt(raw)
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("signed receipt: %w", err)
	}
	return r, nil
}

func decodeSignedReceipt(raw []byte) (SignedReceipt, error) {
	type payload struct {
		Version     *uint64  `json:"version"`
		Network     *Network `json:"network"`
		ResourceURL *string  `json:"resourceUrl"`
		Payer       *string  `json:"payer"`
		IssuedAt    *uint64  `json:"issuedAt"`
		Transaction string   `json:"transaction"`
	}
	w, signature, err := decodeSigned[payload](raw)
	if err != nil {
		return SignedReceipt{}, err
	}
	r := SignedReceipt{Format: formatEIP712, Signature: signature}
	if err := payloadVersion(w.Payload.Version, &r.Payload.Version); err != nil {
		return r, err
	}
	if at := w.Payload.IssuedAt; at != nil && *at > farthest {
		return r, fmt.Errorf("%w: payload.issuedAt", ErrRange)
	}
	r.Payload.Transaction = w.Payload.Transaction
	return r, errors.Join(
		required("payload.network", w.Payload.Network, &r.Payload.Network),
		required("payload.resourceUrl", w.Payload.ResourceURL, &r.Payload.ResourceURL),
		required("payload.payer", w.Payload.Payer, &r.Payload.Payer),
		required("payload.issuedAt", w.Payload.IssuedAt, &r.Payload.IssuedAt))
}

// SignedOffers returns the offers of a request for payment, or none.
func (p PaymentRequired) SignedOffers() (offers []SignedOffer, err error) {
	raw, err := offerReceiptInfo(p.Extensions, "offers")
	if err != nil || raw == nil {
		return nil, err
	}
	var entries []json.RawMessage
	if err := unmarshal(raw, &entries); err != nil {
		return nil, err
	}
	if len(entries) > maxAccepts {
		return nil, fmt.Errorf("%w: %d signed offers", ErrTooLarge, len(entries))
	}
	for _, entry := range entries {
		o, err := DecodeSignedOffer(entry)
		if err != nil {
			return nil, err
		}
		offers = append(offers, o)
	}
	return offers, nil
}

// SignedReceipt returns the seller's signed receipt, or nil if there is none.
func (r SettleResponse) SignedReceipt() (*SignedReceipt, error) {
	raw, err := offerReceiptInfo(r.Extensions, "receipt")
	if err != nil || raw == nil {
		return nil, err
	}
	signed, err := DecodeSignedReceipt(raw)
	if err != nil {
		return nil, err
	}
	return &signed, nil
}

// offerReceiptInfo returns a member of the extension's info, nil if it is not
// there.
func offerReceiptInfo(extensions json.RawMessage, name string) (json.RawMessage, error) {
	raw := extensions
	for _, level := range []string{ExtensionOfferReceipt, "info", name} {
		m, err := members(raw)
		if err != nil {
			return nil, fmt.Errorf("extensions, above %s: %w", level, err)
		}
		raw = m[level]
	}
	if bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	return raw, nil
}
