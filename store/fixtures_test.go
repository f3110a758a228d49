package store_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

var update = flag.Bool("update", false, "rewrite what upgraded files look like, and make missing fixtures")

// A kind of file, for tests of all of them.
type kind struct {
	name   string
	schema fs.FS
	open   func(t *testing.T, path string) (close func() error, err error)
}

func kinds() []kind {
	return []kind{
		{"host", store.HostSchema(), func(t *testing.T, path string) (func() error, error) {
			h, err := store.OpenHost(t.Context(), path, store.Options{})
			return h.Close, err
		}},
		{"server", store.ServerSchema(), func(t *testing.T, path string) (func() error, error) {
			s, err := store.OpenServer(t.Context(), path, store.Options{})
			return s.Close, err
		}},
		{"purse", store.PurseSchema(), func(t *testing.T, path string) (func() error, error) {
			p, err := store.OpenPurse(t.Context(), path, store.Options{})
			return p.Close, err
		}},
		{"chat", store.ChatSchema(), func(t *testing.T, path string) (func() error, error) {
			c, err := store.OpenChats(t.Context(), path, store.Options{})
			return c.Close, err
		}},
		{"index", store.IndexSchema(), func(t *testing.T, path string) (func() error, error) {
			x, err := store.OpenIndex(t.Context(), path, store.Options{})
			return x.Close, err
		}},
	}
}

// testdata/schema has a file of every version of every schema, as SQL: those up
// to version 3 were written by the programs of their time. Each is brought up
// to date, and must be what the file beside it says.
func TestFixtures(t *testing.T) {
	for _, k := range kinds() {
		versions := len(steps(t, k.schema))
		for version := 1; version <= versions; version++ {
			t.Run(fmt.Sprintf("%s of version %d", k.name, version), func(t *testing.T) {
				text := k.fixture(t, version)
				path := filepath.Join(t.TempDir(), "old.db")
				raw(t, path, "BEGIN;"+text+"COMMIT; PRAGMA journal_mode = WAL")
				if got := dump(t, path); got != text {
					t.Fatalf("the fixture is not what it makes:\n%s", cmp.Diff(text, got))
				}
				k.upgrade(t, path)
				after := dump(t, path)
				if version < versions {
					golden(t, fmt.Sprintf("testdata/schema/%s.v%d.upgraded.sql", k.name, version), after)
					isCopy(t, fmt.Sprintf("%s.v%d.bak", path, version), text)
				} else if cmp.Diff(text, after) != "" {
					t.Error("a file that is up to date was changed")
				}
				if copies, err := filepath.Glob(path + "*.bak"); err != nil || len(copies) != min(1, versions-version) {
					t.Errorf("copies: %v, %v", copies, err)
				}
				if want := k.fresh(t); schemaOf(after) != want {
					t.Errorf("the schema is not that of a new file:\n%s", cmp.Diff(want, schemaOf(after)))
				}
			})
		}
	}
}

