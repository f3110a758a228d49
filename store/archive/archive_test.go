package archive_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store/archive"
)

var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// world is a data directory with its archive, and a clock.
type world struct {
	*testing.T
	dir     string
	backend archive.Backend
	now     atomic.Int64
	*archive.Archiver
}

func newWorld(t *testing.T, b archive.Backend) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), backend: b}
	w.now.Store(start.UnixNano())
	w.Archiver = w.open()
	return w
}

// open is another process that archives.
func (w *world) open() *archive.Archiver {
	w.Helper()
	a, err := archive.New(w.Context(), archive.Config{Dir: w.dir, Name: "test", To: w.backend, Now: w.clock, Log: testlog.New()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { a.Close() })
	return a
}

func (w *world) clock() time.Time        { return time.Unix(0, w.now.Load()).UTC() }
func (w *world) advance(d time.Duration) { w.now.Add(int64(d)) }

func newDir(t *testing.T) *archive.Dir {
	t.Helper()
	d, err := archive.NewDir(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const file = "hosts/aa/aabb.db"

func (w *world) path(file string) string { return filepath.Join(w.dir, filepath.FromSlash(file)) }

// database opens a file as the store does.
func (w *world) database(file string) *sql.DB {
	w.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(file)), 0o700); err != nil {
		w.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file://"+w.path(file)+"?_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)&_busy_timeout=10000&_pragma=cache_size(-64)")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { db.Close() })
	w.exec(db, `CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB)`)
	return db
}

func (w *world) exec(db *sql.DB, query string, args ...any) {
	w.Helper()
	if _, err := db.ExecContext(w.Context(), query, args...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) ship(file string) archive.Shipped {
	w.Helper()
	s, err := w.Ship(w.Context(), file, w.clock())
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// checkpoint moves the log into the database as the store does.
func (w *world) checkpoint(db *sql.DB, file string) {
	w.Helper()
	tx, err := db.BeginTx(w.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		w.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		w.Fatal(err)
	}
	err = w.Checkpoint(w.Context(), w.path(file), func() error {
		_, err := db.ExecContext(w.Context(), `PRAGMA wal_checkpoint(PASSIVE)`)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

// rows is what a database has.
func rows(t *testing.T, db *sql.DB) string {
	t.Helper()
	all, err := db.Query(`SELECT id, hex(v) FROM t ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	var b strings.Builder
	for all.Next() {
		var id int
		var v string
		if err := all.Scan(&id, &v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d:%.8s%d ", id, v, len(v))
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// restored is what the archive has of a file at a time.
func (w *world) restored(file string, to time.Time) (string, time.Time, error) {
	w.Helper()
	path := filepath.Join(w.TempDir(), "restored.db")
	point, err := archive.Restore(w.Context(), w.backend, file, to, path)
	if err != nil {
		if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
			w.Errorf("a restore that failed left %v", left)
		}
		return "", point, err
	}
	db, err := sql.Open("sqlite", "file://"+path)
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	return rows(w.T, db), point, nil
}

func (w *world) wantRestored(file string, to time.Time, want string) {
	w.Helper()
	if got, point, err := w.restored(file, to); err != nil || got != want {
		w.Errorf("at %s (%s):\n got %.300s, %v\nwant %.300s", to, point, got, err, want)
	}
}

// A random history, with everything that can happen to a log: what is restored to
// any time is what a model had when the file was archived last before it.
func TestAnyTime(t *testing.T) {
	backends(t, func(t *testing.T, b archive.Backend) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, b)
		db := w.database(file)
		type moment struct {
			at   time.Time
			rows string
		}
		var past []moment
		archived := func(f func()) {
			now := moment{w.clock(), rows(t, db)}
			f()
			past = append(past, now)
		}
		for range 120 {
			w.advance(time.Duration(1+r.IntN(900)) * time.Millisecond)
			switch r.IntN(16) {
			case 0:
				w.exec(db, `DELETE FROM t WHERE id % 3 = ?`, r.IntN(3))
			case 1: // the log begins anew with the next write
				archived(func() { w.checkpoint(db, file) })
			case 2: // the last connection goes, and the log with it
				archived(func() { w.checkpoint(db, file) })
				db.Close()
				db = w.database(file)
			case 3: // likewise, by somebody who does not archive
				if r.IntN(3) == 0 {
					db.Close()
					db = w.database(file)
				}
			case 4:
				w.exec(db, `VACUUM`)
			case 5: // another process goes on
				w.Archiver = w.open()
			case 6, 7, 8, 9:
				archived(func() { w.ship(file) })
			default:
				w.exec(db, `INSERT OR REPLACE INTO t VALUES (?, randomblob(?))`, r.IntN(40), 1+r.IntN(3000))
			}
		}
		db.Close()
		for range 20 {
			at := start.Add(time.Duration(r.Int64N(int64(w.clock().Sub(start)))))
			i := len(past) - 1
			for ; i >= 0 && past[i].at.After(at); i-- {
			}
			if i >= 0 {
				w.wantRestored(file, at, past[i].rows)
			}
		}
		w.wantRestored(file, time.Time{}, past[len(past)-1].rows)
		if _, _, err := w.restored(file, start.Add(-time.Second)); !errors.Is(err, archive.ErrRange) {
			t.Errorf("before the first: %v", err)
		}
		if _, _, err := w.restored("hosts/no/no.db", start); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("a file of which there is nothing: %v", err)
		}
	})
}

// What is in the archive is not put there again, also by another process.
func TestIncremental(t *testing.T) {
	w := newWorld(t, newDir(t))
	db := w.database(file)
	w.exec(db, `INSERT INTO t VALUES (1, randomblob(100000))`)
	if s := w.ship(file); s.Bases != 1 || s.Segments != 0 {
		t.Errorf("at first: %+v", s)
	}
	for _, again := range []func(){
		func() {},
		func() { w.Archiver = w.open() },
		func() { w.checkpoint(db, file) },
		func() { w.checkpoint(db, file); db.Close() },
		func() { db = w.database(file) },
	} {
		again()
		if s := w.ship(file); s != (archive.Shipped{}) {
			t.Errorf("nothing was written, but %+v was archived", s)
		}
	}
	w.advance(time.Minute)
	w.exec(db, `INSERT INTO t VALUES (2, x'00')`)
	if s := w.ship(file); s.Bases != 0 || s.Segments != 1 || s.Bytes > 4000 {
		t.Errorf("a row: %+v", s)
	}
	w.advance(25 * time.Hour)
	w.exec(db, `INSERT INTO t VALUES (3, x'00')`)
	if s := w.ship(file); s.Bases != 1 || s.Segments != 0 {
		t.Errorf("the next day: %+v", s)
	}
	w.wantRestored(file, start.Add(time.Hour), strings.Join(strings.Fields(rows(t, db))[:2], " ")+" ")
}

// Who moves the log into the database without archiving it is found out.
func TestOthersCheckpoint(t *testing.T) {
	w := newWorld(t, newDir(t))
	db := w.database(file)
	w.ship(file)
	for i := range 5 {
		w.advance(time.Second)
		w.exec(db, `INSERT INTO t VALUES (?, x'01')`, 2*i)
		w.exec(db, `PRAGMA wal_checkpoint(PASSIVE)`)
		w.exec(db, `INSERT INTO t VALUES (?, x'02')`, 2*i+1) // the log begins anew
		if s := w.ship(file); s.Bases != 1 {
			t.Errorf("round %d: %+v", i, s)
		}
		w.wantRestored(file, w.clock(), rows(t, db))
	}
}

// While an archive is out of reach the log stays, up to a bound.
func TestArchiveOutOfReach(t *testing.T) {
	b := &broken{Backend: newDir(t)}
	w := newWorld(t, b)
	db := w.database(file)
	w.ship(file)
	b.down.Store(true)
	w.advance(time.Second)
	w.exec(db, `INSERT INTO t VALUES (1, x'01')`)
	moved := false
	if err := w.Checkpoint(t.Context(), w.path(file), func() error { moved = true; return nil }); !errors.Is(err, errDown) || moved {
		t.Errorf("moved: %t, %v", moved, err)
	}
	w.Written(w.path(file))
	if err := w.Flush(t.Context()); !errors.Is(err, errDown) {
		t.Error(err)
	}
	b.down.Store(false)
	if err := w.Flush(t.Context()); err != nil { // it comes up by itself
		t.Error(err)
	}
	w.wantRestored(file, w.clock(), rows(t, db))
}

var errDown = errors.New("out of reach")

// broken is a backend that can be out of reach.
type broken struct {
	archive.Backend
	down atomic.Bool
}

func (b *broken) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if b.down.Load() {
		return errDown
	}
	return b.Backend.Put(ctx, name, write)
}

// What no time within 30 days needs is removed, and nothing else.
func TestPrune(t *testing.T) {
	backends(t, func(t *testing.T, b archive.Backend) {
		w := newWorld(t, b)
		db := w.database(file)
		past := map[int]string{}
		for day := range 40 {
			w.exec(db, `INSERT INTO t VALUES (?, x'00')`, day)
			w.ship(file)
			past[day] = rows(t, db)
			w.advance(25 * time.Hour)
		}
		now := w.clock()
		for day, want := range past {
			at := start.Add(time.Duration(day) * 25 * time.Hour)
			if now.Sub(at) <= 30*24*time.Hour {
				w.wantRestored(file, at, want)
			}
		}
		r, ok, err := archive.RangeOf(t.Context(), b, file)
		if err != nil || !ok || now.Sub(r.Oldest) > 33*24*time.Hour || now.Sub(r.Newest) != 25*time.Hour {
			t.Errorf("%+v, %t, %v", r, ok, err)
		}
		// Left alone for a year, the last state stays.
		w.advance(365 * 24 * time.Hour)
		if err := w.Round(t.Context(), func(_ string, _ archive.Shipped, err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
		if names, err := b.List(t.Context(), file); err != nil || len(names) != 1 {
			t.Errorf("%v, %v", names, err)
		}
		w.wantRestored(file, w.clock(), past[39])
		if err := archive.Remove(t.Context(), b, file); err != nil {
			t.Error(err)
		}
		if _, _, err := w.restored(file, w.clock()); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("removed: %v", err)
		}
	})
}

// Several processes archive and write at once: one chain comes of it, and all of
// it is in there.
func TestTwoProcesses(t *testing.T) {
	w := newWorld(t, newDir(t))
	one, other := w.database(file), w.database(file)
	second := w.open()
	var wg sync.WaitGroup
	for i, db := range []*sql.DB{one, other} {
		wg.Go(func() {
			for n := range 40 {
				w.exec(db, `INSERT INTO t VALUES (?, randomblob(500))`, 100*i+n)
				if n%10 == 9 {
					w.checkpoint(db, file)
				}
			}
		})
	}
	for _, a := range []*archive.Archiver{w.Archiver, second} {
		wg.Go(func() {
			for range 40 {
				w.advance(time.Second)
				if _, err := a.Ship(t.Context(), file, w.clock()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.ship(file)
	w.wantRestored(file, time.Time{}, rows(t, one))
	if names, _ := w.backend.List(t.Context(), file); len(names) != 1 {
		t.Errorf("%d generations: %v", len(names), names)
	}
}

// Run archives what was written, finds what nobody told it of, and has all of it
// at the end.
func TestRun(t *testing.T) {
	puts := &counting{newDir(t), make(chan string, 100)}
	w := newWorld(t, puts)
	var dbs []*sql.DB
	var names []string
	for i := range 12 {
		name := fmt.Sprintf("hosts/a%d/a%d.db", i%3, i)
		names, dbs = append(names, name), append(dbs, w.database(name))
	}
	names, dbs = append(names, "server.db"), append(dbs, w.database("server.db"))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Archiver.Run(ctx, time.Millisecond); close(done) }()
	for range names {
		<-puts.names
	}
	w.advance(time.Second)
	for i, db := range dbs {
		w.exec(db, `INSERT INTO t VALUES (?, x'05')`, i)
		w.Written(w.path(names[i]))
	}
	stop()
	<-done
	for i, db := range dbs {
		w.wantRestored(names[i], time.Time{}, rows(t, db))
	}
}

// counting tells of what is put.
type counting struct {
	archive.Backend
	names chan string
}

func (c *counting) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	err := c.Backend.Put(ctx, name, write)
	c.names <- name
	return err
}
