package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// refundColumns are those of a refund f of payment p, in the order of
// paymentColumns.
const refundColumns = `f.payment_id, p.rsvp_id, f.state, f.state <> 'settled', 2, p.network, p.asset, f.payer, p.payer,
	p.amount, f.nonce, f.valid_after, f.valid_before, f.signature, f.since, f.tx, 0, f.reason, f.created_at, f.updated_at`

const refundTables = ` FROM refunds f JOIN payments p ON p.id = f.payment_id`

func refund(ctx context.Context, q rowQuerier, id string) (r payments.Payment, err error) {
	err = q.row(ctx, `SELECT `+refundColumns+refundTables+` WHERE f.payment_id = ?`, id).Scan(intoPayment(&r)...)
	if errors.Is(err, sql.ErrNoRows) {
		return payments.Payment{}, payments.ErrNoPayment
	}
	return r, err
}

// insertRefund makes a refund of a payment whose money is here and buys nothing
// any more.
func insertRefund(ctx context.Context, t *tx, paymentID string) error {
	_, err := t.exec(ctx, `INSERT INTO refunds (payment_id, state, retry_at, created_at, updated_at) VALUES (?1, 'owed', ?2, ?2, ?2)`,
		paymentID, millis(t.now))
	return err
}

// dropRefund forgets a refund of money that is not here after all. It is not
// signed: that waits until the money can't go away.
func dropRefund(ctx context.Context, t *tx, paymentID string) error {
	_, err := t.exec(ctx, `DELETE FROM refunds WHERE payment_id = ? AND state = 'owed'`, paymentID)
	return err
}

// Refund implements payments.Refunds. Errors: payments.ErrNoPayment.
func (h *Host) Refund(ctx context.Context, paymentID string) (payments.Payment, error) {
	return view(ctx, h.handle, "read a refund", func(ctx context.Context, q *statements) (payments.Payment, error) {
		return refund(ctx, q, paymentID)
	})
}

// received is whether a refund's payment has come, and can't go away again. Until
// then nothing goes back.
const received = `(SELECT 1 FROM payments p WHERE p.id = payment_id AND p.open = 0 AND p.state IN ('settled', 'owed'))`

