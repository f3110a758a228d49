package store

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Shelf is one of the lists in which an owner finds events.
type Shelf string

// The shelves; an event is on one of the first three.
const (
	ShelfUpcoming  Shelf = "upcoming"  // those that are not over, by their start
	ShelfPast      Shelf = "past"      // those that are over, the last first
	ShelfCancelled Shelf = "cancelled" // the last first
	ShelfPaid      Shelf = "paid"      // those for which money was asked and sent, the last first
)

// ShelfQuery selects events of a shelf.
type ShelfQuery struct {
	Shelf Shelf
	Text  string    // as in [EventQuery]
	Now   time.Time // what is over then
	Limit int       // as in [EventQuery]
	After string
}

// OwnEvent is an event with what it came to.
type OwnEvent struct {
	Event
	Revenue Revenue
}

// shelves are the conditions and orders; 1 and 2 are the position behind which a
// page begins, 3 is now, 4 the text.
var shelves = map[Shelf]string{
	ShelfUpcoming: `FROM events LEFT JOIN takings_by_event t ON t.event_id = id
		WHERE (starts_at, id) > (?1, ?2) AND over_at > ?3 AND cancelled = 0 AND (?4 = '' OR instr(search, ?4) > 0)
		ORDER BY starts_at, id LIMIT ?5`,
	ShelfPast: `FROM events LEFT JOIN takings_by_event t ON t.event_id = id
		WHERE (starts_at, id) < (?1, ?2) AND over_at <= ?3 AND cancelled = 0 AND (?4 = '' OR instr(search, ?4) > 0)
		ORDER BY starts_at DESC, id DESC LIMIT ?5`,
	ShelfCancelled: `FROM events LEFT JOIN takings_by_event t ON t.event_id = id
		WHERE (starts_at, id) < (?1, ?2) AND ?3 <> 0 AND cancelled = 1 AND (?4 = '' OR instr(search, ?4) > 0)
		ORDER BY starts_at DESC, id DESC LIMIT ?5`,
	ShelfPaid: `FROM events CROSS JOIN takings_by_event t ON t.event_id = id
		WHERE (starts_at, id) < (?1, ?2) AND ?3 <> 0 AND (?4 = '' OR instr(search, ?4) > 0)
		ORDER BY starts_at DESC, id DESC LIMIT ?5`,
}

// Shelf returns a page of a shelf, and the cursor of the next one, "" if this is
// the last. Errors: [ErrInvalid] for another shelf, [ErrCursor].
func (h *Host) Shelf(ctx context.Context, q ShelfQuery) (events []OwnEvent, next string, err error) {
	const what = "list events of a shelf"
	rest, ok := shelves[q.Shelf]
	if !ok {
		return nil, "", fmt.Errorf("%s: %w", what, ErrInvalid)
	}
	kept := "shelf-" + string(q.Shelf)
	after, err := decode(kept, q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	limit := pageSize(q.Limit)
	events, err = view(ctx, h.handle, what, func(ctx context.Context, s *statements) ([]OwnEvent, error) {
		switch {
		case q.Shelf == ShelfUpcoming:
			if after, err = passOver(ctx, s, after, q.Now); err != nil {
				return nil, err
			}
		case q.After == "":
			after.n = math.MaxInt64
			if q.Shelf == ShelfPast { // what is over has begun
				after = position{n: q.Now.UnixMilli() + 1}
			}
		}
		return list(ctx, s, scanOwnEvent, `SELECT `+eventColumns+`, coalesce(t.settled, 0), coalesce(t.refunded, 0),
			coalesce(t.pending, 0), coalesce(t.owed, 0) `+rest, after.n, after.id, q.Now.UnixMilli(), fold(q.Text), limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	events, next = page(events, limit, kept, func(e OwnEvent) position { return position{e.StartsAt.UnixMilli(), e.ID} })
	return events, next, nil
}

func scanOwnEvent(s scanner) (e OwnEvent, err error) {
	e.Event, err = scanEvent(with{s, e.Revenue.into()})
	return e, err
}
