package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// MustFiles returns Files with a clock of their own, closed with the test.
func MustFiles(tb testing.TB, o store.Options) (*store.Files, *clock) {
	tb.Helper()
	c := &clock{}
	o.Now = c.Now
	files := store.NewFiles(o)
	tb.Cleanup(func() {
		if err := files.Close(); err != nil {
			tb.Error(err)
		}
	})
	return files, c
}

// hosts are n Hosts of files in a new directory.
func hosts(tb testing.TB, files *store.Files, n int) []*host {
	tb.Helper()
	dir := tb.TempDir()
	all := make([]*host, n)
	for i := range all {
		path := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		all[i] = &host{Host: files.Host(path), path: path}
	}
	return all
}

// closeFile closes the Host's file; the next call opens it again.
func (h *host) closeFile(t *testing.T) error {
	return h.Files().Alone(t.Context(), h.path, func() error { return nil })
}

func TestHostNeedsNoFile(t *testing.T) {
	files, _ := MustFiles(t, store.Options{})
	h := hosts(t, files, 1)[0]
	if _, err := os.Stat(h.path); !errors.Is(err, fs.ErrNotExist) || files.Open() != 0 {
		t.Errorf("there is a file: %v, %d open", err, files.Open())
	}
	h.event(t, "tea", nil)
	if n := h.taken(t, "tea"); n != 0 || files.Open() != 1 {
		t.Errorf("%d seats taken, %d open", n, files.Open())
	}
}

// However many want a file that is closed, or being closed, it is opened once.
func TestOpenOnce(t *testing.T) {
	files, _ := MustFiles(t, store.Options{MaxOpen: 2})
	all := hosts(t, files, 3)
	for round := range 10 {
		for _, h := range all { // the first is closed now, or will be
			h.event(t, fmt.Sprint(round), nil)
		}
		const callers = 100
		var opened [callers]any
		var wg, ready sync.WaitGroup
		ready.Add(callers)
		for i := range callers {
			wg.Go(func() {
				if err := all[0].Using(t.Context(), func(file any) {
					opened[i] = file
					ready.Done()
					ready.Wait() // so that all use it at once
				}); err != nil {
					t.Error(err)
					ready.Done()
				}
			})
		}
		wg.Wait()
		for _, o := range opened {
			if o != opened[0] {
				t.Fatal("it was opened more than once")
			}
		}
	}
}

// A file in use is not closed, and the others wait for its place, or until they
// give up.
func TestWaitForAPlace(t *testing.T) {
	files, _ := MustFiles(t, store.Options{MaxOpen: 1})
	all := hosts(t, files, 2)
	all[1].event(t, "tea", nil)
	done := make(chan error, 1)
	if err := all[0].Using(t.Context(), func(any) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := all[1].Event(ctx, "tea"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		go func() {
			_, err := all[1].Event(context.WithoutCancel(ctx), "tea")
			done <- err
		}()
		select {
		case err := <-done:
			t.Errorf("it did not wait: %v", err)
		case <-ctx.Done():
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Many calls on many Hosts, of which few can be open: nothing fails, nothing is
// lost, and never are too many open.
func TestFewPlaces(t *testing.T) {
	const places, tenants, callers, calls = 3, 8, 12, 25
	files, _ := MustFiles(t, store.Options{MaxOpen: places})
	all := hosts(t, files, tenants)
	for _, h := range all {
		h.event(t, "tea", nil)
	}
	var booked [tenants]atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 5))
			for n := range calls {
				k := random.IntN(tenants)
				if random.IntN(3) == 0 {
					if _, err := all[k].BookFree(t.Context(), booking("tea", c*calls+n, 1)); err != nil {
						t.Error(err)
					}
					booked[k].Add(1)
				}
				before := booked[k].Load()
				if e, err := all[k].Event(t.Context(), "tea"); err != nil || int64(e.SeatsTaken) < before {
					t.Errorf("%d seats taken of %d, %v", e.SeatsTaken, before, err)
				}
				if open := files.Open(); open > places {
					t.Errorf("%d are open", open)
				}
			}
		})
	}
	wg.Wait()
	for k, h := range all {
		if got := h.taken(t, "tea"); int64(got) != booked[k].Load() {
			t.Errorf("Host %d has %d seats taken, want %d", k, got, booked[k].Load())
		}
	}
}

