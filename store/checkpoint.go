package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"modernc.org/sqlite"
)

// Every commit is appended to the log beside the file (file.db-wal), in frames
// of a page each. SQLite is told not to empty the log by itself
// (wal_autocheckpoint): that happens here, beside the callers, in an order
// that an archive of the log can rely on:
//
//  1. a transaction is begun that reads. From now on nothing is moved to the
//     file that has been logged later, and the log is not begun anew;
//  2. the archive copies what the log holds ([Options.Archive]);
//  3. what was in the log at 1 is moved to the file, as far as no reader of
//     another process still needs the old pages;
//  4. the transaction ends. When all was moved, and nobody reads from the log,
//     the next commit begins it anew.
//
// So nothing is in the file alone before the archive has it, whenever a
// process is killed, and whichever process does it.

// lookEvery is after how many commits the log's length is looked at.
const lookEvery = 8

// logLimits are lengths of a log, in frames.
type logLimits struct {
	move int // when it is to be emptied
	warn int // when it should have been
	full int // when nothing more may be written
}

// defaultLimits are 4 MB, 64 MB and 1 GB.
var defaultLimits = logLimits{move: 1000, warn: 16_000, full: 250_000}

// logState is what is known of a file's log.
type logState struct {
	path   string
	limits logLimits
	due    func() // asks for a checkpoint
	slog   *slog.Logger

	mu            sync.Mutex
	commits       int
	frames, moved int
	next          int // the length at which a checkpoint is due
	warned        int // the length that has been told
}

func newLogState(path string, l logLimits, due func(), log *slog.Logger) *logState {
	return &logState{path: path, limits: l, due: due, slog: log, next: l.move, warned: l.warn}
}

// look looks at the log now and then. Who calls it is in no transaction.
func (s *logState) look(q *statements) {
	s.mu.Lock()
	s.commits++
	now := s.commits%lookEvery == 0
	s.mu.Unlock()
	if !now {
		return
	}
	var busy, frames, moved int
	if err := q.row(context.Background(), "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &moved); err != nil || frames < 0 {
		return // the next time will do
	}
	if s.note(frames, moved) {
		s.due()
	}
}

// note notes the length of the log, and how much of it is in the file. It
// reports whether a checkpoint is due.
func (s *logState) note(frames, moved int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if frames < s.frames { // it has begun anew
		s.next, s.warned = s.limits.move, s.limits.warn
	}
	s.frames, s.moved = frames, moved
	return frames >= s.next
}

// tried notes what came of a checkpoint. What was not moved now will be tried
// again when there is more, and now and then.
func (s *logState) tried() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = s.frames + s.limits.move
	if s.moved < s.frames && s.frames >= s.warned {
		s.warned = 2 * s.frames
		s.slog.Warn("the log of a file can't be emptied: another process has been reading the file for long; end it",
			"file", s.path, "frames", s.frames, "full", s.limits.full)
	}
}

// behind reports whether a long log waits for another process that reads.
func (s *logState) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved < s.frames && s.frames >= s.limits.move
}

// full is why nothing more may be written.
func (s *logState) full() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved < s.frames && s.frames >= s.limits.full {
		return fmt.Errorf("%w: %d pages", ErrLogFull, s.frames)
	}
	return nil
}

// logged reports whether the file has a log with something in it. The log of a file
// that was deleted is nobody's.
func (f *file) logged() bool {
	if _, err := os.Stat(f.path); err != nil {
		return false
	}
	info, err := os.Stat(f.path + "-wal")
	return err == nil && info.Size() > 0
}

// checkpoint moves what is logged into the file, as told above: first beside
// those who write, then what they have written meanwhile, while they wait.
func (f *file) checkpoint(ctx context.Context) error {
	err := f.moveTwice(ctx)
	f.log.tried()
	if err != nil {
		return fmt.Errorf("empty the log of %s: %w", f.path, classify(err))
	}
	return nil
}

func (f *file) moveTwice(ctx context.Context) (err error) {
	var conns [2]*sql.Conn
	for i := range conns {
		if conns[i], err = f.reading(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conns[i].Close()) }()
	}
	pin, mover := conns[0], conns[1]
	if err := inTx(ctx, pin, "BEGIN", func(ctx context.Context) error {
		var n int // the first read is where the transaction begins
		if err := pin.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
			return err
		}
		return f.move(ctx, mover)
	}); err != nil {
		return err
	}
	return f.write.pause(ctx, func(ctx context.Context) error {
		if err := f.move(ctx, mover); err != nil {
			return err
		}
		// Who reads now has no need of the log, but who began before may.
		f.read.pass(ctx)
		return nil
	})
}

// move makes steps 2 and 3. The transaction is the caller's.
func (f *file) move(ctx context.Context, c *sql.Conn) error {
	move := func() error {
		var busy, frames, moved int
		if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &moved); err != nil {
			return err
		}
		if busy == 0 && frames >= 0 { // else another process is at it
			f.log.note(frames, moved)
		}
		return nil
	}
	if f.o.Archive == nil {
		return move()
	}
	return f.o.Archive.Checkpoint(ctx, f.path, move)
}

// keepLog has the log stay when the file is closed now: what the archive does
// not have must not be in the file alone.
func (f *file) keepLog(ctx context.Context) error {
	return f.each(func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "PRAGMA journal_size_limit = -1"); err != nil {
			return err
		}
		return c.Raw(func(driver any) error {
			_, err := driver.(sqlite.FileControl).FileControlPersistWAL("main", 1)
			return err
		})
	})
}
