package store

import (
	"context"
	"fmt"

	"github.com/events-concierge/concierge/payments"
)

var _ payments.Debtors = (*Server)(nil)

// Note implements payments.Debtors. Errors: [ErrInvalid] if there is no user,
// [ErrUserLeaving].
func (s *Server) Note(ctx context.Context, user string) error {
	return s.f.write.do(ctx, "note a debtor", func(ctx context.Context, t *tx) error {
		if err := gone(ctx, t, user); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT OR REPLACE INTO debtors (user_id) VALUES (?)`, user)
		if refused(err) {
			return fmt.Errorf("%w: user without id", ErrInvalid)
		}
		return err
	})
}

// Debtors implements payments.Debtors.
func (s *Server) Debtors(ctx context.Context) ([]payments.Debtor, error) {
	debtors, err := list(ctx, s.f.read, func(s scanner) (d payments.Debtor, err error) {
		err = s.Scan(&d.Seq, &d.User)
		return d, err
	}, `SELECT seq, user_id FROM debtors ORDER BY seq`)
	if err != nil {
		return nil, s.f.read.fail("list debtors", err, nil)
	}
	return debtors, nil
}

// Strike implements payments.Debtors.
func (s *Server) Strike(ctx context.Context, d payments.Debtor) error {
	return s.f.write.do(ctx, "strike a debtor", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM debtors WHERE seq = ? AND user_id = ?`, d.Seq, d.User)
		return err
	})
}
