package x402

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Amount is a sum of USDC in atomic units: 1 USD is 1,000,000. Everything that
// is priced, quoted, settled or reported is an Amount; there is no float.
type Amount int64

// USD is the Amount of one dollar.
const USD Amount = 1_000_000

// ParseUSD reads a price in dollars, such as "2.50", "0.000001" or "3": digits
// with at most 6 decimals, no sign, no exponent, no thousands separators.
// Errors: [ErrNumber], [ErrRange].
func ParseUSD(s string) (Amount, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if err := plainDecimal(whole); err != nil {
		return 0, err
	}
	if dotted {
		if frac == "" || strings.Trim(frac, "0123456789") != "" {
			return 0, fmt.Errorf("%w: want digits after the point", ErrNumber)
		}
		if len(frac) > 6 {
			return 0, fmt.Errorf("%w: USDC has 6 decimals, not %d", ErrRange, len(frac))
		}
	}
	n, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: more than USDC can express here", ErrRange)
	}
	return Amount(n), nil
}

// ParseAtomic reads an amount of atomic units, such as "50000" for $0.05.
func ParseAtomic(s string) (Amount, error) {
	n, err := ParseUint256(s)
	if err != nil {
		return 0, err
	}
	return n.Amount()
}

// USD returns the amount in dollars with at least two decimals and no more
// than it needs: "2.50", "0.000001", "0.00". A negative amount has a sign.
func (a Amount) USD() string {
	sign, n := "", uint64(a) // #nosec G115 -- what is below zero is turned about in the next lines
	if a < 0 {
		sign, n = "-", -n
	}
	frac := fmt.Sprintf("%06d", n%uint64(USD))
	kept := strings.TrimRight(frac, "0")
	return fmt.Sprintf("%s%d.%s", sign, n/uint64(USD), frac[:max(2, len(kept))])
}

// String returns the atomic units as decimal digits, the form of the wire.
func (a Amount) String() string { return strconv.FormatInt(int64(a), 10) }

// MarshalText writes atomic units, so that an Amount in JSON is a string.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads atomic units with [ParseAtomic].
func (a *Amount) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAtomic(string(b))
	return err
}

// Times returns the price of n seats at a each. Errors: [ErrRange].
func (a Amount) Times(n int) (Amount, error) {
	if a < 0 || n < 0 || (n > 0 && a > math.MaxInt64/Amount(n)) {
		return 0, fmt.Errorf("%w: %d × %d", ErrRange, a, n)
	}
	return a * Amount(n), nil
}

// Uint256 returns a as the chain's number; a must not be negative.
func (a Amount) Uint256() Uint256 { return NewUint256(uint64(a)) } // #nosec G115 -- prices and payments are not below zero

// Amount returns n as an Amount. Errors: [ErrRange].
func (n Uint256) Amount() (Amount, error) {
	if !n.IsUint64() || n.Uint64() > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %s", ErrRange, n)
	}
	return Amount(n.Uint64()), nil // #nosec G115 -- the lines above bound it
}
