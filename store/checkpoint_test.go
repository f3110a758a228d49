package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// kept is the size a log's file may keep.
const kept = 8 << 20

// fill writes rows of so many pages, each with a commit of its own.
func fill(t *testing.T, h *host, name string, rows, pages int) {
	t.Helper()
	for n := range rows {
		if err := h.Abandon(t.Context(), fmt.Sprint(name, n, strings.Repeat("x", pages*3500))); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *host) log(t *testing.T) (frames, moved int) {
	t.Helper()
	frames, moved, err := h.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return frames, moved
}

// pin reads from the file as another process would, and goes on doing so until
// release is called.
func pin(t *testing.T, h *host) (release func()) {
	t.Helper()
	db := rawDB(t, h.path)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM abandoned`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// The log is emptied while others write, and begins anew.
func TestLogIsEmptied(t *testing.T) {
	files, _ := MustFiles(t, store.Options{})
	files.Quiet()
	files.Limit(50, 10_000)
	h := hosts(t, files, 1)[0]
	most := 0
	for n := range 30 {
		fill(t, h, fmt.Sprint(n, " "), 10, 1)
		frames, _ := h.log(t)
		most = max(most, frames)
		files.Tend()
	}
	if most > 200 || most < 20 {
		t.Errorf("the log had up to %d frames", most)
	}
	if n := h.count(t, `SELECT count(*) FROM abandoned`); n != 300 {
		t.Errorf("%d rows", n)
	}
}

// While another process reads, the log is moved as far as can be. When it ends,
// the log is emptied, and its file shrinks.
func TestPinnedLog(t *testing.T) {
	files, clock := MustFiles(t, store.Options{})
	files.Quiet()
	files.Limit(300, 1_000_000)
	h := hosts(t, files, 1)[0]
	fill(t, h, "before", 5, 10) // which is not yet moved
	release := pin(t, h)
	before, _ := h.log(t)
	fill(t, h, "while", 80, 30)
	frames, moved := h.log(t)
	for ; moved < before; frames, moved = h.log(t) {
		files.Tend()
	}
	if moved >= frames {
		t.Errorf("%d of %d frames moved; the reader needs what came after %d", moved, frames, before)
	}
	if size := h.logSize(t); size < kept {
		t.Errorf("the log has %d bytes", size)
	}
	release()
	for ; moved < frames; frames, moved = h.log(t) {
		clock.Advance(time.Second)
		files.Tend()
	}
	fill(t, h, "after", 1, 1)
	if frames, _ := h.log(t); frames > 50 {
		t.Errorf("the log has %d frames", frames)
	}
	if size := h.logSize(t); size > kept {
		t.Errorf("the log still has %d bytes", size)
	}
}

func (h *host) logSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(h.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A log that can't be emptied does not grow for ever.
func TestFullLog(t *testing.T) {
	files, clock := MustFiles(t, store.Options{})
	files.Quiet()
	files.Limit(50, 300)
	h := hosts(t, files, 1)[0]
	h.event(t, "tea", nil)
	release := pin(t, h)
	var err error
	for n := 0; n < 1000 && err == nil; n++ {
		err = h.Abandon(t.Context(), fmt.Sprint(n, strings.Repeat("x", 3500)))
		files.Tend()
	}
	frames, _ := h.log(t)
	if !errors.Is(err, store.ErrLogFull) || frames < 300 || frames > 400 {
		t.Errorf("%v with %d frames", err, frames)
	}
	h.taken(t, "tea") // reading goes on
	release()
	for frames, moved := h.log(t); moved < frames; frames, moved = h.log(t) {
		clock.Advance(time.Second)
		files.Tend()
	}
	for errors.Is(err, store.ErrLogFull) { // which is known a moment later
		clock.Advance(time.Second)
		files.Tend()
		err = h.Abandon(t.Context(), "after")
	}
	if err != nil {
		t.Error(err)
	}
}

// archiveFunc copies a log.
type archiveFunc func(path string) error

func (archiveFunc) Written(string) {}

func (f archiveFunc) Checkpoint(_ context.Context, path string, move func() error) error {
	if err := f(path); err != nil {
		return err
	}
	return move()
}

// What the archive does not have is not moved to the file, and stays in the log
// when the file is closed.
func TestArchiveComesFirst(t *testing.T) {
	var fail bool
	var archived int
	errFull := errors.New("the archive's disk is full")
	files, _ := MustFiles(t, store.Options{Archive: archiveFunc(func(path string) error {
		if fail {
			return errFull
		}
		log, err := os.ReadFile(path + "-wal")
		archived = bytes.Count(log, []byte("while"))
		return err
	})})
	files.Quiet()
	files.Limit(20, 10_000)
	h := hosts(t, files, 1)[0]
	fail = true
	fill(t, h, "while", 10, 10)
	files.Tend()
	if _, moved := h.log(t); moved > 0 {
		t.Errorf("%d frames moved without the archive", moved)
	}
	nothing := func() error { return nil }
	if err := files.Alone(t.Context(), h.path, nothing); !errors.Is(err, errFull) {
		t.Errorf("closed: %v", err)
	}
	fail = false
	if frames, moved := h.log(t); frames < 100 || moved > 0 {
		t.Errorf("opened again, the log has %d frames, %d moved", frames, moved)
	}
	if err := files.Alone(t.Context(), h.path, nothing); err != nil || archived < 10 {
		t.Errorf("%v, the archive has %d of 10", err, archived)
	}
	if _, err := os.Stat(h.path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
}
