package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/events-concierge/concierge/store"
)

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "users")
	h := reopen(t, &host{path: filepath.Join(dir, "h.db"), clock: &clock{}})
	h.event(t, "tea", nil)
	for name, want := range map[string]fs.FileMode{
		"..": fs.ModeDir | 0o700, ".": fs.ModeDir | 0o700, "h.db": 0o600, "h.db-wal": 0o600, "h.db-shm": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A server may have hundreds of files open that were just made.
func TestOpenKeepsLittleInMemory(t *testing.T) {
	h := reopen(t, &host{path: filepath.Join(t.TempDir(), "h.db"), clock: &clock{}})
	if bytes, _, err := h.Cached(); err != nil || bytes > 16<<10 {
		t.Errorf("%d bytes of pages, %v", bytes, err)
	}
}

// Nor are the pages kept that were written, when no more are written.
func TestWriterGivesMemoryBack(t *testing.T) {
	files, clock := MustFiles(t, store.Options{})
	files.Quiet()
	h := hosts(t, files, 1)[0]
	const little = 16 << 10
	for n := range 3 {
		h.event(t, fmt.Sprint("tea", n), nil)
		clock.Advance(time.Minute)
		files.Tend()
		if _, bytes, err := h.Cached(); err != nil || bytes <= little {
			t.Errorf("a minute after a write: %d bytes of pages, %v", bytes, err)
		}
	}
	clock.Advance(time.Minute)
	files.Tend()
	if _, bytes, err := h.Cached(); err != nil || bytes > little {
		t.Errorf("two minutes after a write: %d bytes of pages, %v", bytes, err)
	}
	h.event(t, "cake", nil)
}

func TestOpenOddNames(t *testing.T) {
	for _, name := range []string{"a b.db", "what?.db", "100%.db", "%41.db", "#1.db", "a&mode=ro.db", "ü;'\".db", "file:x.db", "a+b.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := reopen(t, &host{path: filepath.Join(dir, name), clock: &clock{}})
			h.event(t, "tea", nil)
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == ".opening" }) // a lock
			if len(entries) != 1 || entries[0].Name() != name {
				t.Errorf("files %v, want %q alone", entries, name)
			}
			if got := reopen(t, h).taken(t, "tea"); got != 0 {
				t.Errorf("%d seats taken", got)
			}
		})
	}
	for _, path := range []string{"", "a\x00b"} {
		if _, err := store.OpenHost(t.Context(), path, store.Options{}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("open %q: %v", path, err)
		}
	}
}

