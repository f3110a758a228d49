package payments

import (
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

const (
	// timeoutSeconds is how long a quote asks an authorization to live. Short,
	// because a failed payment must be watched for that long.
	timeoutSeconds = 300
	// settleMargin is what must be left of a window for a settlement to begin;
	// x402's reference verifier wants the same.
	settleMargin = 6 * time.Second
	// farthestWindow bounds how long a payment may have to be watched.
	farthestWindow = 24 * time.Hour
)

// Refused says why a payment is not good. Nothing was claimed, held or charged;
// the payer may be quoted again.
type Refused struct {
	Reason  x402.Reason
	Message string // for the payer: what is wrong, and what to send instead
}

func (r *Refused) Error() string { return fmt.Sprintf("payment refused: %s: %s", r.Reason, r.Message) }

func refuse(reason x402.Reason, format string, args ...any) error {
	return &Refused{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// check holds a payment against what is asked for, without network and without
// trust: a payment that passes says exactly what the quote says. Whether its
// payer signed it is another question, see [Cashier.signed].
func check(p x402.Payment, required x402.PaymentRequired, now time.Time) error {
	r, a := required.Accepts[0], p.Payload.Authorization
	if p.Network != r.Network {
		return refuse(x402.ReasonNetwork, "it is for %s; pay on %s", p.Network, r.Network)
	}
	if p.Scheme != r.Scheme {
		return refuse(x402.ReasonScheme, "its scheme is %.40q; pay with %q", p.Scheme, r.Scheme)
	}
	if p.Accepted != nil {
		if err := checkAccepted(*p.Accepted, r); err != nil {
			return err
		}
	}
	if p.Resource != nil && p.Resource.URL != required.Resource.URL {
		return refuse(x402.ReasonRequirements, "it is for another resource; pay for %s", required.Resource.URL)
	}
	if a.Value != r.Amount {
		return refuse(x402.ReasonValue, "it moves %s atomic units; pay exactly %s", a.Value, r.Amount)
	}
	if a.To != r.PayTo {
		return refuse(x402.ReasonRecipient, "it pays %s; pay %s", a.To, r.PayTo)
	}
	if a.From.IsZero() || a.From == a.To {
		return refuse(x402.ReasonPayload, "it is from %s; pay from an account of your own", a.From)
	}
	return checkWindow(a, now)
}

func checkAccepted(accepted, r x402.Requirements) error {
	switch {
	case accepted.Asset != r.Asset:
		return refuse(x402.ReasonRequirements, "it pays in %s; pay in %s", accepted.Asset, r.Asset)
	case accepted.Amount != r.Amount:
		return refuse(x402.ReasonValue, "it accepts a price of %s atomic units; the price is %s", accepted.Amount, r.Amount)
	case accepted.PayTo != r.PayTo:
		return refuse(x402.ReasonRecipient, "it pays %s; pay %s", accepted.PayTo, r.PayTo)
	case accepted != r:
		return refuse(x402.ReasonRequirements, "`accepted` is not the requirement that was quoted; repeat it unchanged")
	}
	return nil
}

func checkWindow(a x402.Authorization, now time.Time) error {
	after, before, ok := a.Window()
	if !ok || before.Sub(now) > farthestWindow {
		return refuse(x402.ReasonValidBefore, "validBefore is too far ahead; let it be at most %s from now", farthestWindow)
	}
	if !now.After(after) {
		return refuse(x402.ReasonValidAfter, "it is not valid yet; let validAfter be in the past")
	}
	if before.Sub(now) < settleMargin {
		return refuse(x402.ReasonValidBefore, "it expires too soon; let validBefore be at least %s from now", settleMargin)
	}
	return nil
}
