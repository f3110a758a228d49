package store

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// RSVPQuery selects RSVPs of an event.
type RSVPQuery struct {
	EventID string
	// Text must occur in name, email or the payer's address, or, if IDs, in the
	// RSVP's id, in upper or lower case. It has no wildcards.
	Text string
	IDs  bool
	// Status is "" for any.
	Status RSVPStatus
	// Here selects, of those that are confirmed, guests who have been checked in,
	// or who have not. Nil: both, and Status says of which.
	Here   *bool
	Newest bool // the newest first, not the oldest
	Limit  int  // as in [EventQuery]
	After  string
}

// maxLooked bounds how many RSVPs one call compares with a text.
const maxLooked = 50_000

// FindRSVPs returns a page of an event's RSVPs, and the cursor of what comes
// after, "" if that is nothing. A page may have fewer than there is room for, or
// none, and a cursor nevertheless: when a text was looked for in many. Errors:
// [ErrEventNotFound], [ErrCursor].
func (h *Host) FindRSVPs(ctx context.Context, q RSVPQuery) (rsvps []RSVP, next string, err error) {
	const what = "find RSVPs"
	after, err := decode(q.list(), q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	if q.Newest && q.After == "" {
		after.n = math.MaxInt64
	}
	limit := pageSize(q.Limit)
	var last int64
	rsvps, err = view(ctx, h.handle, what, func(ctx context.Context, s *statements) (found []RSVP, err error) {
		if _, err := event(ctx, s, q.EventID); err != nil {
			return nil, err
		}
		if q.Text == "" {
			found, last, err = q.page(ctx, s, after.n, limit)
		} else {
			found, last, err = q.search(ctx, s, after.n, limit)
		}
		return found, err
	})
	if err != nil {
		return nil, "", err
	}
	if last != 0 {
		next = position{n: last}.encode(q.list())
	}
	return rsvps, next, nil
}

// list keeps cursors of the two orders apart.
func (q RSVPQuery) list() string {
	if q.Newest {
		return "rsvp-newest"
	}
	return "rsvp-oldest"
}

// where returns what follows FROM rsvps r, for at most limit rows behind one.
func (q RSVPQuery) where(after int64, limit int) (string, []any) {
	where, args := ` WHERE r.event_id = ?`, []any{q.EventID}
	switch {
	case q.Here != nil && *q.Here: // in the words of the index
		where += ` AND r.status = 'confirmed' AND r.checked_in_at IS NOT NULL`
	case q.Here != nil:
		where += ` AND r.status = 'confirmed' AND r.checked_in_at IS NULL`
	case q.Status != "":
		where, args = where+` AND r.status = ?`, append(args, q.Status)
	}
	if q.Newest {
		where += ` AND r.seq < ? ORDER BY r.seq DESC LIMIT ?`
	} else {
		where += ` AND r.seq > ? ORDER BY r.seq LIMIT ?`
	}
	return where, append(args, after, limit)
}

type numbered struct {
	seq int64
	RSVP
}

func scanNumbered(s scanner) (n numbered, err error) {
	n.seq, n.RSVP, err = scanRSVP(s)
	return n, err
}

// page returns RSVPs, and the number of the last one if there are more.
func (q RSVPQuery) page(ctx context.Context, s *statements, after int64, limit int) (found []RSVP, last int64, err error) {
	where, args := q.where(after, limit+1)
	rows, err := list(ctx, s, scanNumbered, `SELECT `+rsvpColumns+where, args...)
	if err != nil {
		return nil, 0, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last = rows[limit-1].seq
	}
	for _, n := range rows {
		found = append(found, n.RSVP)
	}
	return found, last, nil
}

// search is page for a text. SQLite knows upper and lower case of ASCII only, so
// the comparing is done here, of as little as is needed for it.
func (q RSVPQuery) search(ctx context.Context, s *statements, after int64, limit int) (found []RSVP, last int64, err error) {
	const step = 1000
	type texts struct {
		seq  int64
		text string
	}
	scan := func(s scanner) (t texts, err error) {
		var id, name, email, payer string
		err = s.Scan(&t.seq, &id, &name, &email, &payer)
		if !q.IDs {
			id = ""
		}
		t.text = fold(strings.Join([]string{name, email, payer, id}, "\x1f"))
		return t, err
	}
	want := fold(q.Text)
	for looked := 0; looked < maxLooked; looked += step {
		where, args := q.where(after, step)
		rows, err := list(ctx, s, scan, `SELECT r.seq, r.id, r.name, r.email, coalesce(r.payer, '') FROM rsvps r`+where, args...)
		if err != nil {
			return nil, 0, err
		}
		for _, t := range rows {
			if !strings.Contains(t.text, want) {
				continue
			}
			if len(found) == limit {
				return found, after, nil
			}
			_, r, err := scanRSVP(s.row(ctx, `SELECT `+rsvpColumns+` WHERE r.seq = ?`, t.seq))
			if err != nil {
				return nil, 0, err
			}
			found, after = append(found, r), t.seq
		}
		if len(rows) < step {
			return found, 0, nil
		}
		if len(found) < limit {
			after = rows[len(rows)-1].seq
		}
	}
	return found, after, nil
}

// Attendance counts an event's RSVPs.
type Attendance struct {
	Confirmed int // with those who have come
	Here      int // of them
	Pending   int
	Cancelled int // with those that are paid back
	Failed    int
}

// Attendance counts an event's RSVPs: each number by itself, for that is half of the
// work of grouping them.
func (h *Host) Attendance(ctx context.Context, eventID string) (Attendance, error) {
	return view(ctx, h.handle, "count RSVPs", func(ctx context.Context, q *statements) (a Attendance, err error) {
		err = q.row(ctx, `SELECT
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'confirmed'),
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'confirmed' AND checked_in_at IS NOT NULL),
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'pending'),
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'failed'),
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'cancelled') +
			(SELECT count(*) FROM rsvps WHERE event_id = ?1 AND status = 'refunded')`, eventID).
			Scan(&a.Confirmed, &a.Here, &a.Pending, &a.Failed, &a.Cancelled)
		return a, err
	})
}
