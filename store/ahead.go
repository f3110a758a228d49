package store

import (
	"context"
	"time"
)

// Ahead is what is to come at a Host.
type Ahead struct {
	Events int // that are neither over nor cancelled
	Seats  int // that are taken at them
}

// Ahead counts what is to come.
func (h *Host) Ahead(ctx context.Context, now time.Time) (Ahead, error) {
	return view(ctx, h.handle, "count what is to come", func(ctx context.Context, q *statements) (a Ahead, err error) {
		err = q.row(ctx, `SELECT count(*), coalesce(sum(seats_taken), 0) FROM events WHERE over_at > ? AND cancelled = 0`,
			now.UnixMilli()).Scan(&a.Events, &a.Seats)
		return a, err
	})
}