func TestOpenRefusesAndLeavesAlone(t *testing.T) {
	cases := map[string]struct {
		make func(t *testing.T, path string)
		want error
		says string
	}{
		"newer schema": {func(t *testing.T, path string) {
			makeHost(t, path)
			raw(t, path, `PRAGMA user_version = 99`)
		}, store.ErrNewerSchema, "use that version"},
		"text": {func(t *testing.T, path string) {
			write(t, path, []byte(strings.Repeat("not a database\n", 100)))
		}, store.ErrNotDatabase, "not a database"},
		"short text": {func(t *testing.T, path string) { write(t, path, []byte("x")) }, store.ErrNotDatabase, ""},
		"cut off": {func(t *testing.T, path string) {
			makeHost(t, path)
			b := read(t, path)
			write(t, path, b[:len(b)/2])
		}, store.ErrCorrupt, "restore a backup"},
		"damaged": {func(t *testing.T, path string) {
			makeHost(t, path)
			b := read(t, path)
			copy(b[100:], bytes.Repeat([]byte{0xff}, 3000))
			write(t, path, b)
		}, store.ErrCorrupt, ""},
		"the server's": {func(t *testing.T, path string) {
			s, err := store.OpenServer(t.Context(), path, store.Options{})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}, store.ErrWrongFile, "it is the server's"},
		"another program's": {func(t *testing.T, path string) {
			raw(t, path, `CREATE TABLE t (x)`)
		}, store.ErrWrongFile, ""},
		"another program's id": {func(t *testing.T, path string) {
			raw(t, path, `PRAGMA application_id = 5`)
		}, store.ErrWrongFile, "application_id 5"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.db")
			c.make(t, path)
			before := read(t, path)
			h, err := store.OpenHost(t.Context(), path, store.Options{})
			if err == nil {
				h.Close()
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "f.db")
	makeHost(t, path)
	if _, err := store.OpenServer(t.Context(), path, store.Options{}); !errors.Is(err, store.ErrWrongFile) || !strings.Contains(err.Error(), "host's") {
		t.Errorf("a host's file as the server's: %v", err)
	}
}

// makeHost leaves a closed Host's file at path.
func makeHost(t *testing.T, path string) {
	t.Helper()
	h := reopen(t, &host{path: path, clock: &clock{}})
	h.event(t, "tea", nil)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationIsAllOrNothing(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	schema, last := fstest.MapFS{}, 0
	for last = range steps(t, store.HostSchema()) {
		schema[fmt.Sprintf("%04d_step.sql", last+1)] = &fstest.MapFile{Data: []byte(steps(t, store.HostSchema())[last])}
	}
	last += 3
	note, fail := fmt.Sprintf("%04d_note.sql", last-1), fmt.Sprintf("%04d_fail.sql", last)
	schema[note] = &fstest.MapFile{Data: []byte(`CREATE TABLE notes (x TEXT) STRICT; INSERT INTO notes VALUES ('kept');`)}
	schema[fail] = &fstest.MapFile{Data: []byte(`DROP TABLE notes; UPDATE events SET title = 'lost'; INSERT INTO nowhere VALUES (1);`)}
	if _, err := store.OpenHostSchema(t.Context(), h.path, schema); err == nil || !strings.Contains(err.Error(), fmt.Sprint("migration ", last)) {
		t.Fatalf("a failing migration: %v", err)
	}
	db := rawDB(t, h.path)
	defer db.Close()
	var version int
	var text, title string
	if err := db.QueryRow(`SELECT user_version, (SELECT x FROM notes), (SELECT title FROM events) FROM pragma_user_version`).
		Scan(&version, &text, &title); err != nil {
		t.Fatal(err)
	}
	if version != last-1 || text != "kept" || title != "Tea" {
		t.Errorf("version %d, note %q, title %q; want what the migration before left", version, text, title)
	}

	schema[fail].Data = []byte(`INSERT INTO notes VALUES ('mended') -- a comment without an end`)
	mended, err := store.OpenHostSchema(t.Context(), h.path, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer mended.Close()
	if _, err := mended.Event(t.Context(), "tea"); err != nil {
		t.Error(err)
	}
	delete(schema, note)
	if _, err := store.OpenHostSchema(t.Context(), h.path, schema); err == nil {
		t.Error("a gap in the migrations was accepted")
	}
}

func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "host.db")
	var wg sync.WaitGroup
	hosts := make([]*store.Host, 12)
	for i := range hosts {
		wg.Go(func() {
			var err error
			if hosts[i], err = store.OpenHost(t.Context(), path, store.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, h := range hosts {
		if h == nil {
			continue
		}
		if _, _, err := h.Events(t.Context(), store.EventQuery{}); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClose(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	h.event(t, "cake", nil)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := h.Event(t.Context(), "tea"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("reading a closed host: %v", err)
	}
	if _, err := h.BookFree(t.Context(), booking("tea", 1, 1)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("writing a closed host: %v", err)
	}
	if got := reopen(t, h).taken(t, "cake"); got != 0 {
		t.Errorf("%d seats taken", got)
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.OpenHost(ctx, filepath.Join(t.TempDir(), "h.db"), store.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSettings(t *testing.T) {
	h := MustOpen(t)
	for name, want := range map[string][2]string{
		"journal_mode":       {"wal", "wal"},
		"synchronous":        {"2", "2"}, // FULL
		"foreign_keys":       {"1", "1"},
		"busy_timeout":       {"10000", "10000"},
		"wal_autocheckpoint": {"0", "0"},
		"cache_size":         {"-1024", "-256"},
		"temp_store":         {"2", "0"}, // memory
		"trusted_schema":     {"0", "0"},
		"query_only":         {"0", "1"},
	} {
		write, read, err := h.Pragma(t.Context(), name)
		if got := [2]string{write, read}; got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
}

// Two processes may turn on the log of a new file at once, and SQLite lets the
// second fail without waiting.
func TestOpenWaitsForAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.db")
	write(t, path, nil)
	db := rawDB(t, path)
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.OpenHost(ctx, path, store.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that ends: %v", err)
	}
	opened := make(chan error)
	go func() {
		h, err := store.OpenHost(context.Background(), path, store.Options{})
		if err == nil {
			err = h.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Errorf("it did not wait: %v", err)
	case <-ctx.Done():
		if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}
