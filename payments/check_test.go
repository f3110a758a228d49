package payments_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// signedHigh is the other signature that the curve takes for the same message.
func signedHigh(sig x402.Signature) x402.Signature {
	s := new(big.Int).SetBytes(sig[32:64])
	other := append(x402.Signature{}, sig...)
	new(big.Int).Sub(crypto.S256().Params().N, s).FillBytes(other[32:64])
	other[64] = 27 + 28 - sig[64]
	return other
}

// Each of these must be found before anything is asked of anybody, let alone
// claimed or held. All of them are signed by the payer, unless they say otherwise.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 3)
	g, other := testnet.guest(t, 100*x402.USD), guest{newWallet(t)}
	order := w.order(t, "ada", "opera", g)
	now := w.clock.Now()
	accepts := func(change func(*x402.Requirements)) func(*x402.Payment) {
		return func(p *x402.Payment) { change(p.Accepted) }
	}
	authorizes := func(change func(*x402.Authorization)) func(*x402.Payment) {
		return func(p *x402.Payment) { change(&p.Payload.Authorization) }
	}
	// signedBy replaces the signature by what change makes of the right one.
	signedBy := func(key guest, change func(x402.Signature) x402.Signature) func(*x402.Payment) {
		return func(payment *x402.Payment) {
			payment.Payload.Signature = change(sign(t, key, p.Quote(order).Accepts[0], payment.Payload.Authorization))
		}
	}
	same := func(s x402.Signature) x402.Signature { return s }
	for name, c := range map[string]struct {
		change func(*x402.Payment)
		reason x402.Reason
	}{
		"another network":              {func(p *x402.Payment) { p.Network = x402.Base }, x402.ReasonNetwork},
		"another scheme":               {func(p *x402.Payment) { p.Scheme = "upto" }, x402.ReasonScheme},
		"another resource":             {func(p *x402.Payment) { p.Resource = &x402.Resource{URL: "mcp://tool/rsvp_to_event?event=ball"} }, x402.ReasonRequirements},
		"accepted: scheme":             {accepts(func(r *x402.Requirements) { r.Scheme = "upto" }), x402.ReasonRequirements},
		"accepted: network":            {accepts(func(r *x402.Requirements) { r.Network = x402.Base }), x402.ReasonRequirements},
		"accepted: amount":             {accepts(func(r *x402.Requirements) { r.Amount = x402.NewUint256(price - 1) }), x402.ReasonValue},
		"accepted: asset":              {accepts(func(r *x402.Requirements) { r.Asset = x402.Address{1} }), x402.ReasonRequirements},
		"accepted: pay to":             {accepts(func(r *x402.Requirements) { r.PayTo = other.Address() }), x402.ReasonRecipient},
		"accepted: timeout":            {accepts(func(r *x402.Requirements) { r.MaxTimeoutSeconds++ }), x402.ReasonRequirements},
		"accepted: name":               {accepts(func(r *x402.Requirements) { r.Extra.Name = "USD Coin" }), x402.ReasonRequirements},
		"accepted: version":            {accepts(func(r *x402.Requirements) { r.Extra.Version = "1" }), x402.ReasonRequirements},
		"one unit less":                {authorizes(func(a *x402.Authorization) { a.Value = x402.NewUint256(price - 1) }), x402.ReasonValue},
		"one unit more":                {authorizes(func(a *x402.Authorization) { a.Value = x402.NewUint256(price + 1) }), x402.ReasonValue},
		"nothing":                      {authorizes(func(a *x402.Authorization) { a.Value = x402.Uint256{} }), x402.ReasonValue},
		"5 cents for 2.50":             {authorizes(func(a *x402.Authorization) { a.Value = x402.NewUint256(50_000) }), x402.ReasonValue},
		"to somebody else":             {authorizes(func(a *x402.Authorization) { a.To = other.Address() }), x402.ReasonRecipient},
		"from nobody":                  {authorizes(func(a *x402.Authorization) { a.From = x402.Address{} }), x402.ReasonPayload},
		"from the Host itself":         {authorizes(func(a *x402.Authorization) { a.From = a.To }), x402.ReasonPayload},
		"not yet":                      {authorizes(func(a *x402.Authorization) { a.ValidAfter = unix(now.Add(time.Second)) }), x402.ReasonValidAfter},
		"valid after this very second": {authorizes(func(a *x402.Authorization) { a.ValidAfter = unix(now) }), x402.ReasonValidAfter},
		"expired":                      {authorizes(func(a *x402.Authorization) { a.ValidBefore = unix(now) }), x402.ReasonValidBefore},
		"expires in 5 s":               {authorizes(func(a *x402.Authorization) { a.ValidBefore = unix(now.Add(5 * time.Second)) }), x402.ReasonValidBefore},
		"for more than a day":          {authorizes(func(a *x402.Authorization) { a.ValidBefore = unix(now.Add(24*time.Hour + time.Second)) }), x402.ReasonValidBefore},
		"for ever":                     {authorizes(func(a *x402.Authorization) { a.ValidBefore.SetAllOne() }), x402.ReasonValidBefore},
		"signed by another":            {signedBy(other, same), x402.ReasonSignature},
		"with a high s":                {signedBy(g, signedHigh), x402.ReasonSignature},
		"with a bit turned":            {signedBy(g, func(s x402.Signature) x402.Signature { s[7] ^= 1; return s }), x402.ReasonSignature},
		"with v as a parity":           {signedBy(g, func(s x402.Signature) x402.Signature { s[64] -= 27; return s }), x402.ReasonSignature},
		"with a short signature":       {signedBy(g, func(s x402.Signature) x402.Signature { return s[:64] }), x402.ReasonSignature},
		"with a long signature":        {signedBy(g, func(s x402.Signature) x402.Signature { return append(s, 0) }), x402.ReasonSignature},
		"signed, then changed": {func(payment *x402.Payment) {
			signedBy(g, same)(payment)
			payment.Payload.Authorization.Nonce[0] ^= 1
		}, x402.ReasonSignature},
		"signed for another token": {func(payment *x402.Payment) {
			r := p.Quote(order).Accepts[0]
			r.Asset = x402.Address{1}
			payment.Payload.Signature = sign(t, g, r, payment.Payload.Authorization)
		}, x402.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			p.set(nil)
			payment := p.pays(t, g, order, c.change)
			p.set(p.noStep(t, find, signed)) // which change nothing
			paid, err := p.call(t.Context(), order, payment)
			var refused *payments.Refused
			if !errors.As(err, &refused) || refused.Reason != c.reason || refused.Message == "" {
				t.Errorf("got %+v, %v, want it refused: %s", paid, err, c.reason)
			}
			if strings.HasPrefix(name, "accepted") || strings.HasSuffix(name, "resource") {
				return // which version 1 does not have
			}
			version1(&payment)
			if paid, err := p.call(t.Context(), order, payment); !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Errorf("in version 1: %+v, %v", paid, err)
			}
		})
	}
	p.set(nil)
	p.finished(t, 0).wants(t, count{})
	if e, err := p.books(t, "ada").Event(t.Context(), "opera"); err != nil || e.SeatsTaken != 0 {
		t.Errorf("%d seats taken, %v", e.SeatsTaken, err)
	}
}

