package store

import (
	"context"
	"crypto/sha256"
	"time"
)

// AddInvite lets one user register with the code of this hash, until it expires.
func (s *Server) AddInvite(ctx context.Context, hash [sha256.Size]byte, expires time.Time) error {
	return s.write(ctx, "add an invitation", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM invites WHERE expires_at <= ?`, millis(t.now)); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO invites (hash, expires_at) VALUES (?, ?)`, hash[:], millis(expires))
		return err
	})
}

// CheckInvite tells whether [Server.AddUser] would take an invitation. Errors:
// [ErrInvite].
func (s *Server) CheckInvite(ctx context.Context, hash [sha256.Size]byte) error {
	_, err := view(ctx, s.handle, "check an invitation", func(ctx context.Context, q *statements) (valid bool, err error) {
		err = q.row(ctx, `SELECT EXISTS (SELECT 1 FROM invites WHERE hash = ? AND expires_at > ?)`,
			hash[:], millis(s.now())).Scan(&valid)
		if err == nil && !valid {
			err = ErrInvite
		}
		return valid, err
	})
	return err
}

func useInvite(ctx context.Context, t *tx, hash [sha256.Size]byte) error {
	n, err := t.exec(ctx, `DELETE FROM invites WHERE hash = ? AND expires_at > ?`, hash[:], millis(t.now))
	if err == nil && n == 0 {
		return ErrInvite
	}
	return err
}
