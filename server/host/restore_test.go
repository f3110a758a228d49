package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/store/archive"
)

// envChild has this program restore an archive and stop at a point, to be killed
// there.
const envChild = "RESTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if child := os.Getenv(envChild); child != "" {
		fmt.Println(restoreUntil(strings.Split(child, "|")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func restoreUntil(arg []string) error {
	b, _, err := archive.Open(arg[0], archive.Keys{})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(arg[2])
	if err != nil {
		return err
	}
	_, err = host.RestoreAll(context.Background(), &stopping{b, make(chan int, 1), n}, arg[1], time.Time{})
	return errors.Join(errors.New("it came to its end"), err)
}

// stopping is a backend that stops at the nth Get for good.
type stopping struct {
	archive.Backend
	count chan int
	at    int
}

func (s *stopping) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	n := 1
	select {
	case n = <-s.count:
		n++
	default:
	}
	s.count <- n
	if n >= s.at {
		fmt.Println("at the point")
		select {}
	}
	return s.Backend.Get(ctx, name)
}

// archived is a data directory with some users, and its archive.
func archived(t *testing.T) (dir, place string, users []store.User) {
	t.Helper()
	dir, place = t.TempDir(), filepath.Join(t.TempDir(), "archive")
	h := mustOpen(t, dir, "devnet")
	for _, email := range []string{"ada@example.org", "bo@example.org", "cy@example.org"} {
		u, _, err := h.Register(t.Context(), host.Registration{Email: email})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, name, err := archive.Open(place, archive.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := host.OpenArchive(t.Context(), archive.Config{Dir: dir, Name: name, To: b, Log: testlog.New()}, "", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Round(t.Context(), func(file string, _ archive.Shipped, err error) {
		if err != nil {
			t.Error(file, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, place, users
}

// A restore that is killed at any point leaves nothing that a server would start
// on, and run again it comes to its end.
func TestKilledWhileRestoring(t *testing.T) {
	_, place, users := archived(t)
	for at := 1; at <= 7; at++ {
		t.Run(fmt.Sprint("at ", at), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), envChild+"="+strings.Join([]string{place, dir, strconv.Itoa(at)}, "|"))
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
			if _, err := os.Stat(filepath.Join(dir, "server.db")); err == nil {
				t.Error("there is a server's file")
			}
			if _, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New()}); at > 2 && (err == nil || !strings.Contains(err.Error(), "run it again")) {
				t.Errorf("a server starts on it: %v", err)
			} else if at <= 2 {
				return // nothing was there yet, so the server made a directory of its own
			}
			b, _, err := archive.Open(place, archive.Keys{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := host.RestoreAll(t.Context(), b, dir, time.Time{})
			if err != nil || r.Users != len(users) || len(r.Missing) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			h := mustOpen(t, dir, "devnet")
			for _, u := range users {
				restored, err := h.Host(t.Context(), u.ID)
				if err != nil || restored.PayTo != u.WalletAddress {
					t.Fatalf("%+v, %v", restored, err)
				}
				if sealed, err := restored.Store.SealedWallet(t.Context()); err != nil || sealed == nil {
					t.Errorf("the wallet: %v", err)
				}
				if since, ok, err := restored.Store.Restored(t.Context()); err != nil || !ok || since.Wallet != u.WalletAddress {
					t.Errorf("it is not noted: %+v, %t, %v", since, ok, err)
				}
			}
			if all, err := h.Restoring(t.Context()); err != nil || len(all) != len(users) {
				t.Errorf("%+v, %v", all, err)
			}
		})
	}
}

// A Host that is in use is not put back, and is as it was; when it is not, it is,
// beside a running server.
func TestRestoreUser(t *testing.T) {
	dir, place, users := archived(t)
	b, _, err := archive.Open(place, archive.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	server, other := mustOpen(t, dir, "devnet"), mustOpen(t, dir, "devnet")
	inUse, err := server.Host(t.Context(), users[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	event := store.Event{ID: "evt_1", Title: "x", TimeZone: "UTC", StartsAt: time.Now()}
	if _, err := inUse.Store.CreateEvent(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if _, err := other.RestoreUser(t.Context(), b, users[0].ID, time.Time{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if _, err := inUse.Store.Event(t.Context(), event.ID); err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, "hosts", users[0].ID[:2], users[0].ID+".db")
	if err := server.Files.Alone(t.Context(), path, func() error { return nil }); err != nil { // as when it has been idle
		t.Fatal(err)
	}
	r, err := other.RestoreUser(t.Context(), b, users[0].ID, time.Time{})
	if err != nil || r.Users != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := inUse.Store.Event(t.Context(), event.ID); !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("it was not put back: %v", err)
	}
	kept, err := store.OpenHost(t.Context(), r.Aside, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if _, err := kept.Event(t.Context(), event.ID); err != nil {
		t.Errorf("the file of before: %v", err)
	}
	if _, err := other.RestoreUser(t.Context(), b, strings.Repeat("a", 26), time.Time{}); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("a user who is not there: %v", err)
	}
}
