package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// Usage is what a user's Host was used for on one day.
type Usage struct {
	User     string
	Day      int64 // since 1970, UTC
	Requests int64
	Events   int64 // created
}

// maxUsage bounds how many users are written in one transaction.
const maxUsage = 256

// AddUsage adds what was counted to what is kept of the same day, and returns the
// sums, in the order of added. Of each user one day is kept, the last; what was
// counted before it is dropped, and so is what was counted for users that are
// gone.
func (s *Server) AddUsage(ctx context.Context, added []Usage) (sums []Usage, err error) {
	for some := range slices.Chunk(added, maxUsage) {
		var part []Usage
		err := s.write(ctx, "add usage", func(ctx context.Context, t *tx) error {
			part = nil
			for _, u := range some {
				err := t.row(ctx, `INSERT INTO usage (user_id, day, requests, events)
					SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM users WHERE id = ?1)
					ON CONFLICT (user_id) DO UPDATE SET day = max(day, excluded.day),
						requests = iif(day < excluded.day, 0, requests) + iif(day > excluded.day, 0, excluded.requests),
						events = iif(day < excluded.day, 0, events) + iif(day > excluded.day, 0, excluded.events)
					RETURNING requests, events`, u.User, u.Day, u.Requests, u.Events).Scan(&u.Requests, &u.Events)
				if err != nil && !errors.Is(err, sql.ErrNoRows) {
					return err
				}
				part = append(part, u)
			}
			return nil
		})
		if err != nil {
			return sums, err
		}
		sums = append(sums, part...)
	}
	return sums, nil
}

// Usage returns what is kept of a user for a day. Should the clock have been set
// back since, it is that of the day after: no day begins twice.
func (s *Server) Usage(ctx context.Context, user string, day int64) (Usage, error) {
	return view(ctx, s.handle, "read usage", func(ctx context.Context, q *statements) (Usage, error) {
		u := Usage{User: user, Day: day}
		err := q.row(ctx, `SELECT requests, events FROM usage WHERE user_id = ? AND day >= ?`, user, day).Scan(&u.Requests, &u.Events)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Usage{}, err
		}
		return u, nil
	})
}
