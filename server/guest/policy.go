package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/events-concierge/concierge/payments/x402"
)

// Policies knows the policy that holds at the moment.
type Policies interface {
	Current() (Policy, error)
}

// Policy says what may be signed. There is no way around it: a [Host] signs
// nothing that it has not passed. Budgets are counted over [store.BudgetPeriod].
type Policy struct {
	Network  x402.Network   // the one chain to pay on
	MaxPrice x402.Amount    // of one call, such as a booking with all its seats
	PerDay   *x402.Amount   // to all Hosts together; nil: no limit
	PerHost  *x402.Amount   // to one Host; nil: no limit
	AskAbove *x402.Amount   // the person is asked above it; nil: never
	Payees   []x402.Address // nobody else is paid; empty: anybody
}

// Current implements [Policies]: it is always this one.
func (p Policy) Current() (Policy, error) { return p, nil }

// ErrTooExpensive is wrapped when a booking costs more than the policy allows.
var ErrTooExpensive = errors.New("over the price ceiling")

// ErrUntrusted is wrapped when a Host's request for payment is not one that a
// careful payer answers.
var ErrUntrusted = errors.New("the request for payment can't be trusted")

// choice is a requirement that a policy has passed.
type choice struct {
	x402.Requirements
	raw json.RawMessage // as the Host wrote it
}

// choose returns the first way to pay that the policy allows. The asset must be
// the network's USDC, in its own EIP-712 domain: a signature is worth money in
// no other.
func (p Policy) choose(asked x402.PaymentRequired) (choice, error) {
	asset, domain, ok := x402.USDC(p.Network)
	if !ok {
		return choice{}, fmt.Errorf("no USDC is known on %s", p.Network)
	}
	var errs []error
	for i, r := range asked.Accepts {
		amount, err := r.Amount.Amount()
		switch {
		case r.Network != p.Network:
			err = fmt.Errorf("%w: it wants payment on %s, this wallet pays on %s", ErrUntrusted, r.Network, p.Network)
		case r.Asset != asset:
			err = fmt.Errorf("%w: it wants to be paid in %s, which is not USDC on %s", ErrUntrusted, r.Asset, p.Network)
		case r.Extra != domain:
			err = fmt.Errorf("%w: it names USDC's EIP-712 domain as %.40q version %.40q", ErrUntrusted, r.Extra.Name, r.Extra.Version)
		case r.PayTo.IsZero():
			err = fmt.Errorf("%w: it names no payee", ErrUntrusted)
		case len(p.Payees) > 0 && !slices.Contains(p.Payees, r.PayTo):
			err = fmt.Errorf("%w: %s is not among the payees of your policy", ErrUntrusted, r.PayTo)
		case err != nil: // more than there is
			err = fmt.Errorf("%w: it costs %s atomic units, the ceiling is $%s", ErrTooExpensive, r.Amount, p.MaxPrice.USD())
		case amount <= 0:
			err = fmt.Errorf("%w: it asks for nothing", ErrUntrusted)
		case amount > p.MaxPrice:
			err = fmt.Errorf("%w: it costs $%s, the ceiling is $%s", ErrTooExpensive, amount.USD(), p.MaxPrice.USD())
		}
		if err == nil {
			return choice{r, asked.Raw[i]}, nil
		}
		errs = append(errs, err)
	}
	return choice{}, errors.Join(errs...)
}

// requested reads a request for payment from all places of a tool result where
// one may be. Those that are there must say the same: a person may be shown one
// and a machine may sign the other. The texts come last: they alone are as the
// Host wrote them, for the payment to repeat.
func requested(structured, meta json.RawMessage, texts []string) (*x402.PaymentRequired, error) {
	var found *x402.PaymentRequired
	for _, place := range append([]json.RawMessage{structured, meta}, rawTexts(texts)...) {
		var looksLikeOne struct {
			X402Version json.RawMessage `json:"x402Version"`
			Accepts     json.RawMessage `json:"accepts"`
		}
		if json.Unmarshal(place, &looksLikeOne) != nil || looksLikeOne.Accepts == nil {
			continue
		}
		p, err := x402.DecodeRequired(place)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		if found != nil && !same(*found, p) {
			return nil, fmt.Errorf("%w: it says different things in different places", ErrUntrusted)
		}
		found = &p
	}
	return found, nil
}

func rawTexts(texts []string) []json.RawMessage {
	raw := make([]json.RawMessage, len(texts))
	for i, t := range texts {
		raw[i] = json.RawMessage(t)
	}
	return raw
}

func same(a, b x402.PaymentRequired) bool {
	if a.X402Version != b.X402Version || a.Resource != b.Resource || len(a.Accepts) != len(b.Accepts) {
		return false
	}
	for i := range a.Accepts {
		if a.Accepts[i] != b.Accepts[i] {
			return false
		}
	}
	return true
}
