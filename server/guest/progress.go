package guest

import (
	"context"

	"github.com/events-concierge/concierge/payments/x402"
)

// Stage is how far a call has come that may cost money.
type Stage string

// The stages, in their order. What is free has the first alone.
const (
	StageAsking  Stage = "asking"  // the Host is asked for the price
	StagePrice   Stage = "price"   // it is known, and within policy and budget
	StagePaying  Stage = "paying"  // the payment is being sent
	StagePending Stage = "pending" // the Host has it, and waits for it to settle
)

// Step is what [Config.Progress] is told.
type Step struct {
	Stage  Stage
	Amount x402.Amount  // 0 at StageAsking
	PayTo  x402.Address // zero at StageAsking
	About  string       // at StagePrice, in the Host's words
	Again  bool         // at StagePaying: this very payment may have been sent before
	RSVP   string       // at StagePending, its id: a Host's word
}

func (h *Host) progress(ctx context.Context, s Step) {
	if h.Progress != nil {
		h.Progress(ctx, s)
	}
}
