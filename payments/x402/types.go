package x402

import (
	"encoding/json"
	"time"
)

// SchemeExact is the one payment scheme spoken here: the exact amount, by an
// EIP-3009 authorization.
const SchemeExact = "exact"

// Domain is the part of a token's EIP-712 domain that a requirement carries
// in `extra`.
type Domain struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Requirements is one way to pay, in the shape of version 2. Version 1's
// entries are translated into it, see [PaymentRequired.V1].
type Requirements struct {
	Scheme            string  `json:"scheme"`
	Network           Network `json:"network"`
	Amount            Uint256 `json:"amount"` // atomic units of Asset
	Asset             Address `json:"asset"`
	PayTo             Address `json:"payTo"`
	MaxTimeoutSeconds int     `json:"maxTimeoutSeconds"`
	Extra             Domain  `json:"extra"`
}

// Resource names what is paid for.
type Resource struct {
	URL         string `json:"url"`
	Description string `json:"description,omitempty"`
	MimeType    string `json:"mimeType,omitempty"`
}

// PaymentRequired asks for payment. In JSON it is version 2's object; V1 gives
// version 1's.
type PaymentRequired struct {
	X402Version int             `json:"x402Version"`
	Error       string          `json:"error,omitempty"`
	Resource    Resource        `json:"resource"`
	Accepts     []Requirements  `json:"accepts"`
	Extensions  json.RawMessage `json:"extensions,omitempty"`
	// Raw has the entries of Accepts as they were written, after decoding. A
	// payment repeats its entry to the letter ([Payment.AcceptedRaw]).
	Raw []json.RawMessage `json:"-"`
}

// PaymentRequiredV1 is the body of version 1's HTTP 402.
type PaymentRequiredV1 struct {
	X402Version int              `json:"x402Version"`
	Error       string           `json:"error"`
	Accepts     []RequirementsV1 `json:"accepts"`
}

// RequirementsV1 is one entry of [PaymentRequiredV1].
type RequirementsV1 struct {
	Scheme            string  `json:"scheme"`
	Network           string  `json:"network"`
	MaxAmountRequired Uint256 `json:"maxAmountRequired"`
	Resource          string  `json:"resource"`
	Description       string  `json:"description"`
	MimeType          string  `json:"mimeType"`
	PayTo             Address `json:"payTo"`
	MaxTimeoutSeconds int     `json:"maxTimeoutSeconds"`
	Asset             Address `json:"asset"`
	Extra             Domain  `json:"extra"`
}

// Authorization is EIP-3009's TransferWithAuthorization: From lets whoever
// holds its signature move Value to To between the two times, once.
type Authorization struct {
	From        Address `json:"from"`
	To          Address `json:"to"`
	Value       Uint256 `json:"value"`       // atomic units
	ValidAfter  Uint256 `json:"validAfter"`  // Unix seconds, exclusive
	ValidBefore Uint256 `json:"validBefore"` // Unix seconds, exclusive
	Nonce       Bytes32 `json:"nonce"`
}

// Payload is what scheme "exact" adds to a payment.
type Payload struct {
	Signature     Signature     `json:"signature"`
	Authorization Authorization `json:"authorization"`
}

// Payment is a payment of either version. Scheme and Network say what it pays
// with; version 2 also repeats the requirement it accepted and the resource.
type Payment struct {
	Version  int
	Scheme   string
	Network  Network
	Payload  Payload
	Accepted *Requirements // version 2 only
	// AcceptedRaw is written instead of Accepted, if it is set: there are servers
	// that compare what a payer accepted with what they wrote, letter by letter.
	AcceptedRaw json.RawMessage
	Resource    *Resource       // version 2 only, and optional there
	Extensions  json.RawMessage // version 2 only, and optional there
	// Identifier is the payment identifier in Extensions, "" if there is none. The
	// decoders set it; what is encoded is Extensions. See [WithIdentifier].
	Identifier string
}