// Sign implements payments.Refunds. A refund that may have been paid before a
// restore is not paid again: it is settled by the transfer that was found then, and
// while the chain has not been looked at for these, it stays owed. Errors: payments.ErrNoPayment, and
// [ErrInvalid] for an r without signature or of another payee or amount.
func (h *Host) Sign(ctx context.Context, r payments.Payment) (payments.Payment, error) {
	return h.changeRefund(ctx, "sign a refund", r.ID, func(ctx context.Context, t *tx, owed payments.Payment) error {
		if r.PayTo != owed.PayTo || r.Amount != owed.Amount || r.Payer.IsZero() || len(r.Signature) == 0 || r.Since > math.MaxInt64 {
			return fmt.Errorf("%w: refund", ErrInvalid)
		}
		if err := takeStray(ctx, t, r.ID); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE refunds SET state = 'settling', payer = ?, nonce = ?, valid_after = ?, valid_before = ?,
				signature = ?, since = ?, reason = '', updated_at = ?
			WHERE payment_id = ? AND state = 'owed' AND NOT EXISTS (SELECT 1 FROM restored WHERE one = 1 AND looked = 0) AND EXISTS `+received,
			r.Payer.String(), r.Nonce.String(), r.ValidAfter.UnixMilli(), r.ValidBefore.UnixMilli(),
			[]byte(r.Signature), int64(r.Since), millis(t.now), r.ID)
		return err
	})
}

// ConfirmRefund implements payments.Refunds. Also one that is owed is settled
// by it: the caller has seen the transfer. Errors: payments.ErrNoPayment.
func (h *Host) ConfirmRefund(ctx context.Context, id string, transaction x402.Bytes32) (payments.Payment, error) {
	return h.changeRefund(ctx, "confirm a refund", id, func(ctx context.Context, t *tx, r payments.Payment) error {
		if r.State == payments.Settled {
			return nil
		}
		return settleRefund(ctx, t, id, transaction.String())
	})
}

// settleRefund is for a refund whose money moved in a transaction.
func settleRefund(ctx context.Context, t *tx, id, transaction string) error {
	changed, err := t.exec(ctx, `UPDATE refunds SET state = 'settled', signature = NULL, tx = ?, reason = '', updated_at = ?
		WHERE payment_id = ? AND EXISTS `+received, transaction, millis(t.now), id)
	if err != nil || changed == 0 {
		return err
	}
	return one(t.exec(ctx, `UPDATE rsvps SET status = 'refunded'
		WHERE id = (SELECT rsvp_id FROM payments WHERE id = ?) AND status IN ('cancelled', 'failed')`, id))
}

// FailRefund implements payments.Refunds. Of the reasons for an authorization
// the first stays. Errors: payments.ErrNoPayment.
func (h *Host) FailRefund(ctx context.Context, id string, nonce x402.Bytes32, reason x402.Reason, final bool) (payments.Payment, error) {
	return h.changeRefund(ctx, "fail a refund", id, func(ctx context.Context, t *tx, r payments.Payment) error {
		if r.State != payments.Settling || r.Nonce != nonce {
			return nil
		}
		_, err := t.exec(ctx, `UPDATE refunds SET reason = CASE reason WHEN '' THEN ?1 ELSE reason END,
				state = iif(?2, 'owed', state), signature = iif(?2, NULL, signature), updated_at = iif(?2, ?3, updated_at)
			WHERE payment_id = ?4`, reason, final, millis(t.now), id)
		return err
	})
}

// Postpone implements payments.Refunds. Errors: payments.ErrNoPayment.
func (h *Host) Postpone(ctx context.Context, id string, reason x402.Reason, until time.Time) (payments.Payment, error) {
	return h.changeRefund(ctx, "postpone a refund", id, func(ctx context.Context, t *tx, _ payments.Payment) error {
		_, err := t.exec(ctx, `UPDATE refunds SET retry_at = ?1, reason = iif(?2 <> '' AND state = 'owed', ?2, reason)
			WHERE payment_id = ?3 AND state <> 'settled'`, until.UnixMilli(), reason, id)
		return err
	})
}

// changeRefund runs f on a refund and returns the refund as it is then.
func (h *Host) changeRefund(ctx context.Context, what, id string, f func(context.Context, *tx, payments.Payment) error) (r payments.Payment, err error) {
	err = h.write(ctx, what, func(ctx context.Context, t *tx) error {
		if r, err = refund(ctx, t, id); err != nil {
			return err
		}
		if err := f(ctx, t, r); err != nil {
			return err
		}
		r, err = refund(ctx, t, id)
		return err
	})
	if err != nil {
		return payments.Payment{}, err
	}
	return r, nil
}

// Due implements payments.Refunds.
func (h *Host) Due(ctx context.Context, n int) ([]string, error) {
	return view(ctx, h.handle, "list refunds", func(ctx context.Context, q *statements) ([]string, error) {
		return list(ctx, q, func(s scanner) (id string, err error) {
			err = s.Scan(&id)
			return id, err
		}, `SELECT payment_id FROM refunds WHERE state <> 'settled' AND retry_at <= ? AND EXISTS `+received+`
			ORDER BY retry_at, payment_id LIMIT ?`, h.now().UnixMilli(), n)
	})
}

// OpenRefunds returns the refunds of one event, or of all if eventID is "", that
// are not settled yet: at most n, those first that are looked at next.
func (h *Host) OpenRefunds(ctx context.Context, eventID string, n int) ([]payments.Payment, error) {
	return view(ctx, h.handle, "list refunds", func(ctx context.Context, q *statements) ([]payments.Payment, error) {
		return list(ctx, q, func(s scanner) (r payments.Payment, err error) {
			err = s.Scan(intoPayment(&r)...)
			return r, err
		}, `SELECT `+refundColumns+refundTables+` JOIN rsvps r ON r.id = p.rsvp_id
			WHERE f.state <> 'settled' AND (?1 = '' OR r.event_id = ?1) ORDER BY f.retry_at, f.payment_id LIMIT ?2`, eventID, n)
	})
}

// Clear implements payments.Refunds.
func (h *Host) Clear(ctx context.Context) (cleared bool, next time.Time, err error) {
	err = h.write(ctx, "clear", func(ctx context.Context, t *tx) error {
		cleared = false
		look, watched, err := watching(ctx, t)
		if err != nil {
			return err
		}
		err = t.row(ctx, `SELECT retry_at FROM refunds WHERE state <> 'settled' ORDER BY retry_at LIMIT 1`).Scan(asTime{&next})
		switch none := errors.Is(err, sql.ErrNoRows); {
		case watched && (none || err == nil && look.Before(next)):
			next = look
			return nil
		case !none:
			return err
		}
		cleared = true
		_, err = t.exec(ctx, `UPDATE cleared SET n = n + 1`)
		return err
	})
	return cleared && err == nil, next, err
}

// Cleared implements payments.Refunds.
func (h *Host) Cleared(ctx context.Context) (int64, error) {
	return view(ctx, h.handle, "read what is cleared", func(ctx context.Context, q *statements) (int64, error) {
		return cleared(ctx, q)
	})
}

func cleared(ctx context.Context, q rowQuerier) (n int64, err error) {
	err = q.row(ctx, `SELECT n FROM cleared`).Scan(&n)
	return n, err
}

// notCleared is the condition on which a refund may be made.
func notCleared(ctx context.Context, t *tx, want int64) error {
	n, err := cleared(ctx, t)
	if err == nil && n != want {
		return payments.ErrCleared
	}
	return err
}
