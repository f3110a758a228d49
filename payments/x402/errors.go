package x402

import "errors"

// The ways in which an outside byte can be wrong. Decoders wrap exactly one of
// these and name the member at fault.
var (
	ErrTooLarge  = errors.New("larger than allowed")
	ErrBase64    = errors.New("not standard base64")
	ErrJSON      = errors.New("not the JSON that was expected")
	ErrTrailing  = errors.New("bytes after the end of the JSON")
	ErrVersion   = errors.New("unknown x402 version")
	ErrMissing   = errors.New("missing")
	ErrScheme    = errors.New("unknown payment scheme")
	ErrNetwork   = errors.New("unknown network name")
	ErrNumber    = errors.New("not a plain decimal number")
	ErrRange     = errors.New("number out of range")
	ErrHex       = errors.New("not 0x-prefixed hex")
	ErrHexLength = errors.New("wrong hex length")
	ErrChecksum  = errors.New("address with a wrong EIP-55 checksum")
	ErrFormat    = errors.New("unknown signature format")
	// ErrIdentifier is about the id of extension payment-identifier.
	ErrIdentifier = errors.New("not a payment identifier of 16 to 128 letters, digits, - and _")
)

// ReasonOf returns x402's word for what a decoder of payments has refused.
func ReasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrVersion):
		return ReasonVersion
	case errors.Is(err, ErrScheme):
		return ReasonScheme
	case errors.Is(err, ErrNetwork):
		return ReasonNetwork
	}
	return ReasonPayload
}
