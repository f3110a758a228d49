package store

import (
	"context"
	"fmt"

	"github.com/events-concierge/concierge/payments"
)

var _ payments.Debtors = (*Server)(nil)

// Note implements payments.Debtors. Errors: [ErrInvalid] if there is no user.
func (s *Server) Note(ctx context.Context, user string) error {
	return s.write(ctx, "note a debtor", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT OR REPLACE INTO debtors (user_id) VALUES (?)`, user)
		if refused(err) {
			return fmt.Errorf("%w: user without id", ErrInvalid)
		}
		return err
	})
}

// Debtors implements payments.Debtors.
func (s *Server) Debtors(ctx context.Context) ([]payments.Debtor, error) {
	return view(ctx, s.handle, "list debtors", func(ctx context.Context, q *statements) ([]payments.Debtor, error) {
		return list(ctx, q, func(s scanner) (d payments.Debtor, err error) {
			err = s.Scan(&d.Seq, &d.User)
			return d, err
		}, `SELECT seq, user_id FROM debtors ORDER BY seq`)
	})
}

// Strike implements payments.Debtors.
func (s *Server) Strike(ctx context.Context, d payments.Debtor) error {
	return s.write(ctx, "strike a debtor", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM debtors WHERE seq = ? AND user_id = ?`, d.Seq, d.User)
		return err
	})
}
