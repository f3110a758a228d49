package guest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// the same payment again; a new one must not be made.
	ErrUnknown = errors.New("the payment was sent but its outcome is unknown; do not pay again")
	// ErrNotPaid is wrapped when a Host refused a payment or could not settle it.
	ErrNotPaid = errors.New("the payment was not taken")
	// ErrNoWallet means that something costs money and there is nothing to pay
	// with.
	ErrNoWallet = errors.New("this costs money and there is no wallet")
)

// Call calls a tool and pays for it if it asks for money and the policy allows.
// While it is not known what became of a payment, the same call sends that
// payment again. A tool's refusal is an Answer; errors are [ErrTooExpensive], [ErrUntrusted],
// [ErrNoWallet], [ErrNotPaid], [ErrUnknown], and those of the connection.
func (h *Host) Call(ctx context.Context, tool string, args any) (Answer, error) {
	answer, settled, err := h.buy(ctx, tool, args)
	if err == nil && !answer.pending() {
		settled()
	}
	return answer, err
}

// buy is Call for callers who look into the answer. Unless there is an error
// they call settled when they know what became of the payment.
func (h *Host) buy(ctx context.Context, tool string, args any) (_ Answer, settled func(), err error) {
	key, err := keyOf(tool, args)
	if err != nil {
		return Answer{}, nil, err
	}
	settled = func() { h.unsettled.remove(key) }
	payment, sent := h.unsettled.find(key)
	if !sent {
		answer, err := h.call(ctx, tool, args, nil)
		if err != nil {
			return Answer{}, nil, err
		}
		asked, err := answer.requested()
		if err != nil || asked == nil {
			return answer, settled, err
		}
		if payment, err = h.sign(ctx, *asked); err != nil {
			return Answer{}, nil, err
		}
		var isNew bool
		payment, isNew = h.unsettled.add(key, payment)
		sent = !isNew
	}
	answer, err := h.pay(ctx, tool, args, payment, sent)
	if err != nil && !errors.Is(err, ErrUnknown) {
		settled()
	}
	return answer, settled, err
}

// sign makes the payment of the first requirement that the policy passes.
// Nothing that it signs comes from anywhere else than from that one.
func (h *Host) sign(ctx context.Context, asked x402.PaymentRequired) (x402.Payment, error) {
	r, err := h.Policy.choose(asked)
	if err != nil {
		return x402.Payment{}, err
	}
	if h.Wallet == nil {
		return x402.Payment{}, ErrNoWallet
	}
	now := h.Now()
	life := min(time.Duration(r.MaxTimeoutSeconds)*time.Second, longestLife)
	a := x402.Authorization{
		From: h.Wallet.Address(), To: r.PayTo, Value: r.Amount,
		ValidAfter:  x402.NewUint256(uint64(now.Add(-clockSkew).Unix())),
		ValidBefore: x402.NewUint256(uint64(now.Add(life).Unix())),
	}
	if _, err := io.ReadFull(h.Rand, a.Nonce[:]); err != nil {
		return x402.Payment{}, fmt.Errorf("nonce: %w", err)
	}
	extensions, err := h.identify(asked.Extensions)
	if err != nil {
		return x402.Payment{}, err
	}
	signature, err := h.Wallet.SignAuthorization(ctx, r.Requirements, a)
	if err != nil {
		return x402.Payment{}, err
	}
	p := x402.Payment{Version: asked.X402Version, Scheme: r.Scheme, Network: r.Network,
		Payload: x402.Payload{Signature: signature, Authorization: a}}
	if p.Version == 2 {
		p.Accepted, p.AcceptedRaw, p.Resource, p.Extensions = &r.Requirements, r.raw, &asked.Resource, extensions
	}
	return p, nil
}

// identify repeats what a Host declared and gives the payment a name there, if
// the Host wants to know one. The authorization can be read on the chain later,
// the name can't: only who knows both is its payer.
func (h *Host) identify(declared json.RawMessage) (json.RawMessage, error) {
	if declared == nil {
		return nil, nil
	}
	var id [16]byte
	if _, err := io.ReadFull(h.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("payment identifier: %w", err)
	}
	return x402.WithIdentifier(declared, "pay_"+hex.EncodeToString(id[:]))
}

// pay sends one payment until there is an answer to it. sent says that it was
// sent before.
func (h *Host) pay(ctx context.Context, tool string, args any, p x402.Payment, sent bool) (Answer, error) {
	pause := firstPause
	for try := 1; ; try++ {
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
