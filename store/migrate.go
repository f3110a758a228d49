package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations
var migrations embed.FS

// kind is a kind of file: what its schema is, and how it is known from others.
type kind struct {
	owner  string                   // "host", "server", "purse", "chat" or "index"
	id     int32                    // SQLite's application_id: four letters
	schema fs.FS                    // 0001_*.sql, 0002_*.sql, …; undo/0002.sql undoes the second, if it can be undone
	last   int                      // the newest version that is made, as by an older program; 0: that of the last migration
	kept   func() ([]string, error) // what steps returns, for many files; nil: it is read each time
}

const (
	hostID   = 0x65766368 // "evch"
	serverID = 0x65766373 // "evcs"
	purseID  = 0x65766370 // "evcp"
	chatID   = 0x65766361 // "evca"
	indexID  = 0x65766369 // "evci"
)

func kindOf(owner string, id int32) kind {
	schema, err := fs.Sub(migrations, "migrations/"+owner)
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return kind{owner: owner, id: id, schema: schema}
}

// steps returns the texts of the migrations in order; the version of a schema
// is how many it has seen.
func (k kind) steps() ([]string, error) {
	if k.kept != nil {
		return k.kept()
	}
	names, err := fs.Glob(k.schema, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	if k.last > 0 && k.last < len(names) {
		names = names[:k.last]
	}
	steps := make([]string, len(names))
	for i, name := range names {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("migration %s: want a name that begins with %s", name, want)
		}
		text, err := fs.ReadFile(k.schema, name)
		if err != nil {
			return nil, err
		}
		steps[i] = string(text)
	}
	return steps, nil
}

// prepareFile checks that the file behind c may be used, and makes it ready;
// before it changes what there is, keep is called with the version, while
// nobody else can write. It writes nothing to a file that is refused.
func prepareFile(ctx context.Context, c *sql.Conn, k kind, keep func(context.Context, int) error) error {
	steps, err := k.steps()
	if err != nil {
		return err
	}
	version, err := inspect(ctx, c, k, len(steps))
	if err != nil {
		return err
	}
	if err := useLog(ctx, c); err != nil {
		return err
	}
	for kept := version == 0; version < len(steps); kept = true {
		if kept {
			keep = nil
		}
		if version, err = migrate(ctx, c, k, steps, keep); err != nil {
			return err
		}
		// The pages that were written would stay in memory as long as the file is open.
		if _, err := c.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil {
			return err
		}
	}
	return nil
}

// inspect looks at the file in one read transaction, so that it never sees
// half of what another process is making of it.
func inspect(ctx context.Context, c *sql.Conn, k kind, known int) (version int, err error) {
	err = inTx(ctx, c, "BEGIN", func(context.Context) error { // ctx, for to read is to wait for a lock
		version, err = checkKind(ctx, c, k, known)
		return err
	})
	return version, err
}

// migrate takes the next step in a transaction of its own, or all of them if the
// file is new. The version is read again inside of it, for another process may
// have taken the step meanwhile.
func migrate(ctx context.Context, c *sql.Conn, k kind, steps []string, keep func(context.Context, int) error) (version int, err error) {
	err = inTx(ctx, c, "BEGIN IMMEDIATE", func(ctx context.Context) error {
		if version, err = checkKind(ctx, c, k, len(steps)); err != nil || version == len(steps) {
			return err
		}
		if keep != nil {
			if err := keep(ctx, version); err != nil {
				return fmt.Errorf("keep a copy before migration: %w", err)
			}
		}
		for isNew, more := version == 0, true; more; more = isNew && version < len(steps) {
			version++
			text := fmt.Sprintf("%s\n;PRAGMA application_id = %d; PRAGMA user_version = %d", steps[version-1], k.id, version)
			if _, err := c.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("migration %d: %w", version, err)
			}
		}
		return nil
	})
	return version, err
}

// checkKind returns the version of the file's schema, or why the file is not
// one to touch.
func checkKind(ctx context.Context, c *sql.Conn, k kind, known int) (version int, err error) {
	var id int32
	var tables int
	if err := c.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, err
	}
	if id == 0 && version == 0 && tables == 0 { // it is new
		return 0, nil
	}
	return version, k.check(id, version, known)
}

// check says why a file with something in it is not one to touch.
func (k kind) check(id int32, version, known int) error {
	switch {
	case id == hostID && k.id != hostID:
		return fmt.Errorf("%w: it is a host's", ErrWrongFile)
	case id == serverID && k.id != serverID:
		return fmt.Errorf("%w: it is the server's", ErrWrongFile)
	case id == purseID && k.id != purseID:
		return fmt.Errorf("%w: it is a purse", ErrWrongFile)
	case id == chatID && k.id != chatID:
		return fmt.Errorf("%w: it has the agent's conversations", ErrWrongFile)
	case id == indexID && k.id != indexID:
		return fmt.Errorf("%w: it is the index of all hosts", ErrWrongFile)
	case id != k.id || version < 1:
		return fmt.Errorf("%w: application_id %d, not %d", ErrWrongFile, id, k.id)
	case version > known:
		return fmt.Errorf("%w (its schema is version %d, this program knows %d)", ErrNewerSchema, version, known)
	}
	return nil
}

// useLog turns on the write-ahead log. Unlike other statements this one does
// not wait for another process that does the same, so the waiting is here.
func useLog(ctx context.Context, c *sql.Conn) error {
	var mode string
	deadline := time.NewTimer(busyTimeout)
	defer deadline.Stop()
	for {
		err := c.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("the file system allows no write-ahead log: journal_mode stays %s", mode)
		case sqliteCode(err)&0xff != sqlite3.SQLITE_BUSY:
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inTx runs f between begin and COMMIT. Nothing stays of it if f fails.
func inTx(ctx context.Context, c *sql.Conn, begin string, f func(context.Context) error) error {
	if _, err := c.ExecContext(ctx, begin); err != nil {
		rollback(c)
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err := f(ctx)
	if err == nil {
		_, err = c.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		rollback(c)
	}
	return err
}

// rollback ends a transaction of which nothing may stay. Its own error says
// only that SQLite has ended the transaction already.
func rollback(c *sql.Conn) {
	_, _ = c.ExecContext(context.Background(), "ROLLBACK")
}
