package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// Index is the file in which the public events to come of all Hosts are found by
// their words and times. It has nothing of its own: when it is lost it is made
// anew from the Hosts, so a change of it is not waited for until it is on the disk.
// Its methods may be called at the same time.
type Index struct{ handle }

// OpenIndex opens an index like [OpenHost] does a user's file.
func OpenIndex(ctx context.Context, path string, o Options) (*Index, error) {
	h, err := openAlone(ctx, path, kindOf("index", indexID), o)
	if err != nil {
		return nil, err
	}
	return &Index{h}, nil
}

// Close waits for the change under way, and closes the file.
func (x *Index) Close() error { return x.files.Close() }

// Indexed is what an index knows of a Host.
type Indexed struct {
	User     string
	Since    time.Time // when the user registered
	Revision int64     // up to which the Host's events are in it
	State    string    // of the Host's file then, as of [Host.State]; "": to be read again
	Events   int       // of it that are to come, and public
}

const indexedColumns = `user, since, revision, state, events`

func scanIndexed(s scanner) (i Indexed, err error) {
	err = s.Scan(&i.User, asTime{&i.Since}, &i.Revision, &i.State, &i.Events)
	return i, err
}

// Known returns what is known of these Hosts; those of which nothing is are not in
// it.
func (x *Index) Known(ctx context.Context, users []string) (map[string]Indexed, error) {
	names, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	rows, err := view(ctx, x.handle, "look into the index", func(ctx context.Context, q *statements) ([]Indexed, error) {
		return list(ctx, q, scanIndexed, `SELECT `+indexedColumns+` FROM json_each(?) JOIN hosts ON user = value`, string(names))
	})
	known := make(map[string]Indexed, len(rows))
	for _, i := range rows {
		known[i.User] = i
	}
	return known, err
}

// Users returns a page of the users of whom something is known, in the order of
// their ids, from after on.
func (x *Index) Users(ctx context.Context, after string, limit int) ([]string, error) {
	return view(ctx, x.handle, "list the index", func(ctx context.Context, q *statements) ([]string, error) {
		return list(ctx, q, func(s scanner) (user string, err error) {
			err = s.Scan(&user)
			return user, err
		}, `SELECT user FROM hosts WHERE user > ? ORDER BY user LIMIT ?`, after, limit)
	})
}

// ErrIndexed: what is known of a Host is not what it was thought to be.
var ErrIndexed = errors.New("the index has changed meanwhile")

// Update makes of what was known of a Host what is known now. Of the events, those
// that are public and to come are put in the place of what was there of them, and
// the others taken out; with anew nothing else stays of the Host. Errors:
// [ErrIndexed], after which nothing is changed.
func (x *Index) Update(ctx context.Context, was, is Indexed, events []Event, anew bool) error {
	return x.write(ctx, "index a host", func(ctx context.Context, t *tx) error {
		var host, revision int64
		var since time.Time
		err := t.row(ctx, `SELECT id, since, revision FROM hosts WHERE user = ?`, is.User).Scan(&host, asTime{&since}, &revision)
		switch {
		case errors.Is(err, sql.ErrNoRows) && was.User == "":
			err = t.row(ctx, `INSERT INTO hosts (user, since, revision, state) VALUES (?, ?, 0, '') RETURNING id`,
				is.User, is.Since.UnixMilli()).Scan(&host)
		case errors.Is(err, sql.ErrNoRows) || err == nil && (was.User == "" || revision != was.Revision || !since.Equal(truncate(was.Since))):
			return ErrIndexed
		}
		if err != nil {
			return err
		}
		if anew {
			if err := forgetEvents(ctx, t, host); err != nil {
				return err
			}
		}
		// The words of a text whose doc is below the one before are written to the file
		// by themselves, which takes much longer.
		events = slices.SortedFunc(slices.Values(events), func(a, b Event) int { return cmp.Compare(docOf(a, is.User), docOf(b, is.User)) })
		for _, step := range []func(context.Context, *tx, int64, string, Event) error{unindexEvent, indexEvent} {
			for _, e := range events {
				if err := step(ctx, t, host, is.User, e); err != nil {
					return err
				}
			}
		}
		_, err = t.exec(ctx, `UPDATE hosts SET since = ?2, revision = ?3, state = ?4,
				events = (SELECT count(*) FROM events WHERE host = ?1) WHERE id = ?1`,
			host, is.Since.UnixMilli(), is.Revision, is.State)
		return err
	})
}

