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
func (h *Host) Confirm(ctx context.Context, id string, s payments.Settlement) (payments.Payment, error) {
	return h.change(ctx, "confirm a payment", id, func(ctx context.Context, t *txPayment) error {
		switch t.State {
		case payments.Settling:
			return t.settle(ctx, s)
		case payments.Failed:
			if err := t.settleLate(ctx, s); !duplicate(err) { // see payments_one_per_authorization
				return err
			}
		default:
			if t.Open {
				return t.received(ctx, t.State, s)
			}
		}
		return nil
	})
}

// Reopen implements payments.Ledger. An RSVP that was confirmed is pending
// again and keeps its seats; one that was cancelled stays so, and its refund
// waits. What was owed is not. Errors: payments.ErrNoPayment.
func (h *Host) Reopen(ctx context.Context, id string) (payments.Payment, error) {
	return h.change(ctx, "reopen a payment", id, func(ctx context.Context, t *txPayment) error {
		const set = `tx = NULL, block = 0, state = ?1`
		switch {
		case t.State == payments.Settled && t.Open:
			if err := t.update(ctx, set, payments.Settling); err != nil {
				return err
			}
			r, err := rsvp(ctx, t.tx, t.RSVPID)
			if err != nil || r.Status == RSVPCancelled {
				return err
			}
			return t.updateRSVP(ctx, RSVPConfirmed, RSVPPending)
		case t.State == payments.Owed && t.Open:
			if err := t.update(ctx, set, payments.Failed); err != nil {
				return err
			}
			return dropRefund(ctx, t.tx, t.ID)
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
	tx    *tx
	stale bool // it has been changed, and must be read again
}

// change runs f on a payment and returns the payment as it is then.
func (h *Host) change(ctx context.Context, what, id string, f func(context.Context, *txPayment) error) (p payments.Payment, err error) {
	err = h.write(ctx, what, func(ctx context.Context, t *tx) error {
		if p, err = payment(ctx, t, id); err != nil {
			return err
		}
		changed := &txPayment{Payment: p, tx: t}
		if err := f(ctx, changed); err != nil {
			return err
		}
		if p = changed.Payment; changed.stale {
			p, err = payment(ctx, t, id)
		}
		return err
	})
	if err != nil {
		return payments.Payment{}, err
	}
	return p, nil
}

func (t *txPayment) settle(ctx context.Context, s payments.Settlement) error {
	var r RSVP
	var cancelled bool // the event
	if err := t.tx.row(ctx, `SELECT r.event_id, r.seats, r.status, e.cancelled FROM rsvps r JOIN events e ON e.id = r.event_id
		WHERE r.id = ?`, t.RSVPID).Scan(&r.EventID, &r.Seats, &r.Status, &cancelled); err != nil {
		return err
	}
	switch {
	case r.Status == RSVPCancelled: // confirmed once, and the refund waits for this
		return t.received(ctx, payments.Settled, s)
	case cancelled:
		if err := t.updateRSVP(ctx, RSVPPending, RSVPCancelled); err != nil {
			return err
		}
		if err := takeSeats(ctx, t.tx, r.EventID, -r.Seats); err != nil {
			return err
		}
		return t.owe(ctx, s)
	}
	if err := t.received(ctx, payments.Settled, s); err != nil {
		return err
	}
	return t.confirmRSVP(ctx, RSVPPending)
}

// received records the transfer of the money, and has the payment as it is then. One
// that was closed before stays closed: nobody watches it any more.
func (t *txPayment) received(ctx context.Context, state payments.State, s payments.Settlement) error {
	if state == payments.Settled {
		t.Reason = ""
	}
	if t.Open = t.Open && !s.Final; !t.Open {
		t.Signature = nil
	}
	if err := t.update(ctx, `state = ?1, tx = ?2, block = ?3, open = ?4, signature = CASE WHEN ?4 THEN signature END, reason = ?5`,
		state, s.Transaction.String(), int64(s.Block), t.Open, t.Reason); err != nil { // #nosec G115 -- a number of a block
		return err
	}
	t.State, t.Transaction, t.Block, t.UpdatedAt, t.stale = state, s.Transaction, s.Block, truncate(t.tx.now), false
	return nil
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
	if r.Status == RSVPCancelled { // confirmed once, until the chain took the money back
		return dropRefund(ctx, t.tx, t.ID)
	}
	if err := t.updateRSVP(ctx, RSVPPending, RSVPFailed); err != nil {
		return err
	}
	return takeSeats(ctx, t.tx, r.EventID, -r.Seats)
}

// settleLate is for money that moved after the seats had been given back.
func (t *txPayment) settleLate(ctx context.Context, s payments.Settlement) error {
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
	if e.Cancelled || r.Status == RSVPCancelled || booked || !e.has(r.Seats) {
		return t.owe(ctx, s)
	}
	if err := t.received(ctx, payments.Settled, s); err != nil {
		return err
	}
	if err := t.confirmRSVP(ctx, RSVPFailed); err != nil {
		return err
	}
	return takeSeats(ctx, t.tx, r.EventID, r.Seats)
}

// owe is for money that moved and buys nothing.
func (t *txPayment) owe(ctx context.Context, s payments.Settlement) error {
	if err := t.received(ctx, payments.Owed, s); err != nil {
		return err
	}
	return insertRefund(ctx, t.tx, t.ID)
}

// update changes the payment, provided that it is in the state it was read in.
func (t *txPayment) update(ctx context.Context, set string, args ...any) error {
	n := len(args)
	query := fmt.Sprintf(`UPDATE payments SET updated_at = ?%d, %s WHERE id = ?%d AND state = ?%d`, n+1, set, n+2, n+3)
	t.stale = true
	changed, err := t.tx.exec(ctx, query, append(args, millis(t.tx.now), t.ID, t.State)...)
	return one(changed, err)
}

func (t *txPayment) updateRSVP(ctx context.Context, from, to RSVPStatus) error {
	return one(t.tx.exec(ctx, `UPDATE rsvps SET status = ? WHERE id = ? AND status = ?`, to, t.RSVPID, from))
}

func (t *txPayment) confirmRSVP(ctx context.Context, from RSVPStatus) error {
	t.Booked = true
	return t.updateRSVP(ctx, from, RSVPConfirmed)
}

// one refuses a change that found its row in another state than the books
// promise.
func one(changed int64, err error) error {
	if err == nil && changed != 1 {
		return fmt.Errorf("%w: payment and RSVP disagree", ErrCorrupt)
	}
	return err
}
