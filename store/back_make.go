package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// Make makes the file that is to be in the place of the one that is taken back, at
// temp, where there must be none. Who has a wallet is marked as restored, so that what
// was paid since the copy is found on the chain ([Host.MarkRestored]). o has the clock.
func (b Back) Make(ctx context.Context, temp string, wallet x402.Address, o Options) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("take %s back to schema %d: %w", b.Path, b.To, err)
		}
	}()
	k := b.kind
	k.last = b.To
	switch b.Way {
	case BackUndo:
		return b.undo(ctx, temp)
	case BackCarry:
		if err := k.create(ctx, temp, ""); err != nil {
			return err
		}
		return attach(ctx, temp, b.Path, func(c *sql.Conn) error {
			return inTx(ctx, c, "BEGIN IMMEDIATE", func(ctx context.Context) error { return carry(ctx, c) })
		})
	case BackCopy:
		if err := k.create(ctx, temp, b.Copy); err != nil {
			return err
		}
		const wallets = `INSERT OR IGNORE INTO main.wallet (one, sealed, created_at) SELECT one, sealed, created_at FROM old.wallet`
		if err := attach(ctx, temp, b.Path, func(c *sql.Conn) error {
			_, err := c.ExecContext(ctx, wallets) // it has the money of who registered since
			return err
		}); err != nil || wallet.IsZero() {
			return err
		}
		h, err := openAlone(ctx, temp, k, o)
		if err != nil {
			return err
		}
		return errors.Join((&Host{h}).MarkRestored(ctx, b.At, wallet), h.files.Close())
	}
	return errors.New("there is nothing to take back")
}

// Reopen reopens the claims whose payments are open in the file that Make has made of a
// Host's, or not in it: what became of them is to be found out.
func (b Back) Reopen(ctx context.Context, temp string, claims *Claims, user string) (err error) {
	k := b.kind
	k.last = b.To
	h, err := openAlone(ctx, temp, k, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.files.Close()) }()
	_, err = claims.ReopenAll(ctx, user, func(id string) (bool, error) {
		p, err := (&Host{h}).Payment(ctx, id)
		if errors.Is(err, payments.ErrNoPayment) {
			return false, nil
		}
		return !p.Open, err
	})
	return err
}

// create makes a file of a kind, of a copy if there is one, and brings it up to date.
func (k kind) create(ctx context.Context, path, from string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if from != "" {
		err = copyInto(out, from)
	}
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return attach(ctx, path, "", func(c *sql.Conn) error {
		return prepareFile(ctx, c, k, func(context.Context, int) error { return nil })
	})
}

func copyInto(out io.Writer, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, in.Close())
}

// undo makes the file as it is, and undoes its migrations.
func (b Back) undo(ctx context.Context, temp string) error {
	scripts, _, _, err := b.kind.undoing(b.Version, b.To)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := attach(ctx, b.Path, "", func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "VACUUM INTO ?", temp)
		return err
	}); err != nil {
		return err
	}
	if err := attach(ctx, temp, "", func(c *sql.Conn) error {
		if err := useLog(ctx, c); err != nil {
			return err
		}
		return inTx(ctx, c, "BEGIN IMMEDIATE", func(ctx context.Context) error {
			for i, script := range scripts {
				if _, err := c.ExecContext(ctx, script); err != nil {
					return fmt.Errorf("undo migration %d: %w", b.Version-i, err)
				}
			}
			_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", b.To))
			return err
		})
	}); err != nil {
		return err
	}
	return syncFile(temp)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// carry fills the tables of a new file with the rows that an attached one has in them.
// It fails if the attached one lacks one of its tables or columns.
func carry(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, "PRAGMA defer_foreign_keys = 1"); err != nil {
		return err
	}
	tables, err := column(ctx, c, `SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`)
	if err != nil {
		return err
	}
	if triggers, err := column(ctx, c, `SELECT name FROM main.sqlite_schema WHERE type = 'trigger'`); err != nil || len(triggers) > 0 {
		return errors.Join(err, fmt.Errorf("%w: it has triggers", ErrNoWayBack))
	}
	for _, table := range tables { // before any is filled: to delete may cascade
		if _, err := c.ExecContext(ctx, "DELETE FROM main."+quoteName(table)); err != nil { // #nosec G202 -- a name of the schema, quoted
			return err
		}
	}
	for _, table := range tables {
		if err := carryTable(ctx, c, table); err != nil {
			return fmt.Errorf("%w: the rows of %s: %w", ErrNoWayBack, table, err)
		}
	}
	numbered, err := column(ctx, c, `SELECT name FROM main.sqlite_schema WHERE name = 'sqlite_sequence'`)
	if err != nil || len(numbered) == 0 {
		return err
	}
	_, err = c.ExecContext(ctx, `DELETE FROM main.sqlite_sequence;
		INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM old.sqlite_sequence WHERE name IN (SELECT name FROM main.sqlite_schema)`)
	return err
}

func carryTable(ctx context.Context, c *sql.Conn, table string) error {
	const columns = `SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden = 0 ORDER BY cid`
	wanted, err := column(ctx, c, columns, table, "main")
	if err != nil {
		return err
	}
	for i, name := range wanted {
		wanted[i] = quoteName(name)
	}
	list := strings.Join(wanted, ", ")
	_, err = c.ExecContext(ctx, fmt.Sprintf("INSERT INTO main.%[1]s (%[2]s) SELECT %[2]s FROM old.%[1]s", quoteName(table), list))
	return err
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// column returns the rows of a query with one column.
func column(ctx context.Context, c *sql.Conn, query string, args ...any) (all []string, err error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// lost counts what is in the file and not in the copy to which it goes back.
func (b Back) lost(ctx context.Context) (n Lost, err error) {
	before := b.Copy
	if b.Copy != "" && b.copied < b.To { // of a schema that is not to be compared with
		dir, err := os.MkdirTemp("", "concierge-")
		if err != nil {
			return n, err
		}
		defer os.RemoveAll(dir)
		k := b.kind
		k.last, before = b.To, filepath.Join(dir, "copy.db")
		if err := k.create(ctx, before, b.Copy); err != nil {
			return n, err
		}
	}
	err = attach(ctx, b.Path, before, func(c *sql.Conn) error {
		query := `SELECT (SELECT count(*) FROM main.events), (SELECT count(*) FROM main.rsvps),
			(SELECT count(*) FROM main.payments WHERE state = 'settled'), (SELECT coalesce(sum(amount), 0) FROM main.payments WHERE state = 'settled')`
		if b.Copy != "" {
			query = `SELECT
				(SELECT count(*) FROM main.events e LEFT JOIN old.events o USING (id) WHERE o.id IS NULL OR o.revision <> e.revision),
				(SELECT count(*) FROM main.rsvps r LEFT JOIN old.rsvps o USING (id) WHERE o.id IS NULL OR o.status <> r.status
					OR o.checked_in_at IS NOT r.checked_in_at),
				count(*), coalesce(sum(p.amount), 0)
				FROM main.payments p LEFT JOIN old.payments o USING (id) WHERE p.state = 'settled' AND (o.id IS NULL OR o.state <> 'settled')`
		}
		return c.QueryRowContext(ctx, query).Scan(&n.Events, &n.RSVPs, &n.Payments, &n.Amount)
	})
	if err != nil {
		return n, fmt.Errorf("compare %s with its copy: %w", b.Path, err)
	}
	return n, nil
}
