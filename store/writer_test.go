package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/store"
)

type execFunc = func(query string, args ...any) error

const insertRow = `INSERT INTO abandoned (payment_id, created_at) VALUES (?, 0)`

// block keeps the writer busy until release is called.
func block(t *testing.T, h *host) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- h.Write(context.Background(), func(execFunc) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		t.Helper()
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// await returns when n calls wait for the writer.
func await(h *host, n int) {
	for h.Waiting() != n {
		runtime.Gosched()
	}
}

func (h *host) count(t *testing.T, query string) (n int) {
	t.Helper()
	db := rawDB(t, h.path)
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCallsShareACommit(t *testing.T) {
	h := MustOpen(t)
	release := block(t, h)
	const calls = 30
	errBad := errors.New("bad")
	var wg sync.WaitGroup
	for n := range calls {
		wg.Go(func() {
			defer func() {
				if p := recover(); (p != nil) != (n == 11) {
					t.Errorf("call %d panicked with %v", n, p)
				}
			}()
			err := h.Write(t.Context(), func(exec execFunc) error {
				if seen := h.count(t, `SELECT count(*) FROM abandoned`); seen != 0 {
					t.Errorf("call %d: %d of those it shares a commit with are committed already", n, seen)
				}
				if err := exec(insertRow, fmt.Sprint(n)); err != nil {
					return err
				}
				switch n {
				case 7:
					return errBad
				case 11:
					panic("call 11")
				}
				return nil
			})
			if want := map[int]error{7: errBad}[n]; !errors.Is(err, want) {
				t.Errorf("call %d: %v, want %v", n, err, want)
			}
		})
	}
	await(h, calls)
	release()
	wg.Wait()
	if n := h.count(t, `SELECT count(*) FROM abandoned`); n != calls-2 {
		t.Errorf("%d calls left something, want %d", n, calls-2)
	}
	if n := h.count(t, `SELECT count(*) FROM abandoned WHERE payment_id IN ('7', '11')`); n != 0 {
		t.Error("a call that failed left something")
	}
}

func TestContextEndsTheWait(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	release := block(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := h.BookFree(ctx, booking("tea", 1, 1))
		done <- err
	}()
	await(h, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	if _, err := h.BookFree(ctx, booking("tea", 1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if n := h.taken(t, "tea"); n != 0 {
		t.Errorf("%d seats taken", n)
	}
	book(t, h, 1, 1)
}

func TestContextInterruptsNothing(t *testing.T) {
	h := MustOpen(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := h.Write(ctx, func(exec execFunc) error {
		cancel()
		return exec(insertRow, "kept")
	})
	if n := h.count(t, `SELECT count(*) FROM abandoned`); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestContextEndsTheWaitForAnotherProcess(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	other, err := rawDB(t, h.path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled, waits := make(chan error), make(chan error)
	go func() {
		_, err := h.BookFree(ctx, booking("tea", 1, 1))
		cancelled <- err
	}()
	go func() {
		_, err := h.BookFree(t.Context(), booking("tea", 2, 1))
		waits <- err
	}()
	await(h, 2)
	if got := h.taken(t, "tea"); got != 0 { // reading does not wait
		t.Errorf("%d seats taken", got)
	}
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if got := h.taken(t, "tea"); got != 1 {
		t.Errorf("%d seats taken, want 1", got)
	}
}

// When the disk is full, SQLite gives up the whole transaction. Nobody who
// shares it may be told of success then.
func TestDiskFull(t *testing.T) {
	h := MustOpen(t)
	if err := h.Write(t.Context(), func(exec execFunc) error { return exec(`PRAGMA max_page_count = 40`) }); err != nil {
		t.Fatal(err)
	}
	release := block(t, h)
	const calls = 20
	var wg sync.WaitGroup
	errs := make([]error, calls)
	for n := range calls {
		wg.Go(func() {
			id := fmt.Sprint(n)
			if n == calls/2 {
				id = strings.Repeat("x", 1<<20)
			}
			errs[n] = h.Write(t.Context(), func(exec execFunc) error { return exec(insertRow, id) })
		})
	}
	await(h, calls)
	release()
	wg.Wait()
	for n, err := range errs {
		kept := h.count(t, fmt.Sprintf(`SELECT count(*) FROM abandoned WHERE payment_id = '%d'`, n)) == 1
		if kept != (err == nil) {
			t.Errorf("call %d: kept %v, but told %v", n, kept, err)
		}
	}
	if errs[calls/2] == nil {
		t.Error("the disk was not full")
	}
	if err := h.Abandon(t.Context(), "after"); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestCloseWhileOthersWait(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	release := block(t, h)
	done := make(chan error)
	go func() {
		_, err := h.BookFree(context.Background(), booking("tea", 1, 1))
		done <- err
	}()
	await(h, 1)
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v", err)
	}
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n := reopen(t, h).taken(t, "tea"); n != 0 {
		t.Errorf("%d seats taken", n)
	}
}

// 50 writers here and some of another process: each gets its turn, and nobody is
// told that the file is busy.
func TestFiftyWriters(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	const writers, each = 50, 6
	cmd, out := startChild(t, h.path, "other", each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := h.BookFree(t.Context(), booking("tea", w*each+n, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	wg.Wait()
	if n := h.taken(t, "tea"); n != writers*each {
		t.Errorf("%d seats taken, want %d", n, writers*each)
	}
}
