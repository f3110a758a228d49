package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"time"
)

// What a code that is sent to an email is good for.
const (
	CodeValid   = 15 * time.Minute
	CodeTries   = 5
	CodesAnHour = 5
)

// AddCode notes the code that is about to be sent to an email, in place of the
// one before. Both are hashes. Errors: [ErrTooManyCodes].
func (s *Server) AddCode(ctx context.Context, email, code [sha256.Size]byte) error {
	return s.write(ctx, "note a code", func(ctx context.Context, t *tx) error {
		now, hourAgo := millis(t.now), millis(t.now.Add(-time.Hour))
		if _, err := t.exec(ctx, `DELETE FROM codes WHERE since <= ? AND expires_at <= ?`, hourAgo, now); err != nil {
			return err
		}
		added, err := t.exec(ctx, `INSERT INTO codes (email, code, tries, expires_at, sent, since) VALUES (?1, ?2, ?3, ?4, 1, ?5)
			ON CONFLICT (email) DO UPDATE SET code = ?2, tries = ?3, expires_at = ?4,
				sent = iif(since <= ?6, 1, sent + 1), since = iif(since <= ?6, ?5, since)
			WHERE since <= ?6 OR sent < ?7`,
			email[:], code[:], CodeTries, millis(t.now.Add(CodeValid)), now, hourAgo, CodesAnHour)
		if err == nil && added == 0 {
			return ErrTooManyCodes
		}
		return err
	})
}

// UseCode takes the code of an email, once. A wrong one is counted: after
// [CodeTries] of them the right one is wrong too. Errors: [ErrCode].
func (s *Server) UseCode(ctx context.Context, email, code [sha256.Size]byte) error {
	right := false
	err := s.write(ctx, "use a code", func(ctx context.Context, t *tx) error {
		right = false
		var want [sha256.Size]byte
		err := t.row(ctx, `SELECT code FROM codes WHERE email = ? AND code IS NOT NULL AND tries > 0 AND expires_at > ?`,
			email[:], millis(t.now)).Scan(asHash{&want})
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrCode
		case err != nil:
			return err
		}
		right = subtle.ConstantTimeCompare(want[:], code[:]) == 1
		_, err = t.exec(ctx, `UPDATE codes SET tries = tries - 1, code = iif(?, NULL, code) WHERE email = ?`, right, email[:])
		return err
	})
	if err == nil && !right {
		return ErrCode
	}
	return err
}
