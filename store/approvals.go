package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// ApprovalState is what a person said.
type ApprovalState string

// States of an approval.
const (
	ApprovalAsked    ApprovalState = "asked"
	ApprovalApproved ApprovalState = "approved"
	ApprovalDenied   ApprovalState = "denied" // and is not asked again before it expires
	ApprovalUsed     ApprovalState = "used"
	ApprovalExpired  ApprovalState = "expired"
)

// ApprovalLife is how long a question waits for its answer, and a yes for the
// payment.
const ApprovalLife = 10 * time.Minute

// Approval is a question to a person, and the answer: good for one payment of
// exactly this charge.
type Approval struct {
	ID int64
	Charge
	State     ApprovalState
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Ask returns the question whether a charge may be paid: the one that is there,
// or a new one.
func (p *Purse) Ask(ctx context.Context, c Charge) (a Approval, err error) {
	err = p.write(ctx, "ask for approval", func(ctx context.Context, t *tx) error {
		if err := expireApprovals(ctx, t); err != nil {
			return err
		}
		args := append(c.values(), millis(t.now), millis(t.now.Add(ApprovalLife)))
		if _, err := t.exec(ctx, `INSERT INTO approvals (`+chargeColumns+`, created_at, expires_at, state)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'asked') ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
		a, err = scanApproval(t.row(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE `+sameCharge, c.key()...))
		return err
	})
	return a, err
}

// sameCharge finds the live approval of a charge by [Charge.key].
const sameCharge = `call = ? AND network = ? AND asset = ? AND pay_to = ? AND amount = ? AND state IN ('asked', 'approved', 'denied')`

func (c Charge) key() []any {
	return []any{c.Call[:], string(c.Network), c.Asset.String(), c.PayTo.String(), int64(c.Amount)}
}

func expireApprovals(ctx context.Context, t *tx) error {
	_, err := t.exec(ctx, `UPDATE approvals SET state = 'expired' WHERE state IN ('asked', 'approved', 'denied') AND expires_at <= ?`, millis(t.now))
	return err
}

// useApproval uses up the approval of a charge.
func useApproval(ctx context.Context, t *tx, c Charge) error {
	n, err := t.exec(ctx, `UPDATE approvals SET state = 'used' WHERE `+sameCharge+` AND state = 'approved' AND expires_at > ?`,
		append(c.key(), millis(t.now))...)
	if err == nil && n == 0 {
		return ErrNotApproved
	}
	return err
}

// Answer notes what a person said to a question, who may change their mind until
// it is used or expires. Errors: [ErrNoApproval].
func (p *Purse) Answer(ctx context.Context, id int64, yes bool) (a Approval, err error) {
	state := ApprovalDenied
	if yes {
		state = ApprovalApproved
	}
	err = p.write(ctx, "note an answer", func(ctx context.Context, t *tx) error {
		a, err = scanApproval(t.row(ctx, `UPDATE approvals SET state = ?, expires_at = ?
			WHERE id = ? AND state IN ('asked', 'approved', 'denied') AND expires_at > ? RETURNING `+approvalColumns,
			string(state), millis(t.now.Add(ApprovalLife)), id, millis(t.now)))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoApproval
		}
		return err
	})
	return a, err
}

// Approval returns a question that has not expired. Errors: [ErrNoApproval].
func (p *Purse) Approval(ctx context.Context, id int64) (Approval, error) {
	return view(ctx, p.handle, "read a question", func(ctx context.Context, q *statements) (Approval, error) {
		a, err := scanApproval(q.row(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) || err == nil && a.State != ApprovalUsed && !p.now().Before(a.ExpiresAt) {
			return Approval{}, ErrNoApproval
		}
		return a, err
	})
}

// Asked returns the questions that wait for an answer, the oldest first, about
// payments of one payer or, for the zero address, of all.
func (p *Purse) Asked(ctx context.Context, payer x402.Address) ([]Approval, error) {
	return view(ctx, p.handle, "list questions", func(ctx context.Context, q *statements) ([]Approval, error) {
		return list(ctx, q, scanApproval, `SELECT `+approvalColumns+` FROM approvals 
			WHERE state = 'asked' AND expires_at > ?1 AND (?2 = '' OR payer = ?2) ORDER BY id LIMIT 100`, millis(p.now()), textOf(payer))
	})
}

const approvalColumns = `id, ` + chargeColumns + `, state, created_at, expires_at`

func scanApproval(s scanner) (a Approval, err error) {
	into := append([]any{&a.ID}, a.scan()...)
	err = s.Scan(append(into, &a.State, asTime{&a.CreatedAt}, asTime{&a.ExpiresAt})...)
	return a, err
}
