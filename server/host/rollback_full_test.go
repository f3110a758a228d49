//go:build linux || darwin

package host_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// withoutRoom does something while no file can grow beyond so many bytes.
func withoutRoom(t *testing.T, most uint64, do func() error) error {
	t.Helper()
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGXFSZ) // else the process ends
	defer signal.Stop(told)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	return do()
}

// A rollback that finds no room for a Host's file has changed none and leaves nothing
// behind, but that it has begun; with room it is run again.
func TestRollbackWithoutRoom(t *testing.T) {
	const again = "ROLLBACK_WITHOUT_ROOM"
	if os.Getenv(again) == "" { // of this process other files would not grow either: the logs of the tests
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestRollbackWithoutRoom$", "-test.v")
		cmd.Env = append(os.Environ(), again+"=1", "CONCIERGE_TEST_LOGS=")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRollbackWithoutRoom") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r := upgraded(t)
	p, err := host.PlanRollback(t.Context(), r.dir, 1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := withoutRoom(t, 32<<10, func() error { return p.Do(t.Context()) }); err == nil {
		t.Fatal("there was room")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for i, u := range r.users {
		want := r.older + 1
		if i == 2 {
			want = r.older // which was never brought up to date
		}
		if version, _, err := store.HostVersion(t.Context(), fileOf(r.dir, u.ID)); err != nil || version != want {
			t.Errorf("user %d has version %d, %v", i, version, err)
		}
	}
	for _, left := range []string{".rolled-back-*", "*.replaced-*"} {
		if names, err := filepath.Glob(filepath.Join(r.dir, "hosts", "*", left)); err != nil || len(names) > 0 {
			t.Errorf("left: %v, %v", names, err)
		}
	}
	if p, err = host.PlanRollback(t.Context(), r.dir, 1, time.Now); err != nil {
		t.Fatal(err)
	}
	if err := p.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	checkRolledBack(t, r)
}
