package store_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
)

// How a test starts itself as another process that writes to a file.
const (
	childFile = "STORE_TEST_FILE"
	childName = "STORE_TEST_NAME"
	childEach = "STORE_TEST_EACH" // bookings a goroutine; 0: until it is killed
)

// guests is how many goroutines of a child book.
const guests = 4

// child does what the test that started it wants.
func child(path string) error {
	if n := os.Getenv(childTenants); n != "" {
		return keepTenants(path, n)
	}
	return bookAndTell(context.Background(), path, os.Getenv(childName), os.Getenv(childEach))
}

// bookAndTell books, and prints a line as soon as it is told that something is
// kept.
func bookAndTell(ctx context.Context, path, name, each string) error {
	var limit int
	if _, err := fmt.Sscan(each, &limit); err != nil {
		return err
	}
	h, err := store.OpenHost(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	for id, change := range map[string]func(*store.Event){"tea": seats(0), "opera": priced(0)} {
		e := store.Event{ID: id + name, StartsAt: time.Now().Add(time.Hour)}
		change(&e)
		if _, err := h.CreateEvent(ctx, e); err != nil {
			return err
		}
	}
	failed := make(chan error)
	for g := range guests {
		go func() {
			for n := 0; limit == 0 || n < limit; n++ {
				if err := bookOnce(ctx, h, name, g*1_000_000+n); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range guests {
		if err := <-failed; err != nil {
			return err
		}
	}
	return h.Close()
}

func bookOnce(ctx context.Context, h *store.Host, name string, n int) error {
	free, held, p := booking("tea"+name, n, 2), booking("opera"+name, n, 3), paid(n, 3)
	free.RSVPID, held.RSVPID = "free-"+name+free.RSVPID, "held-"+name+held.RSVPID
	p.ID = "pay-" + held.RSVPID
	copy(p.Nonce[:8], name)
	if _, err := h.BookFree(ctx, free); err != nil {
		return err
	}
	fmt.Printf("free %s\n", free.RSVPID)
	if err := h.Hold(ctx, p, held); err != nil {
		return err
	}
	fmt.Printf("held %s\n", p.ID)
	if _, err := h.Confirm(ctx, p.ID, moved(n)); err != nil {
		return err
	}
	fmt.Printf("paid %s\n", p.ID)
	return nil
}

// startChild starts this test binary as another process.
func startChild(t *testing.T, path, name string, each int) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path, childName+"="+name, fmt.Sprintf("%s=%d", childEach, each))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// verify finds in the file what was told, and that it agrees with itself.
func verify(t *testing.T, path string, told []string) {
	t.Helper()
	h := reopen(t, &host{path: path, clock: &clock{}})
	for _, line := range told {
		what, id, _ := strings.Cut(line, " ")
		if what == "free" {
			if r, err := h.RSVP(t.Context(), id); err != nil || r.Status != store.RSVPConfirmed {
				t.Errorf("%s: %s, %v", line, r.Status, err)
			}
			continue
		}
		p, err := h.Payment(t.Context(), id)
		if err != nil || what == "paid" && p.State != payments.Settled {
			t.Errorf("%s: %s, %v", line, p.State, err)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	db := rawDB(t, path)
	defer db.Close()
	var sound string
	var wrong int
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity: %s, %v", sound, err)
	}
	if err := db.QueryRow(`SELECT count(*) FROM events e WHERE seats_taken <> (
			SELECT coalesce(sum(seats), 0) FROM rsvps WHERE event_id = e.id AND status IN ('pending', 'confirmed'))`).
		Scan(&wrong); err != nil || wrong != 0 {
		t.Errorf("%d events have miscounted seats, %v", wrong, err)
	}
	if err := db.QueryRow(`SELECT count(*) FROM rsvps r LEFT JOIN payments p ON p.rsvp_id = r.id
			WHERE (r.amount > 0) <> (p.id IS NOT NULL) OR (p.state = 'settled') <> (r.status = 'confirmed')`).
		Scan(&wrong); err != nil || wrong != 0 {
		t.Errorf("%d RSVPs disagree with their payments, %v", wrong, err)
	}
}

// A process that is killed takes nothing with it that it has answered. With
// STORE_KILLS it is killed so often.
func TestKill(t *testing.T) {
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("STORE_KILLS"), "4"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "host.db")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var told []string
	for round := range rounds {
		cmd, out := startChild(t, path, fmt.Sprintf("%03d", round), 0)
		for range 1 + random.IntN(200) {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatalf("round %d ended by itself: %v", round, err)
			}
			told = append(told, strings.TrimSpace(line))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(rest), "\n")
		told = append(told, lines[:len(lines)-1]...) // the last is empty, or cut off
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}
	}
	verify(t, path, told)
	t.Logf("%d answers", len(told))
}

// Several processes make one new file and fill it at the same time.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users", "host.db")
	const processes, each = 3, 5
	var wg sync.WaitGroup
	told := make([][]string, processes)
	for i := range processes {
		cmd, out := startChild(t, path, fmt.Sprintf("p%d", i), each)
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				told[i] = append(told[i], lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			if len(told[i]) != guests*each*3 {
				t.Errorf("process %d told %d lines", i, len(told[i]))
			}
		})
	}
	wg.Wait()
	for i := range told {
		verify(t, path, told[i])
	}
}
