package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// settles is a facilitator that settles or not, and whatever it did, says this.
func settles(really bool, answer x402.SettleResponse, err error) func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return func(ctx context.Context, real payments.Facilitator, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
		if really {
			if _, err := real.Settle(ctx, p, r); err != nil {
				return x402.SettleResponse{}, err
			}
		}
		return answer, err
	}
}

// What a facilitator says is worth a look at the chain, and no more. After each
// of these the books say what the chain says, and what is not decided yet was
// answered as such: a payer who is asked again would pay twice (x402 issue 1062).
func TestFacilitatorLies(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	g := testnet.guest(t, 1000*x402.USD)
	total := count{}
	// A transaction that succeeded and has nothing to do with any payment (x402
	// issue 2727), and one that nobody has ever seen.
	other := testnet.spend(t, g, 1).Hex()
	unknown := x402.Bytes32{1}.String()
	pending := x402.ReasonSettlementPending
	for name, c := range map[string]struct {
		really bool
		says   x402.SettleResponse
		err    error
		answer string
		last   payments.State // when the window has closed
	}{
		"success, and it is true":               {true, x402.SettleResponse{Success: true}, nil, "settled", payments.Settled},
		"success without anything":              {false, x402.SettleResponse{Success: true}, nil, "settling", payments.Failed},
		"success in a transaction that is none": {false, x402.SettleResponse{Success: true, Transaction: unknown}, nil, "settling", payments.Failed},
		"success in another's transaction":      {false, x402.SettleResponse{Success: true, Transaction: other}, nil, "settling", payments.Failed},
		"settled, with another's transaction":   {true, x402.SettleResponse{Success: true, Transaction: other}, nil, "settled", payments.Settled},
		"settled, with half a hash":             {true, x402.SettleResponse{Success: true, Transaction: other[:20]}, nil, "settled", payments.Settled},
		"pending for ever":                      {false, x402.SettleResponse{ErrorReason: pending}, nil, "settling", payments.Failed},
		"pending in a transaction that is none": {false, x402.SettleResponse{ErrorReason: pending, Transaction: unknown}, nil, "settling", payments.Failed},
		"pending in another's transaction":      {false, x402.SettleResponse{ErrorReason: pending, Transaction: other}, nil, "settling", payments.Failed},
		"pending, and settled":                  {true, x402.SettleResponse{ErrorReason: pending}, nil, "settled", payments.Settled},
		"failure, and it is true":               {false, x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds}, nil, "failed", payments.Failed},
		"failure after settling":                {true, x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds}, nil, "settled", payments.Settled},
		"failure with a hash, after settling":   {true, x402.SettleResponse{ErrorReason: x402.ReasonTransactionState, Transaction: other}, nil, "settled", payments.Settled},
		"something unexpected":                  {false, x402.SettleResponse{ErrorReason: x402.ReasonUnexpectedSettle}, nil, "settling", payments.Failed},
		"something unexpected, after settling":  {true, x402.SettleResponse{ErrorReason: x402.ReasonUnexpectedSettle}, nil, "settled", payments.Settled},
		"nothing at all":                        {false, x402.SettleResponse{}, nil, "settling", payments.Failed},
		"nothing at all, after settling":        {true, x402.SettleResponse{}, nil, "settled", payments.Settled},
		"an error":                              {false, x402.SettleResponse{}, errOutage, "settling", payments.Failed},
		"an error after settling":               {true, x402.SettleResponse{}, errOutage, "settled", payments.Settled},
		"an error with success":                 {false, x402.SettleResponse{Success: true, Transaction: other}, errOutage, "settling", payments.Failed},
		"an error with a failure":               {false, x402.SettleResponse{ErrorReason: x402.ReasonInsufficientFunds}, errOutage, "settling", payments.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			event := newID(t)
			p.event(t, "ada", event, 1)
			order := w.order(t, "ada", event, g)
			payment := p.pays(t, g, order, window(t, -10*time.Hour, 10*time.Minute))
			p.settles = settles(c.really, c.says, c.err)
			p.on(point{await, false}, func(context.Context) error {
				if c.says.Transaction == unknown { // the wait for it would take as long as a settlement may
					return context.DeadlineExceeded
				}
				return nil
			})
			paid, err := p.call(t.Context(), order, payment)
			if got := class(paid, err); got != c.answer {
				t.Errorf("the answer is %s, want %s", got, c.answer)
			}
			if seats := p.taken(t, event); (seats == 0) != (paid.State == payments.Failed) {
				t.Errorf("%d seats are taken", seats)
			}
			p.reconcile(t)
			if paid.State != payments.Settled {
				testnet.advance(t, 11*time.Minute)
				p.reconcile(t)
			}
			if got := class(p.call(t.Context(), order, payment)); got != string(c.last) {
				t.Errorf("at last it is %s, want %s", got, c.last)
			}
			total[c.last]++
		})
	}
	p.finished(t, 0).wants(t, total)
}

// A transaction that several share comes to nothing by the fault of one of them.
// The others are submitted again.
func TestSharedTransactionComesToNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, 2*price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	p.settles = settles(false, x402.SettleResponse{ErrorReason: x402.ReasonSettlementPending, Transaction: testnet.spend(t, g, 1).Hex()}, nil)
	if got := class(p.call(t.Context(), order, payment)); got != "settling" {
		t.Errorf("the answer is %s", got)
	}
	p.settles = nil
	w.clock.Advance(time.Minute)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// The answers to Verify that are not "yes", and a "yes" that is none.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says   x402.VerifyResponse
		err    error
		answer string
	}{
		"invalid for a reason": {x402.VerifyResponse{InvalidReason: x402.ReasonSignature}, nil, "refused"},
		"invalid for none":     {x402.VerifyResponse{}, nil, "refused"},
		// The chain has just said that it is not; the facilitator may be ahead of it.
		"used":                 {x402.VerifyResponse{InvalidReason: x402.ReasonNonceUsed}, nil, "settling"},
		"out of reach":         {x402.VerifyResponse{}, errOutage, "unavailable"},
		"valid, but an error":  {x402.VerifyResponse{IsValid: true}, errOutage, "unavailable"},
		"valid without a cent": {x402.VerifyResponse{IsValid: true}, nil, "settling"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, 1)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			p.verifies = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
				return c.says, c.err
			}
			if got := class(p.call(t.Context(), order, payment)); got != c.answer {
				t.Errorf("the answer is %s, want %s", got, c.answer)
			}
			if taken := p.taken(t, "opera") != 0; taken != (c.answer == "settling") {
				t.Errorf("the seat is taken: %t", taken)
			}
			if claimed := p.isClaimed(t, payment); claimed != (c.answer == "settling") {
				t.Errorf("claimed: %t", claimed)
			}
			p.agree(t, 0)
		})
	}
}
