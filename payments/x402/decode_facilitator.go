package x402

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Limits on what facilitators and those who ask them are read, in bytes of JSON.
const (
	MaxFacilitatorRequest = MaxPayment + 16<<10 // a payment, and the requirement it is for
	MaxVerifyResponse     = maxReceipt
	MaxSettleResponse     = maxReceipt
	MaxSupported          = 64 << 10

	maxKinds = 512 // entries in what a facilitator supports
)

// FacilitatorRequest is what a facilitator is asked to verify or to settle: a
// payment, and the requirement that it is held against.
type FacilitatorRequest struct {
	Payment      Payment
	Requirements Requirements
}

// someResource stands for the resource of a version 1 requirement. Such a
// payment is not bound to one, but the member must be there.
const someResource = "mcp://tool"

// MarshalJSON writes the request in the shape of the payment's version.
func (r FacilitatorRequest) MarshalJSON() ([]byte, error) {
	var requirements any = r.Requirements
	if r.Payment.Version == 1 {
		requirements = PaymentRequired{Resource: Resource{URL: someResource}, Accepts: []Requirements{r.Requirements}}.V1().Accepts[0]
	}
	return json.Marshal(struct {
		X402Version         int     `json:"x402Version"`
		PaymentPayload      Payment `json:"paymentPayload"`
		PaymentRequirements any     `json:"paymentRequirements"`
	}{r.Payment.Version, r.Payment, requirements})
}

// DecodeFacilitatorRequest reads the body of a facilitator's POST /verify and
// POST /settle. The payment and the requirement must be of the version that the
// request says.
func DecodeFacilitatorRequest(raw []byte) (FacilitatorRequest, error) {
	r, err := decodeFacilitatorRequest(raw)
	if err != nil {
		return FacilitatorRequest{}, fmt.Errorf("facilitator request: %w", err)
	}
	return r, nil
}

func decodeFacilitatorRequest(raw []byte) (r FacilitatorRequest, err error) {
	version, err := decodeVersion(raw, MaxFacilitatorRequest)
	if err != nil {
		return r, err
	}
	var w struct {
		Payment      *json.RawMessage `json:"paymentPayload"`
		Requirements *json.RawMessage `json:"paymentRequirements"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return r, err
	}
	var payment, requirements json.RawMessage
	if err := errors.Join(required("paymentPayload", w.Payment, &payment),
		required("paymentRequirements", w.Requirements, &requirements)); err != nil {
		return r, err
	}
	if r.Payment, err = decodePayment(payment); err != nil {
		return r, fmt.Errorf("paymentPayload: %w", err)
	}
	if r.Payment.Version != version {
		return r, fmt.Errorf("%w: the payment is of version %d, the request of %d", ErrVersion, r.Payment.Version, version)
	}
	if version == 1 {
		r.Requirements, _, err = requirementsV1(requirements)
	} else {
		r.Requirements, err = requirementsV2(requirements)
	}
	if err != nil {
		return r, fmt.Errorf("paymentRequirements: %w", err)
	}
	return r, nil
}

// DecodeVerifyResponse reads a facilitator's answer to POST /verify.
func DecodeVerifyResponse(raw []byte) (VerifyResponse, error) {
	var w struct {
		VerifyResponse
		IsValid *bool `json:"isValid"`
	}
	err := decodeJSON(raw, MaxVerifyResponse, &w)
	if err == nil {
		err = required("isValid", w.IsValid, &w.VerifyResponse.IsValid)
	}
	if err != nil {
		return VerifyResponse{}, fmt.Errorf("verify response: %w", err)
	}
	return w.VerifyResponse, nil
}

// Kind is one way to pay that a facilitator supports. Network is named as in
// its version.
type Kind struct {
	X402Version int             `json:"x402Version"`
	Scheme      string          `json:"scheme"`
	Network     string          `json:"network"`
	Extra       json.RawMessage `json:"extra,omitempty"`
}

// Supported is a facilitator's answer to GET /supported. Signers are the
// accounts that it settles with, by families of networks such as "eip155:*".
type Supported struct {
	Kinds      []Kind              `json:"kinds"`
	Extensions []string            `json:"extensions"`
	Signers    map[string][]string `json:"signers"`
}

// Supports reports whether payments of this version, with scheme [SchemeExact]
// on network n, are among the kinds.
func (s Supported) Supports(version int, n Network) bool {
	for _, k := range s.Kinds {
		// A name of version 1 is taken in version 2 as well, and the other way
		// round: both name the same chain, and there are facilitators that mix them.
		if k.X402Version == version && k.Scheme == SchemeExact && (k.Network == n.Name(1) || k.Network == n.Name(2)) {
			return true
		}
	}
	return false
}

// DecodeSupported reads a facilitator's answer to GET /supported. Kinds of
// other versions, schemes and networks than this package's are kept as they are.
func DecodeSupported(raw []byte) (Supported, error) {
	s, err := decodeSupported(raw)
	if err != nil {
		return Supported{}, fmt.Errorf("supported: %w", err)
	}
	return s, nil
}

func decodeSupported(raw []byte) (s Supported, err error) {
	type wireKind struct {
		X402Version *int            `json:"x402Version"`
		Scheme      *string         `json:"scheme"`
		Network     *string         `json:"network"`
		Extra       json.RawMessage `json:"extra"`
	}
	var w struct {
		Kinds      *[]wireKind         `json:"kinds"`
		Extensions []string            `json:"extensions"`
		Signers    map[string][]string `json:"signers"`
	}
	if err := decodeJSON(raw, MaxSupported, &w); err != nil {
		return s, err
	}
	var kinds []wireKind
	if err := required("kinds", w.Kinds, &kinds); err != nil {
		return s, err
	}
	if len(kinds) > maxKinds {
		return s, fmt.Errorf("%w: %d entries in kinds", ErrTooLarge, len(kinds))
	}
	s = Supported{Kinds: make([]Kind, len(kinds)), Extensions: w.Extensions, Signers: w.Signers}
	for i, k := range kinds {
		into := &s.Kinds[i]
		if err := errors.Join(required("x402Version", k.X402Version, &into.X402Version),
			required("scheme", k.Scheme, &into.Scheme), required("network", k.Network, &into.Network)); err != nil {
			return Supported{}, fmt.Errorf("kinds[%d]: %w", i, err)
		}
		if into.Extra, err = object("extra", k.Extra); err != nil {
			return Supported{}, fmt.Errorf("kinds[%d]: %w", i, err)
		}
	}
	return s, nil
}