func TestIdleFilesAreClosed(t *testing.T) {
	files, clock := MustFiles(t, store.Options{Idle: time.Minute})
	all := hosts(t, files, 2)
	for _, h := range all {
		h.event(t, "tea", nil)
	}
	clock.Advance(40 * time.Second)
	all[1].taken(t, "tea")
	clock.Advance(30 * time.Second)
	if err := all[1].Using(t.Context(), func(any) { clock.Advance(time.Hour); files.Tend() }); err != nil {
		t.Fatal(err)
	}
	if files.Open() != 1 {
		t.Errorf("%d open, want the one that was in use", files.Open())
	}
	if _, err := os.Stat(all[0].path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log of the closed one: %v", err)
	}
	if all[0].taken(t, "tea") != 0 || files.Open() != 2 {
		t.Errorf("%d open", files.Open())
	}
}

// Without being told, too.
func TestIdleFilesAreClosedByThemselves(t *testing.T) {
	files := store.NewFiles(store.Options{Idle: time.Millisecond})
	h := hosts(t, files, 1)[0]
	h.event(t, "tea", nil)
	for files.Open() > 0 {
		time.Sleep(time.Millisecond)
	}
	if err := files.Close(); err != nil {
		t.Error(err)
	}
}

// A file that can't be opened fails alone, and is tried again after a second.
func TestFailsAlone(t *testing.T) {
	files, clock := MustFiles(t, store.Options{})
	all := hosts(t, files, 2)
	for _, h := range all {
		makeHost(t, h.path)
	}
	raw(t, all[0].path, `PRAGMA user_version = 99`)
	if _, err := all[0].Event(t.Context(), "tea"); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("got %v", err)
	}
	all[1].taken(t, "tea")
	raw(t, all[0].path, fmt.Sprintf(`PRAGMA user_version = %d`, len(steps(t, store.HostSchema()))))
	if _, err := all[0].Event(t.Context(), "tea"); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("tried again at once: %v", err)
	}
	clock.Advance(time.Second)
	all[0].taken(t, "tea")
	if files.Open() != 2 {
		t.Errorf("%d open", files.Open())
	}
}

// The caller who opens a file may give up; the others go on.
func TestOpenerGivesUp(t *testing.T) {
	files, _ := MustFiles(t, store.Options{})
	h := hosts(t, files, 1)[0]
	write(t, h.path, nil)
	db := rawDB(t, h.path)
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `BEGIN EXCLUSIVE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	first, second := make(chan error), make(chan error)
	go func() { first <- h.Abandon(ctx, "x") }()
	go func() { second <- h.Abandon(t.Context(), "y") }()
	if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestAlone(t *testing.T) {
	files, _ := MustFiles(t, store.Options{})
	h := hosts(t, files, 1)[0]
	h.event(t, "tea", nil)
	old := read(t, h.path)
	var came atomic.Bool
	done := make(chan error)
	if err := h.Using(t.Context(), func(any) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := files.Alone(ctx, h.path, func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a file in use: %v", err)
		}
		h.taken(t, "tea") // it can be used again
	}); err != nil {
		t.Fatal(err)
	}
	if err := files.Alone(t.Context(), h.path, func() error {
		go func() {
			_, err := h.Event(context.WithoutCancel(t.Context()), "tea")
			came.Store(true)
			done <- err
		}()
		time.Sleep(5 * time.Millisecond)
		if came.Load() {
			t.Error("somebody came in")
		}
		if _, err := os.Stat(h.path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the log is still there: %v", err)
		}
		return os.Remove(h.path)
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("in the new file: %v; the old one had %d bytes", err, len(old))
	}
}

func TestFilesClose(t *testing.T) {
	files := store.NewFiles(store.Options{})
	all := hosts(t, files, 8)
	for _, h := range all {
		h.event(t, "tea", nil)
	}
	closed := make(chan error)
	if err := all[0].Using(t.Context(), func(any) {
		go func() { closed <- files.Close() }()
		for { // refused from some moment on
			if _, err := all[1].Event(t.Context(), "tea"); errors.Is(err, store.ErrClosed) {
				break
			}
		}
		select {
		case err := <-closed:
			t.Errorf("it did not wait: %v", err)
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil || files.Open() != 0 {
		t.Errorf("%v, %d open", err, files.Open())
	}
	if logs, err := filepath.Glob(filepath.Join(filepath.Dir(all[0].path), "*-wal")); err != nil || len(logs) > 0 {
		t.Errorf("logs are left: %v, %v", logs, err)
	}
	if err := files.Close(); err != nil {
		t.Error(err)
	}
}
