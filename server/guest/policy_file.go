package guest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/events-concierge/concierge/payments/x402"
)

// What holds where a person's policy says nothing.
const (
	DefaultMaxPrice = 25 * x402.USD
	DefaultPerDay   = 50 * x402.USD
	DefaultPerHost  = 25 * x402.USD
	DefaultAskAbove = 1 * x402.USD
)

// ErrPolicy is wrapped when a policy can't be read or understood.
var ErrPolicy = errors.New("spending policy")

// PolicyFile is a policy in a TOML file that only the person edits. It is read
// anew for each payment; while it can't be read or understood, nothing is paid.
type PolicyFile struct {
	Path    string // need not exist
	Network x402.Network
	// MaxPrice is a ceiling besides the file's; nil: none.
	MaxPrice *x402.Amount
}

// maxPolicy is the most that is read of a policy, in bytes.
const maxPolicy = 64 << 10

// Current implements [Policies].
func (f PolicyFile) Current() (Policy, error) {
	text, err := readPolicy(f.Path)
	if err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	p, err := ParsePolicy(text, f.Network)
	if err != nil {
		return Policy{}, fmt.Errorf("%w %s: %w", ErrPolicy, f.Path, err)
	}
	if f.MaxPrice != nil {
		p.MaxPrice = min(p.MaxPrice, *f.MaxPrice)
	}
	return p, nil
}

func readPolicy(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPolicy+1))
	if err == nil && len(text) > maxPolicy {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxPolicy)
	}
	return string(text), err
}

// ParsePolicy reads the TOML of a policy file, for payments on a network. A key
// that it does not know, and a value that is not right, is an error.
func ParsePolicy(text string, n x402.Network) (Policy, error) {
	file := struct {
		PerPayment dollars        `toml:"per_payment"`
		PerDay     dollars        `toml:"per_day"`
		PerHost    dollars        `toml:"per_host"`
		AskAbove   dollars        `toml:"ask_above"`
		Networks   []network      `toml:"networks"`
		Assets     []asset        `toml:"assets"`
		Payees     []x402.Address `toml:"payees"`
	}{dollars(DefaultMaxPrice), dollars(DefaultPerDay), dollars(DefaultPerHost), dollars(DefaultAskAbove), nil, nil, nil}
	md, err := toml.Decode(text, &file)
	if err != nil {
		return Policy{}, err
	}
	known := []string{"per_payment", "per_day", "per_host", "ask_above", "networks", "assets", "payees"}
	for _, key := range md.Keys() {
		// The decoder takes them in capitals, too; then they would not be defined below.
		if !slices.Contains(known, key.String()) {
			return Policy{}, fmt.Errorf("unknown key %q; there are %s", key.String(), strings.Join(known, ", "))
		}
	}
	p := Policy{Network: n, MaxPrice: x402.Amount(file.PerPayment), PerDay: (*x402.Amount)(&file.PerDay), PerHost: (*x402.Amount)(&file.PerHost),
		AskAbove: (*x402.Amount)(&file.AskAbove), Payees: file.Payees}
	usdc, _, ok := x402.USDC(n)
	switch {
	case !ok:
		return Policy{}, fmt.Errorf("no USDC is known on %s", n)
	case md.IsDefined("networks") && !slices.Contains(file.Networks, network(n)):
		return Policy{}, fmt.Errorf("networks does not have %s, on which this wallet pays: nothing may be paid", n)
	case md.IsDefined("assets") && !slices.Contains(file.Assets, asset(usdc)) && !slices.Contains(file.Assets, asset{}):
		return Policy{}, fmt.Errorf("assets does not have USDC on %s, which is all that is paid with: nothing may be paid", n)
	case md.IsDefined("payees") && len(file.Payees) == 0:
		return Policy{}, errors.New("payees is empty: nobody may be paid; leave it out to allow all")
	}
	return p, nil
}

// dollars is an amount in a policy file: a string, for a number with a point is
// not exact.
type dollars x402.Amount

// UnmarshalTOML implements [toml.Unmarshaler].
func (d *dollars) UnmarshalTOML(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf(`an amount is written in quotes, such as "5.00", not %v`, v)
	}
	a, err := x402.ParseUSD(s)
	*d = dollars(a)
	return err
}

type network x402.Network

// UnmarshalText takes the names of --network as well as CAIP-2.
func (n *network) UnmarshalText(b []byte) error {
	name := string(b)
	if name == "devnet" {
		name = "base-sepolia"
	}
	known, err := x402.NetworkV1(name)
	if err != nil {
		known, err = x402.ParseNetwork(name)
	}
	*n = network(known)
	return err
}

// asset is the address of a token; zero: USDC, wherever.
type asset x402.Address

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *asset) UnmarshalText(b []byte) error {
	if strings.EqualFold(string(b), "USDC") {
		*a = asset{}
		return nil
	}
	return (*x402.Address)(a).UnmarshalText(b)
}
