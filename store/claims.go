package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// Claims is the part of a [Server]'s file that implements payments.Claims: a
// type of its own because of its Close, which closes claims.
type Claims struct {
	handle
	keyed
}

var _ payments.Claims = (*Claims)(nil)

// Claims returns the claims of the server. They are open as long as it is.
func (s *Server) Claims() *Claims { return &Claims{s.handle, s.keyed} }

// Claim implements payments.Claims. A repetition by the same payment wins
// again. ClaimedAt is now if it is zero. Errors: [ErrInvalid] for a payment
// without id, or whose id has claimed another authorization, and for an
// identifier of another length than x402 allows; [ErrUserLeaving]; and
// payments.ErrAlreadyUsed for an authorization that was claimed at the Host of a
// user who is gone.
func (c *Claims) Claim(ctx context.Context, claim payments.Claim) (standing payments.Claim, won bool, err error) {
	err = c.write(ctx, "claim an authorization", func(ctx context.Context, t *tx) error {
		mine := claim
		if mine.ClaimedAt.IsZero() {
			mine.ClaimedAt = t.now
		}
		mine.ClaimedAt = truncate(mine.ClaimedAt)
		if err := c.fresh(ctx, t, claim); err != nil {
			return err
		}
		added, err := t.exec(ctx, `INSERT INTO claims (network, asset, payer, nonce, user_id, payment_id, fingerprint, identifier, claimed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			append(key(mine.ClaimKey), mine.User, mine.PaymentID, mine.Fingerprint[:], orNull(mine.Identifier, strings.Clone),
				millis(mine.ClaimedAt))...)
		switch {
		case refused(err):
			return fmt.Errorf("%w: payment id or identifier", ErrInvalid)
		case err != nil:
			return err
		case added == 1:
			standing, won = mine, true
			return nil
		}
		if standing, err = find(ctx, t, claim.ClaimKey); errors.Is(err, sql.ErrNoRows) {
			standing, err = identified(ctx, t, claim.User, claim.Payer, claim.Identifier)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: payment id", ErrInvalid)
		}
		mine.ClaimedAt = standing.ClaimedAt
		won = standing == mine
		return err
	})
	if err != nil {
		return payments.Claim{}, false, err
	}
	return standing, won, nil
}

// fresh refuses a claim that a removed user stands in the way of.
func (c *Claims) fresh(ctx context.Context, t *tx, claim payments.Claim) error {
	if err := gone(ctx, t, claim.User); err != nil {
		return err
	}
	var spent bool
	err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM spent WHERE hash = ?)`, c.hash(claim.ClaimKey)).Scan(&spent)
	if err == nil && spent {
		return payments.ErrAlreadyUsed
	}
	return err
}

// Find implements payments.Claims.
func (c *Claims) Find(ctx context.Context, k payments.ClaimKey) (payments.Claim, bool, error) {
	return c.find(ctx, func(ctx context.Context, q *statements) (payments.Claim, error) { return find(ctx, q, k) })
}

// Identified implements payments.Claims.
func (c *Claims) Identified(ctx context.Context, user string, payer x402.Address, identifier string) (payments.Claim, bool, error) {
	return c.find(ctx, func(ctx context.Context, q *statements) (payments.Claim, error) {
		return identified(ctx, q, user, payer, identifier)
	})
}

func (c *Claims) find(ctx context.Context, f func(context.Context, *statements) (payments.Claim, error)) (payments.Claim, bool, error) {
	claim, err := view(ctx, c.handle, "find a claim", f)
	if errors.Is(err, sql.ErrNoRows) {
		return payments.Claim{}, false, nil
	}
	return claim, err == nil, err
}

// Release implements payments.Claims. A claim that was closed stays.
func (c *Claims) Release(ctx context.Context, k payments.ClaimKey, paymentID string) error {
	return c.write(ctx, "release a claim", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM claims
			WHERE network = ? AND asset = ? AND payer = ? AND nonce = ? AND payment_id = ? AND open = 1`,
			append(key(k), paymentID)...)
		return err
	})
}

// FreeIdentifier implements payments.Claims.
func (c *Claims) FreeIdentifier(ctx context.Context, paymentID string) error {
	return c.write(ctx, "free an identifier", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE claims SET identifier = NULL WHERE payment_id = ?`, paymentID)
		return err
	})
}

