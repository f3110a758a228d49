package guest

import (
	"context"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/store"
)

// Approver asks the person whether a charge may be paid, and notes the answer in
// the purse. It may return before there is one. Nothing that a Host or a model
// says may be taken for an answer.
type Approver interface {
	Approve(ctx context.Context, a store.Approval) error
}

// ApprovalError is why a payment waits for the person, or was denied by them. It
// wraps [store.ErrNotApproved] or [store.ErrDenied].
type ApprovalError struct{ store.Approval }

func (e *ApprovalError) Error() string {
	return fmt.Sprintf("%v: $%s to %s (approval %d, until %s)", e.Unwrap(), e.Amount.USD(), e.PayTo, e.ID, e.ExpiresAt.UTC().Format(time.TimeOnly+" MST"))
}

// Unwrap returns what it comes to.
func (e *ApprovalError) Unwrap() error {
	if e.State == store.ApprovalDenied {
		return store.ErrDenied
	}
	return store.ErrNotApproved
}

// approved returns nil if the person has approved a charge, whom it asks if they
// have not been asked.
func (h *Host) approved(ctx context.Context, c store.Charge) error {
	a, err := h.Purse.Ask(ctx, c)
	if err != nil {
		return err
	}
	if a.State == store.ApprovalAsked && h.Approver != nil {
		if err := h.Approver.Approve(ctx, a); err != nil {
			return err
		}
		if a, err = h.Purse.Approval(ctx, a.ID); err != nil {
			return err
		}
	}
	if a.State != store.ApprovalApproved {
		return &ApprovalError{a}
	}
	return nil
}
