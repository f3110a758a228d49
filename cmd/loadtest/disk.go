package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
)

// disk is what SQLite gives on this disk, without anything of ours: one writer,
// one write a commit, each synced.
func disk(ctx context.Context, dir string, d time.Duration) (perSecond float64, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, fmt.Sprintf("disk-%d.db", time.Now().UnixNano()))+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE rsvps (id TEXT PRIMARY KEY, event TEXT NOT NULL, name TEXT NOT NULL);
		CREATE TABLE events (id TEXT PRIMARY KEY, seats INTEGER NOT NULL); INSERT INTO events VALUES ('e', 0)`); err != nil {
		return 0, err
	}
	n, start := 0, time.Now()
	for ; time.Since(start) < d; n++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rsvps VALUES (?, 'e', 'Ada')`, fmt.Sprint("rsvp-", n))
		if err == nil {
			_, err = tx.ExecContext(ctx, `UPDATE events SET seats = seats + 1 WHERE id = 'e'`)
		}
		if err = errors.Join(err, tx.Commit()); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// alone is a Host's file without a server.
func alone(ctx context.Context, dir string) (*store.Host, error) {
	h, err := store.OpenHost(ctx, filepath.Join(dir, fmt.Sprintf("alone-%d.db", time.Now().UnixNano())), store.Options{})
	if err != nil {
		return nil, err
	}
	for _, e := range []store.Event{{ID: "free"}, {ID: "priced", Price: 50_000}} {
		e.StartsAt = time.Now().Add(24 * time.Hour)
		if _, err := h.CreateEvent(ctx, e); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// writers is how many bookings a Host's file takes by itself from n writers at a
// time, each told only when its booking is on the disk, while more reports that
// there are more. A paid booking is two changes, one after the other.
func writers(ctx context.Context, h *store.Host, n int, more func() bool, book func(*store.Host) error) (perSecond float64, err error) {
	failed := make([]error, n)
	var done atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for failed[w] == nil && ctx.Err() == nil && more() {
				failed[w] = book(h)
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), errors.Join(failed...)
}

// bookFree books at the event without a price.
func bookFree(ctx context.Context) func(*store.Host) error {
	return func(h *store.Host) error {
		id, err := payments.NewID("rsvp_", time.Now(), rand.Reader)
		if err != nil {
			return err
		}
		_, err = h.BookFree(ctx, payments.Booking{RSVPID: id, EventID: "free", Seats: 1, Name: "Ada"})
		return err
	}
}

// holdAndConfirm makes the two changes of a paid booking, and nothing else: of as
// many bytes, and in as many places of the file, as the product makes them.
func holdAndConfirm(ctx context.Context) func(*store.Host) error {
	network, asset, _ := usdc()
	return func(h *store.Host) error {
		now := time.Now()
		p := payments.Payment{Open: true, State: payments.Settling, X402Version: 2, Network: network, Asset: asset, Amount: 50_000,
			Signature: make([]byte, 65), ValidAfter: now, ValidBefore: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
		for _, random := range [][]byte{p.Payer[:], p.Nonce[:], p.Signature} {
			if _, err := io.ReadFull(rand.Reader, random); err != nil {
				return err
			}
		}
		var err, rsvpErr error
		p.ID, err = payments.NewID("pay_", now, rand.Reader)
		p.RSVPID, rsvpErr = payments.NewID("rsvp_", now, rand.Reader)
		if err = errors.Join(err, rsvpErr); err != nil {
			return err
		}
		if err := h.Hold(ctx, p, payments.Booking{RSVPID: p.RSVPID, EventID: "priced", Seats: 1, Name: "Ada"}); err != nil {
			return err
		}
		_, err = h.Confirm(ctx, p.ID, payments.Settlement{Transaction: p.Nonce, Block: 1})
		return err
	}
}