// Forget takes a user out of the index.
func (x *Index) Forget(ctx context.Context, user string) error {
	return x.write(ctx, "take a host out of the index", func(ctx context.Context, t *tx) error {
		var host int64
		err := t.row(ctx, `SELECT id FROM hosts WHERE user = ?`, user).Scan(&host)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := forgetEvents(ctx, t, host); err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM hosts WHERE id = ?`, host)
		return err
	})
}

func forgetEvents(ctx context.Context, t *tx, host int64) error {
	if _, err := t.exec(ctx, `DELETE FROM texts WHERE rowid IN (SELECT doc FROM events WHERE host = ?)`, host); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM events WHERE host = ?`, host)
	return err
}

// startBits are those of a doc that are not the start.
const startBits = 20

// unindexEvent takes an event out, if it is there.
func unindexEvent(ctx context.Context, t *tx, host int64, _ string, e Event) error {
	var doc int64
	err := t.row(ctx, `SELECT doc FROM events WHERE host = ? AND id = ?`, host, e.ID).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return unindex(ctx, t, doc)
}

// indexEvent puts an event into the index, if it is one of those that are found.
func indexEvent(ctx context.Context, t *tx, host int64, user string, e Event) error {
	start := e.StartsAt.UnixMilli()
	if e.Unlisted || e.Cancelled || !t.now.Before(e.Over()) || start < 0 || start >= 1<<(63-startBits) {
		return nil
	}
	doc, err := freeDoc(ctx, t, docOf(e, user))
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO events (doc, host, id, starts_at, over_at, revision) VALUES (?, ?, ?, ?, ?, ?)`,
		doc, host, e.ID, start, e.Over().UnixMilli(), e.Revision); err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO texts (rowid, title, description, location) VALUES (?, ?, ?, ?)`,
		doc, spaced(e.Title), spaced(e.Description), spaced(e.Location))
	return err
}

func unindex(ctx context.Context, t *tx, doc int64) error {
	if _, err := t.exec(ctx, `DELETE FROM texts WHERE rowid = ?`, doc); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM events WHERE doc = ?`, doc)
	return err
}

// docOf returns the doc of an event: always the same one, so that an index that
// was made anew has the order of the one that was lost.
func docOf(e Event, user string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(user + "/" + e.ID))
	return e.StartsAt.UnixMilli()<<startBits | int64(h.Sum64()&docMask)
}

const docMask = 1<<startBits - 1

// freeDoc returns a doc of the same start, the same one unless another event has it.
func freeDoc(ctx context.Context, t *tx, first int64) (int64, error) {
	for tries := range int64(docMask) {
		doc := first&^docMask | (first+tries)&docMask
		switch err := t.row(ctx, `SELECT 1 FROM events WHERE doc = ?`, doc).Scan(new(int)); {
		case errors.Is(err, sql.ErrNoRows):
			return doc, nil
		case err != nil:
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: a million events start at once", ErrInvalid)
}

// purgeAtOnce bounds how many events one [Index.Purge] takes out.
const purgeAtOnce = 500

// Purge takes events out that are over, some at a time, and reports whether there
// are more.
func (x *Index) Purge(ctx context.Context) (more bool, err error) {
	type past struct{ doc, host int64 }
	err = x.write(ctx, "take past events out of the index", func(ctx context.Context, t *tx) error {
		over, err := list(ctx, t.statements, func(s scanner) (p past, err error) {
			err = s.Scan(&p.doc, &p.host)
			return p, err
		}, `SELECT doc, host FROM events WHERE over_at <= ? ORDER BY over_at LIMIT ?`, millis(t.now), purgeAtOnce)
		if err != nil {
			return err
		}
		more = len(over) == purgeAtOnce
		for _, p := range over {
			if err := unindex(ctx, t, p.doc); err != nil {
				return err
			}
			if _, err := t.exec(ctx, `UPDATE hosts SET events = events - 1 WHERE id = ?`, p.host); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}
