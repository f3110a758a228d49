package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
)

// startAdmin serves a log on the socket of a data directory, until stop.
func startAdmin(t *testing.T, data string, l *Log, handedOver bool) (stop func()) {
	t.Helper()
	socket, err := Listen(t.Context(), data, handedOver)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewServer(l, Status{Version: "v1", Network: "devnet"}).Serve(ctx, socket) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func clientOf(t *testing.T, data string) *Client {
	t.Helper()
	c, err := NewClient(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func message(t *testing.T, s *Stream) string {
	t.Helper()
	line, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Msg string }
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r.Msg
}

func TestServerStreams(t *testing.T) {
	data, l := t.TempDir(), NewLog()
	log := testlog.New(l.Handler(quiet()))
	log.Warn("before")
	stop := startAdmin(t, data, l, false)
	c := clientOf(t, data)
	if s, err := c.Status(t.Context()); err != nil || s.Version != "v1" || s.PID != os.Getpid() || s.Run != l.Run {
		t.Errorf("status: %+v, %v", s, err)
	}
	s, err := c.Logs(t.Context(), Query{Place: Place{Last: 5}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := message(t, s); got != "before" {
		t.Errorf("got %q", got)
	}
	log.Info("not wanted")
	log.Warn("now")
	if got := message(t, s); got != "now" || s.Place() != (Place{Run: l.Run, After: 3}) {
		t.Errorf("got %q, %+v", got, s.Place())
	}
	if _, err := c.Logs(t.Context(), Query{Filter: Filter{Status: []string{"bad"}}}); err == nil || !strings.Contains(err.Error(), "want ok, error") {
		t.Errorf("a wrong query: %v", err)
	}
	if resp, err := c.Get(t.Context(), "/v1/nothing"); err == nil {
		resp.Body.Close()
		t.Error("there is something at a path where nothing is")
	}
	log.Warn("last")
	stop()
	if got := message(t, s); got != "last" {
		t.Errorf("at the end: %q", got)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNoServer) {
		t.Errorf("nobody is there: %v", err)
	}
	if _, err := os.Lstat(c.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
}

// A socket is for its account alone, a dead one is replaced, a live one is not, unless
// it is handed over; and the one before leaves the new one where it is.
func TestListen(t *testing.T) {
	data := t.TempDir()
	path, err := SocketPath(data)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l := NewLog()
	stop := startAdmin(t, data, l, false)
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen(t.Context(), data, false); !errors.Is(err, ErrTaken) {
		t.Errorf("a live one: %v", err)
	}
	old, err := clientOf(t, data).Logs(t.Context(), Query{})
	if err != nil || old.Replaced() {
		t.Fatal("it is replaced by nobody", err)
	}
	defer old.Close()
	after := NewLog()
	startAdmin(t, data, after, true)
	if !old.Replaced() {
		t.Error("it is not told that another has the socket")
	}
	stop()
	if s, err := clientOf(t, data).Status(t.Context()); err != nil || s.Run != after.Run {
		t.Errorf("after it was handed over: %+v, %v", s, err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSocketOfALongPath(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	data := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := SocketPath(data)
	if err != nil || len(path) > 107 || strings.HasPrefix(path, data) {
		t.Fatalf("%s, %v", path, err)
	}
	startAdmin(t, data, NewLog(), false)
	if _, err := clientOf(t, data).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder: %v, %v", info.Mode(), err)
	}
	if err := private("/"); os.Geteuid() != 0 && err == nil {
		t.Error("somebody else's folder is used")
	}
}
