package x402

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Uint256 is a number as EIP-3009 signs it: 0 to 2^256-1, in JSON a string of
// decimal digits. Values compare with ==.
type Uint256 struct{ uint256.Int }

// NewUint256 returns v as a Uint256.
func NewUint256(v uint64) Uint256 { return Uint256{*uint256.NewInt(v)} }

// ParseUint256 reads a plain decimal: digits only, no sign, no leading zero,
// no exponent. Errors: [ErrNumber], [ErrRange].
func ParseUint256(s string) (Uint256, error) {
	var n Uint256
	if err := plainDecimal(s); err != nil {
		return n, err
	}
	if len(s) > 78 { // 2^256-1 has 78 digits
		return n, fmt.Errorf("%w: %d digits", ErrRange, len(s))
	}
	if err := n.SetFromDecimal(s); err != nil {
		return n, fmt.Errorf("%w: above 2^256-1", ErrRange)
	}
	return n, nil
}

func plainDecimal(s string) error {
	if s == "" {
		return fmt.Errorf("%w: empty", ErrNumber)
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return fmt.Errorf("%w: want digits only", ErrNumber)
		}
	}
	if len(s) > 1 && s[0] == '0' {
		return fmt.Errorf("%w: leading zero", ErrNumber)
	}
	return nil
}

// String returns the decimal digits.
func (n Uint256) String() string { return n.Dec() }

// MarshalText implements encoding.TextMarshaler.
func (n Uint256) MarshalText() ([]byte, error) { return []byte(n.Dec()), nil }

// MarshalJSON writes the number as a JSON string. It is needed because the
// embedded type would be asked otherwise.
func (n Uint256) MarshalJSON() ([]byte, error) { return []byte(`"` + n.Dec() + `"`), nil }

// UnmarshalJSON reads a JSON string of decimal digits; a bare JSON number is
// refused, for other implementations would round it.
func (n *Uint256) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("%w: want a string of digits", ErrNumber)
	}
	return n.UnmarshalText(b[1 : len(b)-1])
}

// UnmarshalText implements encoding.TextUnmarshaler with [ParseUint256].
func (n *Uint256) UnmarshalText(b []byte) (err error) {
	*n, err = ParseUint256(string(b))
	return err
}

// Address is an account on an EVM chain. It is written with its EIP-55
// checksum and read with or without one.
type Address common.Address

// ParseAddress reads 0x and 40 hex digits; digits of mixed case must carry the
// right EIP-55 checksum. Errors: [ErrHex], [ErrHexLength], [ErrChecksum].
func ParseAddress(s string) (Address, error) {
	var a Address
	if err := decodeHex(s, a[:]); err != nil {
		return Address{}, err
	}
	digits := s[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && a.String() != "0x"+digits {
		return Address{}, ErrChecksum
	}
	return a, nil
}

// String returns the address with its EIP-55 checksum.
func (a Address) String() string { return common.Address(a).Hex() }

// IsZero reports whether a is the zero address, which nobody can own.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText implements encoding.TextMarshaler.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseAddress].
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

// Bytes32 is an EIP-3009 nonce or a transaction hash.
type Bytes32 [32]byte

// ParseBytes32 reads 0x and 64 hex digits. Errors: [ErrHex], [ErrHexLength].
func ParseBytes32(s string) (Bytes32, error) {
	var b Bytes32
	if err := decodeHex(s, b[:]); err != nil {
		return Bytes32{}, err
	}
	return b, nil
}

// String returns 0x and 64 lower-case hex digits.
func (b Bytes32) String() string { return "0x" + hex.EncodeToString(b[:]) }

// MarshalText implements encoding.TextMarshaler.
func (b Bytes32) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseBytes32].
func (b *Bytes32) UnmarshalText(t []byte) (err error) {
	*b, err = ParseBytes32(string(t))
	return err
}

// MaxSignature is the longest signature read, in bytes. An ERC-6492 signature
// carries the call that deploys a wallet; 65 bytes are an ordinary one.
const MaxSignature = 8 << 10

// Signature is the payer's signature, in JSON 0x-prefixed hex.
type Signature []byte

// MarshalText implements encoding.TextMarshaler.
func (s Signature) MarshalText() ([]byte, error) {
	return []byte("0x" + hex.EncodeToString(s)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. Errors: [ErrHex],
// [ErrHexLength], [ErrTooLarge].
func (s *Signature) UnmarshalText(t []byte) error {
	if len(t) > 2+2*MaxSignature {
		return fmt.Errorf("%w: signature of more than %d bytes", ErrTooLarge, MaxSignature)
	}
	if len(t)%2 != 0 || len(t) <= 2 {
		return fmt.Errorf("%w: signature", ErrHexLength)
	}
	raw := make([]byte, len(t)/2-1)
	if err := decodeHex(string(t), raw); err != nil {
		return err
	}
	*s = raw
	return nil
}

func decodeHex(s string, into []byte) error {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return fmt.Errorf("%w: no 0x", ErrHex)
	}
	if len(digits) != 2*len(into) {
		return fmt.Errorf("%w: %d digits, want %d", ErrHexLength, len(digits), 2*len(into))
	}
	if _, err := hex.Decode(into, []byte(digits)); err != nil {
		return ErrHex
	}
	return nil
}
