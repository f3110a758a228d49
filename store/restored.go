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

// restoredBy is more changes of events than are lost by a restore.
const restoredBy = "1000000"

// MarkRestored notes that the file was just put back to what it was at a time, so
// that the chain is looked at for what it does not know. wallet is what its guests
// pay to. A restore from before that is not over yet is part of it.
func (h *Host) MarkRestored(ctx context.Context, to time.Time, wallet x402.Address) error {
	return h.write(ctx, "note a restore", func(ctx context.Context, t *tx) error {
		// Guests' calendars and the index of all Hosts may have seen later revisions
		// than those that the events have again. In two steps, for no two events may
		// have the same in between.
		for _, query := range []string{
			`UPDATE events SET revision = -revision - ` + restoredBy,
			`UPDATE events SET revision = -revision`,
		} {
			if _, err := t.exec(ctx, query); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `INSERT INTO restored (one, restored_to, restored_at, wallet) VALUES (1, ?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET restored_to = min(restored_to, ?1), restored_at = ?2, wallet = ?3, next_block = 0, looked = 0`,
			to.UnixMilli(), millis(t.now), wallet.String())
		return err
	})
}

// Restored implements payments.Restores.
func (h *Host) Restored(ctx context.Context) (r payments.Restore, ok bool, err error) {
	r, err = view(ctx, h.handle, "read of a restore", func(ctx context.Context, q *statements) (r payments.Restore, err error) {
		err = q.row(ctx, `SELECT restored_to, restored_at, wallet, next_block, looked FROM restored WHERE one = 1`).Scan(
			asTime{&r.To}, asTime{&r.At}, asText{&r.Wallet}, &r.Next, &r.Looked)
		return r, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return payments.Restore{}, false, nil
	}
	return r, err == nil, err
}

// watching reports whether there is a restore that is not over, or a stray is left of
// one, and when to look at the Host again for that.
func watching(ctx context.Context, t *tx) (look time.Time, watched bool, err error) {
	looked := false
	err = t.row(ctx, `SELECT looked FROM restored WHERE one = 1`).Scan(&looked)
	if errors.Is(err, sql.ErrNoRows) {
		looked, err = true, t.row(ctx, `SELECT 1 FROM strays WHERE network > '' LIMIT 1`).Scan(new(int))
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, false, nil
	case looked:
		return t.now.Add(time.Hour), true, err
	}
	return t.now.Add(time.Minute), true, err
}

// Held implements payments.Restores.
func (h *Host) Held(ctx context.Context) ([]payments.Held, error) {
	return view(ctx, h.handle, "list open payments", func(ctx context.Context, q *statements) ([]payments.Held, error) {
		return list(ctx, q, func(s scanner) (p payments.Held, err error) {
			b := &p.Booking
			err = s.Scan(append(intoPayment(&p.Payment), &b.RSVPID, &b.EventID, &b.Seats, &b.Name, &b.Email)...)
			return p, err
		}, `SELECT `+paymentColumns+`, r.id, r.event_id, r.seats, r.name, r.email
			FROM payments p JOIN rsvps r ON r.id = p.rsvp_id WHERE p.open = 1`)
	})
}

// Accounted implements payments.Restores.
func (h *Host) Accounted(ctx context.Context, k payments.ClaimKey) (bool, error) {
	return view(ctx, h.handle, "look for a payment", func(ctx context.Context, q *statements) (known bool, err error) {
		err = q.row(ctx, `SELECT EXISTS (SELECT 1 FROM payments
			WHERE network = ? AND asset = ? AND payer = ? AND nonce = ? AND (open = 1 OR state <> 'failed'))`, key(k)...).Scan(&known)
		return known, err
	})
}

// Recover implements payments.Restores. Money that came is owed for an RSVP of an
// event that is there for nothing else ([FoundEvent]).
func (h *Host) Recover(ctx context.Context, r payments.Restore, found []payments.Found) error {
	return h.write(ctx, "recover payments", func(ctx context.Context, t *tx) error {
		if r.Next > math.MaxInt64 {
			return fmt.Errorf("%w: block", ErrInvalid)
		}
		for _, f := range found {
			record := recoverPayment
			if f.From == r.Wallet {
				record = recoverRefund
			}
			if err := record(ctx, t, r, f); err != nil {
				return err
			}
		}
		if err := matchStrays(ctx, t); err != nil {
			return err
		}
		if r.Over {
			if _, err := t.exec(ctx, `DELETE FROM strays WHERE nonce NOT IN (SELECT s.nonce`+couldBe+`)`); err != nil {
				return err
			}
			_, err := t.exec(ctx, `DELETE FROM restored`)
			return err
		}
		return one(t.exec(ctx, `UPDATE restored SET restored_at = ?, next_block = ?, looked = ?`, millis(r.At), int64(r.Next), r.Looked))
	})
}

// FoundEvent is the event whose RSVPs are payments that were found on the chain
// after a restore, and nobody knows what for. It is cancelled.
const FoundEvent = "evt_found_after_restore"

// recoverPayment owes money of which there is no record.
func recoverPayment(ctx context.Context, t *tx, r payments.Restore, f payments.Found) error {
	switch _, abandoned, err := t.heard(ctx, f.PaymentID); {
	case err != nil:
		return err
	case abandoned:
		return payments.ErrAbandoned
	}
	const title, description = "Payments found after a restore",
		"These guests paid after the time to which the books were put back. What they had booked is not known; their money goes back."
	if _, err := t.exec(ctx, `INSERT INTO events (id, title, description, starts_at, time_zone, location, capacity, price,
			cancelled, created_at, revision, changed_at, search)
			VALUES (?1, ?2, ?3, ?4, 'UTC', '', 0, 0, 1, ?5, (`+nextRevision+`), ?5, '') ON CONFLICT DO NOTHING`,
		FoundEvent, title, description, millis(r.To), millis(t.now)); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO rsvps (id, event_id, seats, status, payer, name, email, amount, created_at)
			VALUES (?, ?, 1, 'failed', ?, '', '', ?, ?)`,
		f.RSVPID, FoundEvent, f.From.String(), f.Amount, millis(t.now)); err != nil {
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to,
			amount, nonce, valid_after, valid_before, since, tx, block, reason, created_at, updated_at)
		VALUES (?1, ?2, 'owed', 0, 2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?10, ?12, ?13, ?13)`,
		f.PaymentID, f.RSVPID, f.Network, f.Token.String(), f.From.String(), f.To.String(), f.Amount, f.Nonce.String(),
		millis(r.To), int64(f.Block), x402.Bytes32(f.Transaction).String(), payments.ReasonRestored, millis(t.now)) // #nosec G115 -- a number of a block, below r.Next
	if err != nil {
		return err
	}
	return insertRefund(ctx, t, f.PaymentID)
}