// The edges that are good.
func TestAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 0)
	g := testnet.guest(t, 100*x402.USD)
	now := w.clock.Now()
	for name, change := range map[string]func(*x402.Payment){
		"from a second ago":        func(p *x402.Payment) { p.Payload.Authorization.ValidAfter = unix(now.Add(-time.Second)) },
		"from always":              func(p *x402.Payment) { p.Payload.Authorization.ValidAfter = x402.Uint256{} },
		"for a day":                func(p *x402.Payment) { p.Payload.Authorization.ValidBefore = unix(now.Add(24 * time.Hour)) },
		"described in other words": func(p *x402.Payment) { p.Resource.Description, p.Resource.MimeType = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			event := newID(t)
			p.event(t, "ada", event, 1)
			order := w.order(t, "ada", event, g)
			if paid, err := p.call(t.Context(), order, p.pays(t, g, order, change)); err != nil || paid.State != payments.Settled {
				t.Errorf("%+v, %v", paid, err)
			}
		})
	}
}

// What is for nothing is not sold for money.
func TestPriceAboveZero(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, x402.USD)
	for _, amount := range []x402.Amount{0, -1} {
		order := w.order(t, "ada", "opera", g)
		order.Amount = amount
		payment := p.pays(t, g, order)
		p.set(p.noStep(t, find))
		if paid, err := p.call(t.Context(), order, payment); err == nil {
			t.Errorf("a price of %s is taken: %+v", amount, paid)
		}
		p.set(nil)
	}
}
