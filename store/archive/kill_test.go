package archive_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store/archive"
)

// envChild has this program archive a file and stop at a point, to be killed there.
const envChild = "ARCHIVE_TEST_CHILD"

func TestMain(m *testing.M) {
	if child := os.Getenv(envChild); child != "" {
		fmt.Println(archiveUntil(strings.Split(child, "|")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Points at which a process is killed.
const (
	beforePut = "before anything is written"
	halfPut   = "when half is written"
	afterPut  = "when it is written and not noted"
)

// archiveUntil ships a file, and says so when it is at the point.
func archiveUntil(arg []string) error {
	dir, place, point := arg[0], arg[1], arg[2]
	to, err := archive.NewDir(place)
	if err != nil {
		return err
	}
	a, err := archive.New(context.Background(), archive.Config{Dir: dir, Name: "test", To: &stopping{to, point}, Log: testlog.New()})
	if err != nil {
		return err
	}
	_, err = a.Ship(context.Background(), file, time.Now())
	return errors.Join(errors.New("it came to its end"), err)
}

// stopping is a backend that stops at a point of a Put for good.
type stopping struct {
	archive.Backend
	point string
}

func (s *stopping) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	s.at(beforePut)
	err := s.Backend.Put(ctx, name, func(w io.Writer) error { return write(&halfWay{w: w, stop: s}) })
	s.at(afterPut)
	return err
}

func (s *stopping) at(point string) {
	if s.point == point {
		fmt.Println("at the point")
		select {}
	}
}

type halfWay struct {
	w    io.Writer
	stop *stopping
}

func (h *halfWay) Write(b []byte) (int, error) {
	n, err := h.w.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	h.stop.at(halfPut)
	m, err := h.w.Write(b[len(b)/2:])
	return n + m, err
}

// A process that is killed while it archives leaves an archive that is whole, and
// the next one goes on.
func TestKilledWhileArchiving(t *testing.T) {
	for _, what := range []string{"base", "segment"} {
		for _, point := range []string{beforePut, halfPut, afterPut} {
			t.Run(what+" "+point, func(t *testing.T) {
				to := newDir(t)
				w := newWorld(t, to)
				w.now.Store(time.Now().UnixNano())
				db := w.database(file)
				known := ""
				if what == "segment" {
					w.ship(file)
					known = rows(t, db)
				}
				w.exec(db, `INSERT INTO t VALUES (1, randomblob(5000))`)
				kill(t, w.dir, to.String(), point)
				switch got, _, err := w.restored(file, time.Time{}); {
				case point == afterPut && (err != nil || got != rows(t, db)):
					t.Errorf("what it wrote: %q, %v", got, err)
				case point != afterPut && what == "base" && !errors.Is(err, archive.ErrNotFound):
					t.Errorf("there is a base: %q, %v", got, err)
				case point != afterPut && what == "segment" && (err != nil || got != known):
					t.Errorf("what was there before: %q, %v", got, err)
				}
				w.now.Store(time.Now().Add(time.Second).UnixNano())
				w.exec(db, `INSERT INTO t VALUES (2, randomblob(5000))`)
				w.ship(file)
				w.wantRestored(file, time.Time{}, rows(t, db))
			})
		}
	}
}

// kill runs a child up to a point, and kills it there.
func kill(t *testing.T, dir, place, point string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), envChild+"="+strings.Join([]string{dir, place, point}, "|"))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err := errors.Join(err, child.Process.Kill()); err != nil || line != "at the point\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = child.Wait() // it was killed
}
