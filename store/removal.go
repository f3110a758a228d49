package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments"
)

// Removal is how far the removal of a user has come.
type Removal string

// The stages. A removal that is closing may be given up; one that is deleting
// can only be finished.
const (
	RemovalClosing  Removal = "closing"  // nothing new begins; what has begun is looked at, and exported
	RemovalDeleting Removal = "deleting" // the user's files go
)

// remembered is for how long a removed user is known as one, so that a call that
// began before does not begin anything now.
const remembered = 24 * time.Hour

// claimBatch bounds how long others wait for the claims of a removed user.
const claimBatch = 500

// StartRemoval closes a user's Host, or goes on with a removal that was begun
// before. From then on the user is [ErrUserLeaving] and nothing new is claimed or
// owed. Errors: [ErrUserNotFound].
func (s *Server) StartRemoval(ctx context.Context, user string) (u User, stage Removal, err error) {
	err = s.write(ctx, "start a removal", func(ctx context.Context, t *tx) error {
		if u, stage, err = removal(ctx, t, user); err != nil || stage != "" {
			return err
		}
		stage = RemovalClosing
		_, err := t.exec(ctx, `INSERT INTO removals (user_id, state, since) VALUES (?, 'closing', ?)`, user, millis(t.now))
		return err
	})
	return u, stage, err
}

// Removal returns a user who may be leaving, and how far their removal has come; ""
// if none was begun. Errors: [ErrUserNotFound].
func (s *Server) Removal(ctx context.Context, user string) (u User, stage Removal, err error) {
	u, err = view(ctx, s.handle, "read a removal", func(ctx context.Context, q *statements) (u User, err error) {
		u, stage, err = removal(ctx, q, user)
		return u, err
	})
	return u, stage, err
}

func removal(ctx context.Context, q rowQuerier, user string) (u User, stage Removal, err error) {
	if u, err = presentUser(ctx, q, user); !errors.Is(err, ErrUserLeaving) {
		return u, "", err
	}
	err = q.row(ctx, `SELECT state FROM removals WHERE user_id = ?`, user).Scan(&stage)
	return u, stage, err
}

// StopRemoval opens a user's Host again, if it is not too late.
func (s *Server) StopRemoval(ctx context.Context, user string) error {
	return s.write(ctx, "stop a removal", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM removals WHERE user_id = ? AND state = 'closing'`, user)
		return err
	})
}

// CommitRemoval makes a removal one that can only be finished.
func (s *Server) CommitRemoval(ctx context.Context, user string) error {
	return s.write(ctx, "commit a removal", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE removals SET state = 'deleting' WHERE user_id = ? AND state IN ('closing', 'deleting')`, user)
		if err == nil && n == 0 { // somebody else has given it up, or was faster
			return ErrUserNotFound
		}
		return err
	})
}

// FinishRemoval forgets a user whose removal is committed: tokens, debts and the
// user themself. Of their claims hashes stay. It may be repeated.
func (s *Server) FinishRemoval(ctx context.Context, user string) error {
	for after := int64(0); ; {
		batch, err := view(ctx, s.handle, "list claims", func(ctx context.Context, q *statements) ([]int64, error) {
			return list(ctx, q, func(s scanner) (n int64, err error) {
				err = s.Scan(&n)
				return n, err
			}, `SELECT rowid FROM claims WHERE rowid > ? AND user_id = ? ORDER BY rowid LIMIT ?`, after, user, claimBatch)
		})
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		if err := s.spend(ctx, batch); err != nil {
			return err
		}
		after = batch[len(batch)-1]
	}
	return s.write(ctx, "finish a removal", func(ctx context.Context, t *tx) error {
		for _, query := range []string{`DELETE FROM users WHERE id = ?`, `DELETE FROM debtors WHERE user_id = ?`} {
			if _, err := t.exec(ctx, query, user); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, `UPDATE removals SET state = 'done', since = ? WHERE user_id = ?`, millis(t.now), user); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM removals WHERE state = 'done' AND since <= ?`, millis(t.now.Add(-remembered)))
		return err
	})
}

// spend puts hashes in the place of claims.
func (s *Server) spend(ctx context.Context, rows []int64) error {
	return s.write(ctx, "forget claims", func(ctx context.Context, t *tx) error {
		for _, n := range rows {
			c, err := scanClaim(t.row(ctx, `SELECT `+claimColumns+` FROM claims WHERE rowid = ?`, n))
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			hash := s.hash(c.ClaimKey)
			if _, err := t.exec(ctx, `INSERT INTO spent (hash) VALUES (?) ON CONFLICT DO NOTHING`, hash); err != nil {
				return err
			}
			if _, err := t.exec(ctx, `DELETE FROM claims WHERE rowid = ?`, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// hash names an authorization to who has the server's secret, and says nothing to
// others: whoever has the chain has all authorizations, and could try them.
func (k keyed) hash(c payments.ClaimKey) []byte {
	mac := hmac.New(sha256.New, k.secret)
	fmt.Fprint(mac, strings.Join([]string{string(c.Network), c.Asset.String(), c.Payer.String(), c.Nonce.String()}, "\x00"))
	return mac.Sum(nil)
}

// keyed makes hashes under the server's secret.
type keyed struct{ secret []byte }

// gone refuses what would begin at the Host of a user who is being removed, or was.
func gone(ctx context.Context, t *tx, user string) error {
	var leaving bool
	err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM removals WHERE user_id = ?)`, user).Scan(&leaving)
	if err == nil && leaving {
		return ErrUserLeaving
	}
	return err
}
