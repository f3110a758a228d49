package facilitator

import (
	"context"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// What came of a question to a facilitator.
const (
	Answered = "ok"      // as one hopes: supported, valid, settled or on its way
	Declined = "refused" // the payment is not valid, or has failed
	Broken   = "error"   // it did not say, or nobody could be asked
)

// Accepted reports whether a payment was settled, or is on its way.
func Accepted(s x402.SettleResponse) bool {
	return s.Success || s.ErrorReason == x402.ReasonSettlementPending
}

func outcomeOf(accepted bool, err error) string {
	switch {
	case err != nil:
		return Broken
	case accepted:
		return Answered
	}
	return Declined
}

func (c *Client) observe(operation string, begun time.Time, outcome func() (bool, error)) {
	if c.Observe != nil {
		c.Observe(c.Host(), operation, outcomeOf(outcome()), time.Since(begun))
	}
}

// Observed returns a facilitator of this name, such as that of this process, that
// tells observe what a [Client] tells its own.
func Observed(f payments.Facilitator, name string, observe func(name, operation, outcome string, took time.Duration)) payments.Facilitator {
	return observed{f, name, observe}
}

type observed struct {
	payments.Facilitator
	name    string
	observe func(name, operation, outcome string, took time.Duration)
}

// Verify implements [payments.Facilitator].
func (o observed) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	begun := time.Now()
	v, err := o.Facilitator.Verify(ctx, p, r)
	o.observe(o.name, "verify", outcomeOf(v.IsValid, err), time.Since(begun))
	return v, err
}

// Settle implements [payments.Facilitator].
func (o observed) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	begun := time.Now()
	s, err := o.Facilitator.Settle(ctx, p, r)
	o.observe(o.name, "settle", outcomeOf(Accepted(s), err), time.Since(begun))
	return s, err
}
