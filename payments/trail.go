package payments

import (
	"context"
	"errors"
	"sync"

	"github.com/events-concierge/concierge/payments/tracing"
)

// maxTrails bounds how many payments are remembered with their trace.
const maxTrails = 10_000

// trails are the traces of payments whose end is not known yet, so that what the
// reconciler does for one of them is in the trace of the call that paid. A restart
// forgets them.
type trails struct {
	mu sync.Mutex
	of map[string]*tracing.Span // by id of the payment
}

// keep remembers what a payment is part of, if anything.
func (t *trails) keep(ctx context.Context, payment string) {
	s := tracing.Of(ctx)
	if s == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]*tracing.Span{}
	}
	if len(t.of) < maxTrails {
		t.of[payment] = s
	}
}

// follow returns a context in the trace of a payment, if it is remembered.
func (t *trails) follow(ctx context.Context, payment string) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tracing.Under(ctx, t.of[payment])
}

// done forgets a payment, unless its end is not known yet.
func (t *trails) done(p Payment, id string, err error) {
	if err == nil && p.State == Settling {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, id)
}

// kindOf names an error in a word.
func kindOf(err error) string {
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return string(refused.Reason)
	case errors.Is(err, ErrAlreadyUsed):
		return "already_used"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrUndecided):
		return "undecided"
	case errors.Is(err, ErrNotSettled):
		return "not_settled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error"
}

// tell says of a span what came of its payment.
func tell(s *tracing.Span, p Payment, err error) {
	switch {
	case s == nil:
	case err != nil:
		s.Fail(kindOf(err))
	case p.State == Failed || p.State == Owed:
		s.Set("concierge.state", string(p.State))
		s.Fail(string(p.Reason))
	default:
		s.Set("concierge.state", string(p.State))
		if p.State == Settled {
			s.Set("concierge.transaction", p.Transaction.String())
		}
	}
}
