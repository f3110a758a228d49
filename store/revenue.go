package store

import (
	"context"

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

// Revenue sums up the payments of one event, or of all if eventID is "".
// Errors: [ErrEventNotFound].
func (h *Host) Revenue(ctx context.Context, eventID string) (Revenue, error) {
	const sums = `SELECT
		coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IS NULL), 0),
		coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state = 'settled'), 0),
		coalesce(sum(p.amount) FILTER (WHERE p.state = 'settling'), 0),
		coalesce(sum(p.amount) FILTER (WHERE p.state IN ('settled', 'owed') AND f.state IN ('owed', 'settling')), 0)
		FROM payments p LEFT JOIN refunds f ON f.payment_id = p.id`
	return view(ctx, h.handle, "sum up revenue", func(ctx context.Context, q *statements) (r Revenue, err error) {
		var sum row
		if eventID == "" {
			sum = q.row(ctx, sums)
		} else {
			if _, err := event(ctx, q, eventID); err != nil {
				return r, err
			}
			sum = q.row(ctx, sums+` JOIN rsvps r ON r.id = p.rsvp_id WHERE r.event_id = ?`, eventID)
		}
		err = sum.Scan(&r.Settled, &r.Refunded, &r.Pending, &r.Owed)
		return r, err
	})
}