// recoverRefund records money that was sent back. That of a refund's authorization
// is its own, and the chain is asked about it anyway; unless it was given up for
// another, which can't be if its money moved.
func recoverRefund(ctx context.Context, t *tx, _ payments.Restore, f payments.Found) error {
	var id string
	var state payments.State
	err := t.row(ctx, `SELECT payment_id, state FROM refunds WHERE payer = ? AND nonce = ?`, f.From.String(), f.Nonce.String()).Scan(&id, &state)
	switch tx := x402.Bytes32(f.Transaction).String(); {
	case err == nil && state == payments.Owed:
		return settleRefund(ctx, t, id, tx)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	default:
		_, err = t.exec(ctx, `INSERT INTO strays (network, asset, payee, amount, payer, nonce, tx, block) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, f.Network, f.Token.String(), f.To.String(), f.Amount, f.From.String(), f.Nonce.String(), tx, int64(f.Block)) // #nosec G115 -- a number of a block, below r.Next
		return err
	}
}

// Stray is money that was sent back before a restore, for a payment that can't be
// told from others.
type Stray struct {
	Payee       x402.Address
	Amount      x402.Amount
	Transaction x402.Bytes32
}

// Strays returns those that are left.
func (h *Host) Strays(ctx context.Context) ([]Stray, error) {
	return view(ctx, h.handle, "list strays", func(ctx context.Context, q *statements) ([]Stray, error) {
		return list(ctx, q, func(s scanner) (y Stray, err error) {
			err = s.Scan(asText{&y.Payee}, &y.Amount, asText{&y.Transaction})
			return y, err
		}, `SELECT payee, amount, tx FROM strays ORDER BY network, asset, payee, amount, nonce`)
	})
}

// stray is the authorization of one, and its transaction.
type stray struct{ payer, nonce, tx string }

const strayColumns = `s.payer, s.nonce, s.tx`

// couldBe are the payments p that the money of a stray s could have been sent back
// for: of its amount, by its payee, before it.
const couldBe = ` FROM strays s JOIN payments p ON p.network = s.network AND p.asset = s.asset AND p.payer = s.payee
	AND (p.open = 1 OR p.state <> 'failed') AND p.amount = s.amount AND p.block <= s.block
	LEFT JOIN refunds f ON f.payment_id = p.id`

// matchStrays takes strays for the refunds that are owed for such payments, and
// where there are no more such payments than strays for the refunds of all of them:
// they were sent back after the time to which the books were put back.
func matchStrays(ctx context.Context, t *tx) error {
	for _, query := range []string{
		`SELECT p.id, ` + strayColumns + couldBe + ` WHERE p.open = 0 AND f.state IN ('owed', 'settling')
			ORDER BY s.block, f.created_at LIMIT 1`,
		`SELECT min(p.id), ` + strayColumns + couldBe + ` WHERE coalesce(f.state, '') <> 'settled'
			GROUP BY s.network, s.asset, s.payee, s.amount, s.nonce
			HAVING max(p.open) = 0 AND min(p.state) = 'settled' AND max(p.state) = 'settled' AND count(*) <= (SELECT count(*) FROM strays o
				WHERE o.network = s.network AND o.asset = s.asset AND o.payee = s.payee AND o.amount = s.amount) LIMIT 1`,
	} {
		for {
			var id string
			var y stray
			err := t.row(ctx, query).Scan(&id, &y.payer, &y.nonce, &y.tx)
			if errors.Is(err, sql.ErrNoRows) {
				break
			}
			if err != nil {
				return err
			}
			if err := y.settle(ctx, t, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeStray settles a refund that is to be paid by a stray that may have paid it.
func takeStray(ctx context.Context, t *tx, paymentID string) error {
	var y stray
	err := t.row(ctx, `SELECT `+strayColumns+couldBe+` WHERE p.id = ? LIMIT 1`, paymentID).Scan(&y.payer, &y.nonce, &y.tx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return y.settle(ctx, t, paymentID)
}

// settle takes a stray for the refund of a payment. If there was none, its RSVP is
// cancelled by that, as it was before.
func (y stray) settle(ctx context.Context, t *tx, paymentID string) error {
	if err := one(t.exec(ctx, `DELETE FROM strays WHERE payer = ? AND nonce = ?`, y.payer, y.nonce)); err != nil {
		return err
	}
	r, err := rsvpOf(ctx, t, paymentID)
	if err != nil {
		return err
	}
	if r.Refund == nil {
		if err := one(t.exec(ctx, `UPDATE rsvps SET status = 'cancelled' WHERE id = ? AND status = 'confirmed'`, r.ID)); err != nil {
			return err
		}
		if err := takeSeats(ctx, t, r.EventID, -r.Seats); err != nil {
			return err
		}
		if err := insertRefund(ctx, t, paymentID); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, `UPDATE refunds SET payer = ?, nonce = ? WHERE payment_id = ?`, y.payer, y.nonce, paymentID); err != nil {
		return err
	}
	return settleRefund(ctx, t, paymentID, y.tx)
}

func rsvpOf(ctx context.Context, t *tx, paymentID string) (RSVP, error) {
	p, err := payment(ctx, t, paymentID)
	if err != nil {
		return RSVP{}, err
	}
	return rsvp(ctx, t, p.RSVPID)
}
