package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// oneMore is a schema with one more migration, and what undoes it if undo is not "".
func oneMore(t *testing.T, schema fs.FS, step, undo string) (fstest.MapFS, int) {
	t.Helper()
	all := fstest.MapFS{}
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	next := len(names) + 1
	all[fmt.Sprintf("%04d_more.sql", next)] = &fstest.MapFile{Data: []byte(step)}
	if undo != "" {
		maps.Copy(all, fstest.MapFS{fmt.Sprintf("undo/%04d.sql", next): {Data: []byte(undo)}})
	}
	return all, len(names)
}

// more is a migration that makes a table anew, and another one.
const more = `CREATE TABLE users_2 (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, wallet_address TEXT, created_at INTEGER NOT NULL,
	nickname TEXT NOT NULL DEFAULT 'nick') STRICT;
	INSERT INTO users_2 (seq, id, wallet_address, created_at) SELECT seq, id, wallet_address, created_at FROM users;
	PRAGMA defer_foreign_keys = 1; DROP TABLE users; ALTER TABLE users_2 RENAME TO users;
	CREATE TABLE more (x) ; INSERT INTO more VALUES (1);`

// A server's file goes back with all rows of which the older program knows the tables:
// each claim, token and user, and also the numbers that must not come twice.
func TestServerBack(t *testing.T) {
	for name, c := range map[string]struct {
		step, undo string
		way        store.Way
		loses      string
		err        error
	}{
		"carried over": {`CREATE TABLE more (x); ALTER TABLE claims ADD COLUMN note TEXT NOT NULL DEFAULT '';`, "", store.BackCarry, "", nil},
		"undone":       {`CREATE TABLE more (x)`, "-- Loses: what is more\nDROP TABLE more;", store.BackUndo, "what is more", nil},
		"not to be":    {`ALTER TABLE claims RENAME COLUMN nonce TO once`, "", store.BackCarry, "", store.ErrNoWayBack},
	} {
		t.Run(name, func(t *testing.T) {
			schema, to := oneMore(t, store.ServerSchema(), c.step, c.undo)
			dir := t.TempDir()
			path, temp := filepath.Join(dir, "server.db"), filepath.Join(dir, "temp.db")
			before := kinds()[1].fixture(t, to)
			t.Chdir(dir)
			raw(t, path, "BEGIN;"+before+"COMMIT; PRAGMA journal_mode = WAL")
			raw(t, path, `UPDATE sqlite_sequence SET seq = 77 WHERE name = 'debtors'`)
			s, err := store.OpenServerSchema(t.Context(), path, schema)
			must(t)(nil, err)
			must(t)(nil, s.Close())
			raw(t, path, `INSERT INTO users (seq, id, created_at) VALUES (7, 'new', 1)`)

			// A relative path, as --data ./data has it.
			b, err := store.BackOf(t.Context(), "server.db", to, "server", store.ServerID, schema)
			must(t)(nil, err)
			if b.Way != c.way || b.Loses != c.loses || b.Version != to+1 {
				t.Errorf("%+v", b)
			}
			if err := b.Make(t.Context(), temp, x402.Address{}, store.Options{}); !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if c.err != nil {
				return
			}
			want := strings.Replace(before, "INSERT INTO users (seq, id, wallet_address, created_at) VALUES (2, 'bob', NULL, 1780315200000);",
				"$0\nINSERT INTO users (seq, id, wallet_address, created_at) VALUES (7, 'new', NULL, 1);", 1)
			want = strings.Replace(want, "$0", "INSERT INTO users (seq, id, wallet_address, created_at) VALUES (2, 'bob', NULL, 1780315200000);", 1)
			if diff := cmp.Diff(want, dump(t, temp)); diff != "" {
				t.Error(diff)
			}
			db := rawDB(t, temp)
			defer db.Close()
			if got := texts(t, db, `SELECT CAST(seq AS TEXT) FROM sqlite_sequence WHERE name = 'debtors'`); len(got) != 1 || got[0] != "77" {
				t.Errorf("debtors go on from %v", got)
			}
			kinds()[1].upgrade(t, temp) // the older program opens it
		})
	}
}

// A table that was made anew is carried over as well, of what the older program knows.
func TestServerBackOfTableMadeAnew(t *testing.T) {
	schema, to := oneMore(t, store.ServerSchema(), more, "")
	dir := t.TempDir()
	path, temp := filepath.Join(dir, "server.db"), filepath.Join(dir, "temp.db")
	raw(t, path, "BEGIN;"+kinds()[1].fixture(t, to)+"COMMIT; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = 0;"+more+
		fmt.Sprintf("PRAGMA user_version = %d", to+1))
	b, err := store.BackOf(t.Context(), path, to, "server", store.ServerID, schema)
	must(t)(nil, err)
	must(t)(nil, b.Make(t.Context(), temp, x402.Address{}, store.Options{}))
	if diff := cmp.Diff(kinds()[1].fixture(t, to), dump(t, temp)); diff != "" {
		t.Error(diff)
	}
}

// The files that are carried over have no triggers, which would run for each row.
func TestCarriedHaveNoTriggers(t *testing.T) {
	for _, k := range kinds() {
		if k.name == "server" || k.name == "chat" || k.name == "purse" {
			if strings.Contains(k.fresh(t), "CREATE TRIGGER") {
				t.Errorf("%s has a trigger: see carry", k.name)
			}
		}
	}
}