// fixture returns the fixture of a version. One that is missing can be made of
// the one before.
func (k kind) fixture(t *testing.T, version int) string {
	t.Helper()
	name := fmt.Sprintf("testdata/schema/%s.v%d.sql", k.name, version)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && *update && version > 1 {
		path := filepath.Join(t.TempDir(), "before.db")
		raw(t, path, "BEGIN;"+k.fixture(t, version-1)+"COMMIT")
		k.upgrade(t, path)
		text = []byte(dump(t, path))
		write(t, name, text)
	} else if err != nil {
		t.Fatalf("%v: a migration needs a file of its version. Make it with -update, and add rows to the tables that are new", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		table, is := strings.CutPrefix(line, "CREATE TABLE ")
		table, _, _ = strings.Cut(strings.ReplaceAll(table, `"`, ""), " ")
		if is && !strings.Contains(string(text), "INSERT INTO "+table+" ") {
			t.Errorf("%s has no row in %s: add one", name, table)
		}
	}
	return string(text)
}

func TestFutureFiles(t *testing.T) {
	for _, k := range kinds() {
		path := filepath.Join(t.TempDir(), "new.db")
		k.upgrade(t, path)
		raw(t, path, `PRAGMA user_version = 99`)
		if _, err := k.open(t, path); !errors.Is(err, store.ErrNewerSchema) {
			t.Errorf("a %s's file of the future: %v", k.name, err)
		}
	}
}

// The copy of a migration that failed in between is the one to keep.
func TestCopyStays(t *testing.T) {
	path := version1(t, store.HostSchema(), store.HostID, "")
	write(t, path+".v1.bak", []byte("the first"))
	kinds()[0].upgrade(t, path)
	if got := string(read(t, path+".v1.bak")); got != "the first" {
		t.Errorf("the copy is %.20q", got)
	}
}

// upgrade opens a file and closes it.
func (k kind) upgrade(t *testing.T, path string) {
	t.Helper()
	closeFile, err := k.open(t, path)
	if err == nil {
		err = closeFile()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fresh is the schema of a new file.
func (k kind) fresh(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.db")
	k.upgrade(t, path)
	return schemaOf(dump(t, path))
}

// schemaOf is what a dump says of tables, indexes and triggers, without regard to quotes
// around names.
func schemaOf(dump string) string {
	dump = strings.ReplaceAll(dump, `"`, "")
	schema, _, _ := strings.Cut(dump, "INSERT INTO ")
	if _, triggers, ok := strings.Cut(dump, "CREATE TRIGGER "); ok {
		schema += "CREATE TRIGGER " + triggers
	}
	return schema
}

// isCopy checks the copy that is kept of a file before its first migration.
func isCopy(t *testing.T, path, want string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("the copy: %v, %v", info, err)
	}
	if got := dump(t, path); got != want {
		t.Errorf("the copy is not the file as it was:\n%s", cmp.Diff(want, got))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		write(t, name, []byte(got))
	}
	if diff := cmp.Diff(string(read(t, name)), got); diff != "" {
		t.Errorf("%s:\n%s", name, diff)
	}
}

// dump returns a sound file as SQL that makes it again.
func dump(t *testing.T, path string) string {
	t.Helper()
	db := rawDB(t, path)
	defer db.Close()
	if problems := texts(t, db, `SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'
			UNION ALL SELECT "table" FROM pragma_foreign_key_check`); len(problems) > 0 {
		t.Errorf("%s: %v", path, problems)
	}
	lines := texts(t, db, `SELECT 'PRAGMA application_id = ' || application_id FROM pragma_application_id
		UNION ALL SELECT 'PRAGMA user_version = ' || user_version FROM pragma_user_version`)
	// What SQLite keeps of a table for full-text search is not ours to make.
	const ours = `name NOT LIKE 'sqlite_%' AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')`
	lines = append(lines, texts(t, db, `SELECT sql FROM sqlite_schema WHERE type <> 'trigger' AND sql IS NOT NULL AND `+ours+`
		ORDER BY type = 'view', type DESC, name`)...) // tables before their indexes
	for _, table := range texts(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' AND `+ours+` ORDER BY name`) {
		columns := texts(t, db, `SELECT 'rowid' FROM pragma_table_list WHERE name = '`+table+`' AND type = 'virtual'
			UNION ALL SELECT name FROM pragma_table_xinfo('`+table+`') WHERE hidden = 0`)
		query := fmt.Sprintf(`SELECT 'INSERT INTO %s (%s) VALUES (' || concat_ws(', ', quote(%s)) || ')' FROM %[1]s ORDER BY 1`,
			table, strings.Join(columns, ", "), strings.Join(columns, "), quote("))
		lines = append(lines, texts(t, db, query)...)
	}
	// Behind the rows, for which nothing is to be triggered.
	lines = append(lines, texts(t, db, `SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name`)...)
	return strings.Join(lines, ";\n") + ";\n"
}

// texts are the rows of a query with one column.
func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
