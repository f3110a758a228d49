package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Revenue is what became of payments. All that was received is in Settled,
// Refunded or Owed; Settled and Owed have not left the wallet.
type Revenue struct {
	Settled  x402.Amount // received and kept
	Refunded x402.Amount // received and sent back
	Pending  x402.Amount // being settled: the chain will tell
	Owed     x402.Amount // received and to be sent back, or on its way
}

func (r *Revenue) into() []any { return []any{&r.Settled, &r.Refunded, &r.Pending, &r.Owed} }

// Revenue sums up the payments of one event, or of all if eventID is "".
// Errors: [ErrEventNotFound].
func (h *Host) Revenue(ctx context.Context, eventID string) (Revenue, error) {
	return view(ctx, h.handle, "sum up revenue", func(ctx context.Context, q *statements) (r Revenue, err error) {
		if eventID == "" {
			return r, q.row(ctx, `SELECT coalesce(sum(settled), 0), coalesce(sum(refunded), 0), coalesce(sum(pending), 0),
				coalesce(sum(owed), 0) FROM takings_by_day`).Scan(r.into()...)
		}
		if _, err := event(ctx, q, eventID); err != nil {
			return r, err
		}
		err = q.row(ctx, `SELECT settled, refunded, pending, owed FROM takings_by_event WHERE event_id = ?`, eventID).Scan(r.into()...)
		if errors.Is(err, sql.ErrNoRows) { // nobody has paid
			return r, nil
		}
		return r, err
	})
}

// Day is what became of the payments that were begun on one day.
type Day struct {
	Date time.Time // its beginning, UTC
	Revenue
}

const dayLength = 24 * 60 * 60 * 1000 // in milliseconds

// RevenueByDay returns, in their order, the days from the one of from to the one
// of to, both included, on which payments were begun; days are those of UTC. A
// zero time is no bound.
func (h *Host) RevenueByDay(ctx context.Context, from, to time.Time) ([]Day, error) {
	return view(ctx, h.handle, "sum up revenue by day", func(ctx context.Context, q *statements) ([]Day, error) {
		return list(ctx, q, func(s scanner) (d Day, err error) {
			var n int64
			err = s.Scan(append([]any{&n}, d.into()...)...)
			d.Date = time.UnixMilli(n * dayLength).UTC()
			return d, err
		}, `SELECT day, settled, refunded, pending, owed FROM takings_by_day WHERE day BETWEEN ? AND ? ORDER BY day`,
			bound(from, 0)/dayLength, bound(to, never)/dayLength)
	})
}
