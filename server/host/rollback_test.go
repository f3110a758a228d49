package host_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// rolled is a data directory that two programs have served, of which the first knew
// the versions of Hosts' files but the last.
type rolled struct {
	dir   string
	older int // the version that the first knew
	users []store.User
}

// openAs opens a directory as a program that reads Hosts' files up to a version.
func openAs(t *testing.T, dir, version string, hosts int) *host.Hosts {
	t.Helper()
	s, err := store.CurrentSchemas()
	if err != nil {
		t.Fatal(err)
	}
	s.Hosts.Newest = hosts
	path := filepath.Join(t.TempDir(), "concierge-"+version)
	if err := os.WriteFile(path, []byte("program "+version), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &store.Program{Version: version, Path: path, Schemas: s}
	if p.SHA256, err = host.SumProgram(path); err != nil {
		t.Fatal(err)
	}
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Network: "devnet", Program: p, Command: "serve", Log: testlog.New()})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func closeHosts(t *testing.T, h *host.Hosts) {
	t.Helper()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fileOf(dir, user string) string { return filepath.Join(dir, "hosts", user[:2], user+".db") }

// makeOlder makes a Host's file anew at an older version, with its wallet.
func makeOlder(t *testing.T, path string, version int) {
	t.Helper()
	kept := path + ".kept"
	if err := os.Rename(path, kept); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	names, err := fs.Glob(os.DirFS("../../store/migrations/host"), "*.sql")
	if err != nil || len(names) < version {
		t.Fatal(names, err)
	}
	for _, name := range names[:version] {
		text, err := os.ReadFile(filepath.Join("../../store/migrations/host", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d; ATTACH '%s' AS kept;
		INSERT INTO wallet SELECT * FROM kept.wallet`, 0x65766368, version, kept)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
}

// upgraded has three users who registered before the second program came, and one
// after; each made an event with the second program, but for the last of the three,
// whose file it has not opened.
func upgraded(t *testing.T) rolled {
	t.Helper()
	schemas, err := store.CurrentSchemas()
	if err != nil {
		t.Fatal(err)
	}
	r := rolled{dir: t.TempDir(), older: schemas.Hosts.Newest - 1}
	register := func(h *host.Hosts, name string) {
		u, _, err := h.Register(t.Context(), host.Registration{Email: name + "@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		r.users = append(r.users, u)
	}
	h := openAs(t, r.dir, "v1", r.older)
	for _, name := range []string{"ada", "bo", "cy"} {
		register(h, name)
	}
	if err := h.KeepProgram(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	closeHosts(t, h)
	for _, u := range r.users {
		makeOlder(t, fileOf(r.dir, u.ID), r.older)
	}
	h = openAs(t, r.dir, "v2", schemas.Hosts.Newest)
	register(h, "di")
	for i, u := range r.users {
		if i == 2 {
			continue
		}
		at, err := h.Host(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Store.CreateEvent(t.Context(), store.Event{ID: "evt_1", Title: "x", TimeZone: "UTC", StartsAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	closeHosts(t, h)
	return r
}

// stopsAfter is a context that ends at the nth look at it; database/sql looks from
// goroutines of its own.
type stopsAfter struct {
	context.Context
	left *atomic.Int64
}

func (s stopsAfter) Err() error {
	if s.left.Add(-1) < 0 {
		return context.Canceled
	}
	return s.Context.Err()
}

// What is gone back to is what there was, each user has their wallet and is looked
// after, and a rollback that ends at any file is run again; until then nobody opens the
// directory.
func TestRollback(t *testing.T) {
	for stop := range 4 {
		t.Run(fmt.Sprint("ended after ", stop), func(t *testing.T) {
			r := upgraded(t)
			plan := func() *host.Rollback {
				t.Helper()
				p, err := host.PlanRollback(t.Context(), r.dir, 1, time.Now)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			p := plan()
			if len(p.Hosts) != 3 || p.Stay != 2 || p.Server.Way != store.BackNone {
				t.Fatalf("%+v", p)
			}
			for _, b := range p.Hosts {
				made := strings.Contains(b.Path, r.users[3].ID)
				if b.Way != store.BackCopy || (b.Copy == "") != made || b.Lost.Events != 1 {
					t.Errorf("%+v", b)
				}
			}
			if stop > 0 { // 0: at once to the end
				var left atomic.Int64
				left.Store(int64(stop - 1))
				if err := p.Do(stopsAfter{t.Context(), &left}); !errors.Is(err, context.Canceled) {
					t.Fatalf("it was to end: %v", err)
				}
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := host.Open(t.Context(), host.Config{Dir: r.dir, Log: testlog.New()}); err == nil || !strings.Contains(err.Error(), "run it again") {
					t.Fatalf("a server starts: %v", err)
				}
				if _, err := host.PlanRollback(t.Context(), r.dir, 2, time.Now); err == nil || !strings.Contains(err.Error(), "rollback 1") {
					t.Errorf("to another: %v", err)
				}
				p = plan()
			}
			if err := p.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			checkRolledBack(t, r)
		})
	}
}

func checkRolledBack(t *testing.T, r rolled) {
	t.Helper()
	for i, u := range r.users {
		path := fileOf(r.dir, u.ID)
		if version, _, err := store.HostVersion(t.Context(), path); err != nil || version != r.older {
			t.Errorf("user %d has version %d, %v", i, version, err)
		}
		copies, err := filepath.Glob(path + ".v*.bak")
		asides, err2 := filepath.Glob(path + ".replaced-*")
		if want := 1; errors.Join(err, err2) != nil || len(copies) != 0 || i == 2 && len(asides) != 0 || i != 2 && len(asides) != want {
			t.Errorf("user %d: copies %v, put aside %v", i, copies, asides)
		}
	}
	h := openAs(t, r.dir, "v2", r.older+1) // which brings them up to date again, with new copies
	defer closeHosts(t, h)
	for i, u := range r.users {
		at, err := h.Host(t.Context(), u.ID)
		if err != nil || at.PayTo != u.WalletAddress {
			t.Fatalf("user %d: %+v, %v", i, at, err)
		}
		if _, err := at.Store.Event(t.Context(), "evt_1"); !errors.Is(err, store.ErrEventNotFound) {
			t.Errorf("user %d: the event of since: %v", i, err)
		}
		if sealed, err := at.Store.SealedWallet(t.Context()); err != nil || sealed == nil {
			t.Errorf("user %d has no wallet: %v", i, err)
		}
		since, marked, err := at.Store.Restored(t.Context())
		if err != nil || marked != (i != 2) || marked && since.Wallet != u.WalletAddress {
			t.Errorf("user %d is marked: %t, %+v, %v", i, marked, since, err)
		}
		if _, err := os.Stat(fmt.Sprintf("%s.v%d.bak", fileOf(r.dir, u.ID), r.older)); err != nil {
			t.Errorf("user %d: no copy before the next migration: %v", i, err)
		}
	}
	if all, err := h.Restoring(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("%d are looked after, %v", len(all), err)
	}
	if all, err := h.Server.Deployments(t.Context(), 10); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Nothing is changed while the directory is open, for a deployment that is not there,
// or when a copy is gone without which a Host can't go back.
func TestRollbackRefused(t *testing.T) {
	r := upgraded(t)
	h := openAs(t, r.dir, "v2", r.older+1)
	if _, err := host.PlanRollback(t.Context(), r.dir, 1, time.Now); !errors.Is(err, host.ErrDirectoryInUse) {
		t.Errorf("in use: %v", err)
	}
	closeHosts(t, h)
	if _, err := host.PlanRollback(t.Context(), r.dir, 99, time.Now); !errors.Is(err, host.ErrNoDeployment) {
		t.Errorf("not there: %v", err)
	}
	if err := os.Remove(fmt.Sprintf("%s.v%d.bak", fileOf(r.dir, r.users[0].ID), r.older)); err != nil {
		t.Fatal(err)
	}
	if _, err := host.PlanRollback(t.Context(), r.dir, 1, time.Now); !errors.Is(err, store.ErrNoWayBack) {
		t.Errorf("its copy is gone: %v", err)
	}
	if _, err := host.PlanRollback(t.Context(), t.TempDir(), 1, time.Now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no data directory: %v", err)
	}
}

// The last programs are kept, and put back where they were started from.
func TestKeepPrograms(t *testing.T) {
	dir := t.TempDir()
	var all []store.Program
	for _, version := range []string{"v1", "v2", "v1", "v3"} {
		h := openAs(t, dir, version, 7)
		if err := h.KeepProgram(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		all = append(all, *h.Program)
		closeHosts(t, h)
	}
	for i, kept := range []bool{true, false, true, true} {
		if _, err := os.Stat(host.ProgramFile(dir, all[i])); (err == nil) != kept {
			t.Errorf("program %d: %v", i, err)
		}
	}
	if err := os.WriteFile(all[0].Path, []byte("another"), 0o700); err != nil {
		t.Fatal(err)
	}
	if path, err := host.InstallProgram(dir, all[0]); err != nil || path != all[0].Path {
		t.Errorf("%s, %v", path, err)
	}
	if text, err := os.ReadFile(all[0].Path); err != nil || string(text) != "program v1" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(host.ProgramFile(dir, all[3]), []byte("broken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := host.InstallProgram(dir, all[3]); err == nil {
		t.Error("a copy that is broken was put in place")
	}
}
