package main

import (
	"errors"
	"math/big"
	"strings"
	"unicode"

	"github.com/events-concierge/concierge/payments/x402"
)

// addresses is a flag for any number of them.
type addresses []x402.Address

func (a *addresses) String() string {
	var all []string
	for _, address := range *a {
		all = append(all, address.String())
	}
	return strings.Join(all, ",")
}

func (a *addresses) Type() string { return "address" }

func (a *addresses) Set(s string) error {
	for written := range strings.SplitSeq(s, ",") {
		address, err := x402.ParseAddress(strings.TrimSpace(written))
		if err != nil {
			return err
		}
		*a = append(*a, address)
	}
	return nil
}

// urls is a flag for any number of them, separated by commas or spaces: forms of
// others fill it in, too, and people paste into those what they have.
type urls []string

func (u *urls) String() string { return strings.Join(*u, ",") }
func (u *urls) Type() string   { return "strings" }

func (u *urls) Set(s string) error {
	*u = append(*u, strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })...)
	return nil
}

// usd is a flag for an amount of dollars.
type usd x402.Amount

func (u *usd) String() string { return x402.Amount(*u).USD() }
func (u *usd) Type() string   { return "usd" }

func (u *usd) Set(s string) error {
	amount, err := x402.ParseUSD(strings.TrimPrefix(s, "$"))
	if err != nil {
		return err
	}
	*u = usd(amount)
	return nil
}

// limit is a flag for an amount of dollars that need not be given.
type limit struct{ amount *x402.Amount }

func (l *limit) String() string {
	if l.amount == nil {
		return ""
	}
	return l.amount.USD()
}

func (l *limit) Type() string { return "usd" }

func (l *limit) Set(s string) error {
	var u usd
	err := u.Set(s)
	if err == nil {
		l.amount = (*x402.Amount)(&u)
	}
	return err
}

// gwei is a flag for the price of a unit of gas: at most nine decimals, so that
// it is a whole number of wei.
type gwei struct {
	text string
	wei  *big.Int // nil until it is set
}

func (g *gwei) String() string { return g.text }
func (g *gwei) Type() string   { return "gwei" }

func (g *gwei) Set(s string) error {
	whole, part, point := strings.Cut(s, ".")
	digits := whole + part + strings.Repeat("0", max(0, 9-len(part)))
	wei, _ := new(big.Int).SetString(digits, 10)
	if whole == "" || len(whole) > 9 || (part == "") == point || len(part) > 9 ||
		strings.Trim(digits, "0123456789") != "" || wei.Sign() == 0 {
		return errors.New("want a decimal number above 0, such as 0.5")
	}
	g.text, g.wei = s, wei
	return nil
}
