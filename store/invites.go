package store

import (
	"context"
	"crypto/sha256"
	"time"
)

// AddInvite lets one user register with the code of this hash, until it expires.
func (s *Server) AddInvite(ctx context.Context, hash [sha256.Size]byte, expires time.Time) error {
	return s.f.write.do(ctx, "add an invitation", func(ctx context.Context, t *tx) error {
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
	var valid bool
	err := s.f.read.row(ctx, `SELECT EXISTS (SELECT 1 FROM invites WHERE hash = ? AND expires_at > ?)`,
		hash[:], s.f.now().UnixMilli()).Scan(&valid)
	if err == nil && !valid {
		err = ErrInvite
	}
	if err != nil {
		return s.f.read.fail("check an invitation", err, nil)
	}
	return nil
}

func useInvite(ctx context.Context, t *tx, hash [sha256.Size]byte) error {
	n, err := t.exec(ctx, `DELETE FROM invites WHERE hash = ? AND expires_at > ?`, hash[:], millis(t.now))
	if err == nil && n == 0 {
		return ErrInvite
	}
	return err
}