// Open implements payments.Claims.
func (c *Claims) Open(ctx context.Context) ([]payments.Claim, error) {
	return view(ctx, c.handle, "list open claims", func(ctx context.Context, q *statements) ([]payments.Claim, error) {
		return list(ctx, q, scanClaim, `SELECT `+claimColumns+` FROM claims WHERE open = 1 ORDER BY claimed_at, payment_id`)
	})
}

// Reopen implements payments.Claims.
func (c *Claims) Reopen(ctx context.Context, claim payments.Claim) error {
	if _, _, err := c.Claim(ctx, claim); err != nil {
		return err
	}
	return c.write(ctx, "reopen a claim", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE claims SET open = 1
			WHERE network = ? AND asset = ? AND payer = ? AND nonce = ? AND payment_id = ?`, append(key(claim.ClaimKey), claim.PaymentID)...)
		return err
	})
}

// ReopenAll reopens the claims of a user whose payments are not closed, as closed
// tells: those of a Host whose file was put back to an earlier time. It returns how
// many there are.
func (c *Claims) ReopenAll(ctx context.Context, user string, closed func(paymentID string) (bool, error)) (n int, err error) {
	ids, err := view(ctx, c.handle, "list claims", func(ctx context.Context, q *statements) ([]string, error) {
		return list(ctx, q, func(s scanner) (id string, err error) {
			err = s.Scan(&id)
			return id, err
		}, `SELECT payment_id FROM claims WHERE user_id = ?`, user)
	})
	if err != nil {
		return 0, err
	}
	var again []string
	for _, id := range ids {
		switch done, err := closed(id); {
		case err != nil:
			return 0, err
		case !done:
			again = append(again, id)
		}
	}
	if len(again) == 0 {
		return 0, nil
	}
	text, err := json.Marshal(again)
	if err != nil {
		return 0, fmt.Errorf("reopen claims: %w", err)
	}
	err = c.write(ctx, "reopen claims", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE claims SET open = 1 WHERE payment_id IN (SELECT value FROM json_each(?))`, string(text))
		return err
	})
	return len(again), err
}

// Close implements payments.Claims. Ids that claim nothing are passed over.
func (c *Claims) Close(ctx context.Context, paymentIDs []string) error {
	if len(paymentIDs) == 0 {
		return nil
	}
	ids, err := json.Marshal(paymentIDs)
	if err != nil {
		return fmt.Errorf("close claims: %w", err)
	}
	return c.write(ctx, "close claims", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE claims SET open = 0
			WHERE payment_id IN (SELECT value FROM json_each(?)) AND open = 1`, string(ids))
		return err
	})
}

func key(k payments.ClaimKey) []any {
	return []any{k.Network, k.Asset.String(), k.Payer.String(), k.Nonce.String()}
}

const claimColumns = `network, asset, payer, nonce, user_id, payment_id, fingerprint, identifier, claimed_at`

func find(ctx context.Context, q rowQuerier, k payments.ClaimKey) (payments.Claim, error) {
	return scanClaim(q.row(ctx, `SELECT `+claimColumns+` FROM claims
		WHERE network = ? AND asset = ? AND payer = ? AND nonce = ?`, key(k)...))
}

func identified(ctx context.Context, q rowQuerier, user string, payer x402.Address, identifier string) (payments.Claim, error) {
	return scanClaim(q.row(ctx, `SELECT `+claimColumns+` FROM claims
		WHERE user_id = ? AND payer = ? AND identifier = ?`, user, payer.String(), identifier))
}

func scanClaim(s scanner) (c payments.Claim, err error) {
	err = s.Scan(&c.Network, asText{&c.Asset}, asText{&c.Payer}, asText{&c.Nonce},
		&c.User, &c.PaymentID, asHash{&c.Fingerprint}, zeroIfNull(&c.Identifier), asTime{&c.ClaimedAt})
	return c, err
}
