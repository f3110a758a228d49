package store

import (
	"context"
	"fmt"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// Confirm implements payments.Ledger. The money of a settling payment is owed
// when the event has been cancelled meanwhile. A failed payment whose money moved
// after all is confirmed as long as the event is not cancelled, has the seats, and
// the guest has not booked it otherwise; it is owed if not. That holds for one
// that was closed as well: the caller has seen the transfer, and the books
// must not deny it; unless its authorization has come back in another payment,
// which then has the money, and this one stays as it is. Errors:
// payments.ErrNoPayment.
func (h *Host) Confirm(ctx context.Context, id string, tx x402.Bytes32) (payments.Payment, error) {
	return h.change(ctx, "confirm a payment", id, func(ctx context.Context, t *txPayment) error {
		switch t.State {
		case payments.Settling:
			return t.settle(ctx, tx)
		case payments.Failed:
			if err := t.settleLate(ctx, tx); !duplicate(err) { // see payments_one_per_authorization
				return err
			}
		}
		return nil
	})
}

// Fail implements payments.Ledger. The first reason stays. Errors:
// payments.ErrNoPayment.
func (h *Host) Fail(ctx context.Context, id string, reason x402.Reason, final bool) (payments.Payment, error) {
	return h.change(ctx, "fail a payment", id, func(ctx context.Context, t *txPayment) error {
		switch {
		case t.State == payments.Settling:
			return t.fail(ctx, reason, final)
		case t.State == payments.Failed && t.Open && final:
			return t.update(ctx, `open = 0, signature = NULL`)
		}
		return nil
	})
}

// txPayment is a payment inside the transaction that may change it.
type txPayment struct {
	payments.Payment
	tx *tx
}

// change runs f on a payment and returns the payment as it is then.
func (h *Host) change(ctx context.Context, what, id string, f func(context.Context, *txPayment) error) (p payments.Payment, err error) {
	err = h.f.write.do(ctx, what, func(ctx context.Context, t *tx) error {
		if p, err = payment(ctx, t, id); err != nil {
			return err
		}
		if err := f(ctx, &txPayment{p, t}); err != nil {
			return err
		}
		p, err = payment(ctx, t, id)
		return err
	})
	if err != nil {
		return payments.Payment{}, err
	}
	return p, nil
}

func (t *txPayment) settle(ctx context.Context, tx x402.Bytes32) error {
	r, err := rsvp(ctx, t.tx, t.RSVPID)
	if err != nil {
		return err
	}
	e, err := event(ctx, t.tx, r.EventID)
	if err != nil {
		return err
	}
	if e.Cancelled {
		if err := t.updateRSVP(ctx, RSVPPending, RSVPCancelled); err != nil {
			return err
		}
		if err := takeSeats(ctx, t.tx, r.EventID, -r.Seats); err != nil {
			return err
		}
		return t.owe(ctx, tx)
	}
	if err := t.update(ctx, `state = 'settled', open = 0, signature = NULL, tx = ?1`, tx.String()); err != nil {
		return err
	}
	return t.updateRSVP(ctx, RSVPPending, RSVPConfirmed)
}

func (t *txPayment) fail(ctx context.Context, reason x402.Reason, final bool) error {
	err := t.update(ctx, `state = 'failed', reason = ?1, open = NOT ?2, signature = CASE WHEN ?2 THEN NULL ELSE signature END`,
		reason, final)
	if err != nil {
		return err
	}
	r, err := rsvp(ctx, t.tx, t.RSVPID)
	if err != nil {
		return err
	}
	if err := t.updateRSVP(ctx, RSVPPending, RSVPFailed); err != nil {
		return err
	}
	return takeSeats(ctx, t.tx, r.EventID, -r.Seats)
}

// settleLate is for money that moved after the seats had been given back.
func (t *txPayment) settleLate(ctx context.Context, tx x402.Bytes32) error {
	r, err := rsvp(ctx, t.tx, t.RSVPID)
	if err != nil {
		return err
	}
	e, err := event(ctx, t.tx, r.EventID)
	if err != nil {
		return err
	}
	booked, err := guest{r.Payer, r.Email}.booked(ctx, t.tx, r.EventID)
	if err != nil {
		return err
	}
	if e.Cancelled || booked || !e.has(r.Seats) {
		return t.owe(ctx, tx)
	}
	if err := t.update(ctx, `state = 'settled', open = 0, signature = NULL, tx = ?1, reason = ''`, tx.String()); err != nil {
		return err
	}
	if err := t.updateRSVP(ctx, RSVPFailed, RSVPConfirmed); err != nil {
		return err
	}
	return takeSeats(ctx, t.tx, r.EventID, r.Seats)
}

// owe is for money that moved and buys nothing.
func (t *txPayment) owe(ctx context.Context, tx x402.Bytes32) error {
	if err := t.update(ctx, `state = 'owed', open = 0, signature = NULL, tx = ?1`, tx.String()); err != nil {
		return err
	}
	return insertRefund(ctx, t.tx, t.ID)
}

// update changes the payment, provided that it is in the state it was read in.
func (t *txPayment) update(ctx context.Context, set string, args ...any) error {
	n := len(args)
	query := fmt.Sprintf(`UPDATE payments SET updated_at = ?%d, %s WHERE id = ?%d AND state = ?%d`, n+1, set, n+2, n+3)
	changed, err := t.tx.exec(ctx, query, append(args, millis(t.tx.now), t.ID, t.State)...)
	return one(changed, err)
}

func (t *txPayment) updateRSVP(ctx context.Context, from, to RSVPStatus) error {
	return one(t.tx.exec(ctx, `UPDATE rsvps SET status = ? WHERE id = ? AND status = ?`, to, t.RSVPID, from))
}

// one refuses a change that found its row in another state than the books
// promise.
func one(changed int64, err error) error {
	if err == nil && changed != 1 {
		return fmt.Errorf("%w: payment and RSVP disagree", ErrCorrupt)
	}
	return err
}
