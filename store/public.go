package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// PastQuery selects events that are over.
type PastQuery struct {
	Now   time.Time // what is over then
	Text  string    // as in [EventQuery]
	Limit int       // as in [EventQuery]
	After string
}

// PastEvents returns a page of the listed events that are over, the last first,
// and the cursor of the next page, "" if this is the last. Errors: [ErrCursor].
func (h *Host) PastEvents(ctx context.Context, q PastQuery) (events []Event, next string, err error) {
	const what, kept = "list past events", "past"
	after, err := decode(kept, q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	if q.After == "" {
		after.n = never
		if !q.Now.IsZero() { // what is over has begun
			after.n = q.Now.UnixMilli() + 1
		}
	}
	limit := pageSize(q.Limit)
	events, err = view(ctx, h.handle, what, func(ctx context.Context, s *statements) ([]Event, error) {
		return list(ctx, s, scanEvent, `SELECT `+eventColumns+` FROM events
			WHERE (starts_at, id) < (?1, ?2) AND over_at <= ?3 AND (?4 = '' OR instr(search, ?4) > 0) AND unlisted = 0
			ORDER BY starts_at DESC, id DESC LIMIT ?5`,
			after.n, after.id, bound(q.Now, never), fold(q.Text), limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	events, next = page(events, limit, kept, func(e Event) position { return position{e.StartsAt.UnixMilli(), e.ID} })
	return events, next, nil
}

// Listing tells whether the listed events from a time on are what they were: they
// are if all of it is.
type Listing struct {
	Revision  int64     // the highest of the Host's events, listed or not
	ChangedAt time.Time // when it was given; zero: there are none
	Events    int       // listed ones that are not over before the time
}

// Listing returns the listing of a Host's events from a time on.
func (h *Host) Listing(ctx context.Context, from time.Time) (Listing, error) {
	return view(ctx, h.handle, "look at the list of events", func(ctx context.Context, q *statements) (l Listing, err error) {
		err = q.row(ctx, `SELECT revision, changed_at FROM events WHERE revision = (SELECT max(revision) FROM events)`).
			Scan(&l.Revision, asTime{&l.ChangedAt})
		if errors.Is(err, sql.ErrNoRows) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		first, err := passOver(ctx, q, position{n: always}, from)
		if err != nil {
			return l, err
		}
		return l, q.row(ctx, `SELECT count(*) FROM events WHERE (starts_at, id) > (?1, ?2) AND over_at >= ?3 AND unlisted = 0`,
			first.n, first.id, bound(from, always)).Scan(&l.Events)
	})
}
