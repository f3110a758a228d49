package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/events-concierge/concierge/payments/crashpoint"
)

// ErrInUse: a process has the file open.
var ErrInUse = errors.New("a process has the file open: stop the server, or try again when the file has been idle for a minute (--idle-after)")

// Replace puts the database at from in the place of the one at path, which is kept
// as aside. Nobody must have it open, and whoever opens it meanwhile gets the new
// one. Where there is none at path there is nothing to keep. Either all of it is
// done or nothing. Errors: [ErrInUse].
func Replace(ctx context.Context, path, from, aside string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("replace %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	unlock, err := lockOpening(ctx, path, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := detach(ctx, path); err != nil {
			return err
		}
		if err := os.Link(path, aside); err != nil {
			return err
		}
		crashpoint.Hit(crashpoint.RollbackAside)
	}
	return errors.Join(os.Rename(from, path), SyncDir(filepath.Dir(path)))
}

// detach moves all of a database's log into it, so that it is one file, and finds
// out whether somebody else has it open.
func detach(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Whoever has a database with a log open holds a lock that this one bars.
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 200; PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT"); err != nil {
		rollback(conn)
		if err = classify(err); errors.Is(err, ErrBusy) {
			return ErrInUse
		}
		return err
	}
	_, err = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return classify(err)
}

// lockOpening keeps others from opening the file at path, in any process, or from
// keeping anybody from it.
func lockOpening(ctx context.Context, path string, alone bool) (unlock func() error, err error) {
	l := flock.New(filepath.Join(filepath.Dir(path), ".opening"), flock.SetPermissions(0o600))
	try := l.TryRLockContext
	if alone {
		try = l.TryLockContext
	}
	if _, err := try(ctx, 5*time.Millisecond); err != nil {
		return nil, fmt.Errorf("the lock of the directory: %w", err)
	}
	return l.Close, nil
}
