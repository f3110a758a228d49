package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

func mustOpen(t testing.TB, dir, network string) *host.Hosts {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Network: network, Log: testlog.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func TestUserID(t *testing.T) {
	a, b := mustOpen(t, t.TempDir(), ""), mustOpen(t, t.TempDir(), "")
	id, err := a.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.UserID(" ADA@Example.org ")
	if err != nil || again != id || len(id) != 26 {
		t.Errorf("%q and %q, %v", id, again, err)
	}
	if other, err := b.UserID("ada@example.org"); err != nil || other == id {
		t.Errorf("another server gives the same id %q, %v", other, err)
	}
	for _, bad := range []string{"", "ada", "ada@", "@example.org", "Ada <ada@example.org>", "a@b@c", strings.Repeat("a", 250) + "@example.org"} {
		if _, err := a.UserID(bad); !errors.Is(err, host.ErrEmail) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// A user's id, wallet and token survive a restart; the wallet opens again.
func TestUserSurvives(t *testing.T) {
	dir := t.TempDir()
	h := mustOpen(t, dir, "devnet")
	user, token, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil || user.WalletAddress.IsZero() {
		t.Fatalf("%+v, %v", user, err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = mustOpen(t, dir, "devnet")
	if _, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"}); !errors.Is(err, store.ErrUserExists) {
		t.Errorf("registered twice: %v", err)
	}
	if scope, err := h.Scope(t.Context(), user.ID, token); err != nil || scope != store.ScopeOwner {
		t.Errorf("the token: %q, %v", scope, err)
	}
	opened, err := h.Host(t.Context(), user.ID)
	if err != nil || opened.PayTo != user.WalletAddress {
		t.Errorf("%+v, %v", opened, err)
	}
	renewed, err := h.SetToken(t.Context(), user.ID, host.OwnerToken, store.ScopeOwner)
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]store.Scope{token: "", renewed: store.ScopeOwner, "": "", renewed + "x": ""} {
		if got, err := h.Scope(t.Context(), user.ID, given); err != nil || got != want {
			t.Errorf("a token is %q, want %q (%v)", got, want, err)
		}
	}
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		info, infoErr := d.Info()
		if err != nil || infoErr != nil {
			return errors.Join(err, infoErr)
		}
		if path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", d.Name(), info.Mode())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Two processes that start on an empty directory at once, with many users at
// once: one secret, and each user once.
func TestRace(t *testing.T) {
	dir := t.TempDir()
	var opening, registering sync.WaitGroup
	processes := make([]*host.Hosts, 2)
	for i := range processes {
		opening.Go(func() { processes[i] = mustOpen(t, dir, "devnet") })
	}
	opening.Wait()
	var mu sync.Mutex
	won := map[string]int{}
	for i := range 20 {
		email := string(rune('a'+i%5)) + "@example.org"
		registering.Go(func() {
			_, _, err := processes[i%2].Register(t.Context(), host.Registration{Email: email})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won[email]++
			case !errors.Is(err, store.ErrUserExists):
				t.Errorf("%s: %v", email, err)
			}
		})
	}
	registering.Wait()
	for email, n := range won {
		if n != 1 {
			t.Errorf("%s was registered %d times", email, n)
		}
	}
	if len(won) != 5 {
		t.Errorf("%d users", len(won))
	}
}

// A Host that many ask for at once is opened once.
func TestOpenedOnce(t *testing.T) {
	h := mustOpen(t, t.TempDir(), "")
	user, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]*tools.Host, 100)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = h.Host(t.Context(), user.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Fatal("it was opened more than once")
		}
	}
	if _, err := h.Host(t.Context(), "nobody"); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("nobody's host: %v", err)
	}
}

// Play money and real money must not meet in one ledger.
func TestNetworkOfDirectory(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, "devnet")
	mustOpen(t, dir, "devnet")
	mustOpen(t, dir, "") // commands that take no payments
	_, err := host.Open(t.Context(), host.Config{Dir: dir, Network: "base", Log: testlog.New()})
	if err == nil || !strings.Contains(err.Error(), `"devnet"`) {
		t.Errorf("opened for another network: %v", err)
	}
}

func TestDamagedSecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New()})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("opened: %v", err)
	}
}

// Without its secret a server would give everybody a new name.
func TestLostSecret(t *testing.T) {
	dir := t.TempDir()
	h := mustOpen(t, dir, "")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "secret.key")); err != nil {
		t.Fatal(err)
	}
	_, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New()})
	if err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("opened: %v", err)
	}
}
