package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

const (
	tries       = 5                // of one payment whose answer is lost
	firstPause  = time.Second      // between two of them; it doubles
	clockSkew   = 10 * time.Minute // how far validAfter is set back, as x402's reference does
	longestLife = 10 * time.Minute // of an authorization, whatever the Host asks for
)

var (
	// ErrUnknown is wrapped when a payment was sent and it is not known whether it
	// was taken. The money may have moved. The same call of the same [Host] sends
	// the same payment again, also after a restart; a new one must not be made.
	ErrUnknown = errors.New("the payment was sent but its outcome is unknown; do not pay again")
	// ErrNotPaid is wrapped when a Host refused a payment or could not settle it.
	ErrNotPaid = errors.New("the payment was not taken")
	// ErrNoWallet means that something costs money and there is nothing to pay
	// with.
	ErrNoWallet = errors.New("this costs money and there is no wallet")
)

// Call calls a tool and pays for it if it asks for money and the policy allows.
// While it is not known what became of a payment, the same call sends that
// payment again. A tool's refusal is an Answer; errors are [ErrTooExpensive],
// [store.ErrOverBudget], [*ApprovalError], [ErrUntrusted], [ErrNoWallet],
// [ErrNotPaid], [ErrUnknown], and those of the connection.
func (h *Host) Call(ctx context.Context, tool string, args any) (Answer, error) {
	answer, bought, err := h.buy(ctx, tool, args)
	if err != nil {
		return answer, err
	}
	r, _ := answer.rsvp() // what else was bought has none
	switch {
	case answer.Failed:
		bought.refused(ctx)
	case answer.pending():
		bought.keep(ctx, r)
	default:
		bought.paid(ctx, r)
	}
	return answer, nil
}

// buy is Call for callers who look into the answer. Unless there is an error
// they say what became of the payment.
func (h *Host) buy(ctx context.Context, tool string, args any) (Answer, *purchase, error) {
	call, err := h.callHash(tool, args)
	if err != nil {
		return Answer{}, nil, err
	}
	bought, err := h.underWay(ctx, call)
	if err != nil {
		return Answer{}, nil, err
	}
	sent := bought != nil
	if bought == nil {
		h.progress(ctx, Step{Stage: StageAsking})
		answer, err := h.call(ctx, tool, args, nil)
		if err != nil {
			return Answer{}, nil, err
		}
		asked, err := answer.requested()
		if err != nil || asked == nil {
			return answer, &purchase{host: h, tool: tool}, err
		}
		if bought, sent, err = h.promise(ctx, call, tool, *asked); err != nil {
			return Answer{}, nil, err
		}
	}
	payment, err := bought.sign(ctx)
	if err != nil {
		return Answer{}, nil, err
	}
	answer, err := h.pay(ctx, tool, args, payment, sent)
	if err != nil && !errors.Is(err, ErrUnknown) {
		bought.refused(ctx)
	}
	return answer, bought, err
}

// pay sends one payment until there is an answer to it. sent says that it was
// sent before.
func (h *Host) pay(ctx context.Context, tool string, args any, p x402.Payment, sent bool) (Answer, error) {
	pause := firstPause
	amount, _ := p.Payload.Authorization.Value.Amount() // which the policy has passed
	for try := 1; ; try++ {
		h.progress(ctx, Step{Stage: StagePaying, Amount: amount, PayTo: p.Payload.Authorization.To, Again: sent || try > 1})
		answer, err := h.call(ctx, tool, args, &p)
		if err == nil && !answer.temporary() {
			return h.conclude(answer, p, sent)
		}
		if err == nil {
			err = answer.refusal()
		}
		// All else may be an answer that was lost behind the till.
		sent = sent || !answer.uncharged()
		if try == tries || ctx.Err() != nil || errors.Is(err, errClosed) {
			return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		if err := h.Pause(ctx, pause); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		pause *= 2
	}
}

// conclude reads the answer to a payment. A payment that was sent before may
// have been taken then, and be refused now for that very reason: as long as it
// can be, a refusal proves nothing.
func (h *Host) conclude(answer Answer, p x402.Payment, sent bool) (Answer, error) {
	answer.Receipt = answer.receipt()
	if !answer.Failed {
		a := p.Payload.Authorization
		var err error
		answer.Paid, err = a.Value.Amount()
		answer.PayTo = a.To
		return answer, err
	}
	again, err := answer.requested()
	var refused error = answer.refusal()
	if again != nil {
		refused = errors.New(words(again.Error))
	}
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	case sent && !h.expired(p):
		return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, refused)
	case again != nil:
		return Answer{}, fmt.Errorf("%w: %w", ErrNotPaid, refused)
	}
	return answer, nil
}

// expired reports whether nobody can take p any more.
func (h *Host) expired(p x402.Payment) bool {
	_, before, ok := p.Payload.Authorization.Window()
	return ok && h.Now().After(before.Add(clockSkew))
}