// VerifyResponse is a facilitator's answer to "would this payment settle?".
type VerifyResponse struct {
	IsValid       bool   `json:"isValid"`
	InvalidReason Reason `json:"invalidReason,omitempty"`
	Payer         string `json:"payer,omitempty"`
}

// SettleResponse is a facilitator's answer to "settle this payment", and the
// receipt that a payer gets. Network has the name of the payment's version.
type SettleResponse struct {
	Success     bool   `json:"success"`
	ErrorReason Reason `json:"errorReason,omitempty"`
	Payer       string `json:"payer,omitempty"`
	Transaction string `json:"transaction"`
	Network     string `json:"network"`
	Amount      string `json:"amount,omitempty"`
	// Extensions may have a signed receipt, see [SettleResponse.SignedReceipt].
	Extensions json.RawMessage `json:"extensions,omitempty"`
}

// Reason is a machine-readable cause in the words that x402 facilitators use.
type Reason string

// Reasons for which a payment is refused or fails.
const (
	ReasonInsufficientFunds Reason = "insufficient_funds"
	ReasonSignature         Reason = "invalid_exact_evm_payload_signature"
	ReasonValidAfter        Reason = "invalid_exact_evm_payload_authorization_valid_after"
	ReasonValidBefore       Reason = "invalid_exact_evm_payload_authorization_valid_before"
	ReasonValue             Reason = "invalid_exact_evm_payload_authorization_value_mismatch"
	ReasonRecipient         Reason = "invalid_exact_evm_payload_recipient_mismatch"
	ReasonNetwork           Reason = "invalid_network"
	ReasonPayload           Reason = "invalid_payload"
	ReasonRequirements      Reason = "invalid_payment_requirements"
	ReasonScheme            Reason = "invalid_scheme"
	ReasonVersion           Reason = "invalid_x402_version"
	ReasonTransactionState  Reason = "invalid_transaction_state"
	ReasonSettlementPending Reason = "settlement_pending"
	ReasonUnexpectedVerify  Reason = "unexpected_verify_error"
	ReasonUnexpectedSettle  Reason = "unexpected_settle_error"
	ReasonNonceUsed         Reason = "invalid_exact_evm_nonce_already_used"
	ReasonSimulation        Reason = "invalid_exact_evm_transaction_simulation_failed"
	ReasonTransactionFailed Reason = "invalid_exact_evm_transaction_failed"
	ReasonFactory           Reason = "eip6492_factory_not_allowed"
	ReasonExpiredUnused     Reason = "authorization_expired_unused" // this project's own
)

// V1 returns the same request for payment in version 1's shape.
func (p PaymentRequired) V1() PaymentRequiredV1 {
	v1 := PaymentRequiredV1{X402Version: 1, Error: p.Error, Accepts: make([]RequirementsV1, 0, len(p.Accepts))}
	for _, r := range p.Accepts {
		v1.Accepts = append(v1.Accepts, RequirementsV1{
			Scheme: r.Scheme, Network: r.Network.Name(1), MaxAmountRequired: r.Amount,
			Resource: p.Resource.URL, Description: p.Resource.Description, MimeType: p.Resource.MimeType,
			PayTo: r.PayTo, MaxTimeoutSeconds: r.MaxTimeoutSeconds, Asset: r.Asset, Extra: r.Extra,
		})
	}
	return v1
}

// farthest is the latest time that is read, in Unix seconds: the year 36812.
const farthest = 1 << 40

// Window returns the times between which the authorization can be used.
// ok is false when they are beyond what a clock can show.
func (a Authorization) Window() (after, before time.Time, ok bool) {
	if !a.ValidAfter.IsUint64() || !a.ValidBefore.IsUint64() ||
		a.ValidAfter.Uint64() > farthest || a.ValidBefore.Uint64() > farthest {
		return after, before, false
	}
	return time.Unix(int64(a.ValidAfter.Uint64()), 0), time.Unix(int64(a.ValidBefore.Uint64()), 0), true // #nosec G115 -- the lines above bound both
}
