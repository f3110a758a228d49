package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

// MustOpenServer opens a server on a new file, and closes it with the test.
func MustOpenServer(tb testing.TB, c *clock) *store.Server {
	tb.Helper()
	return reopenServer(tb, c, filepath.Join(tb.TempDir(), "server.db"))
}

func reopenServer(tb testing.TB, c *clock, path string) *store.Server {
	tb.Helper()
	s, err := store.OpenServer(tb.Context(), path, store.Options{Now: c.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestUsers(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	if _, err := s.User(t.Context(), "u1"); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("no user: %v", err)
	}
	var want []store.User
	for i := range 7 {
		u := store.User{ID: fmt.Sprintf("u%d", 9-i), CreatedAt: time.Unix(5, 0)}
		if i%2 == 0 {
			u.WalletAddress = address(i + 1)
		}
		if err := s.AddUser(t.Context(), u, sha256.Sum256([]byte{byte(i)}), "first"); err != nil {
			t.Fatal(err)
		}
		u.CreatedAt = c.Now()
		want = append(want, u)
		if got, err := s.User(t.Context(), u.ID); got != u || err != nil {
			t.Errorf("got %+v, %v, want %+v", got, err, u)
		}
		c.Advance(time.Second)
	}
	for _, limit := range []int{1, 3, 7, 0} {
		var got []store.User
		for after := ""; ; {
			users, next, err := s.Users(t.Context(), limit, after)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, users...)
			if after = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	if _, _, err := s.Users(t.Context(), 1, "x"); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a bad cursor: %v", err)
	}
	if err := s.AddUser(t.Context(), store.User{}, [32]byte{}, ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
}

func TestTokens(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	a, b, c := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), sha256.Sum256([]byte("c"))
	check := func(what string, want ...[32]byte) {
		t.Helper()
		got, err := s.TokenHashes(t.Context(), "u")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	check("no user")
	if err := s.SetToken(t.Context(), "u", "first", a); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("a token for nobody: %v", err)
	}
	if err := s.AddUser(t.Context(), store.User{ID: "u"}, a, "first"); err != nil {
		t.Fatal(err)
	}
	check("registered", a)
	if err := s.AddUser(t.Context(), store.User{ID: "u"}, b, "other"); !errors.Is(err, store.ErrUserExists) {
		t.Errorf("registered again: %v", err)
	}
	check("registered again", a)
	if err := s.SetToken(t.Context(), "u", "second", b); err != nil {
		t.Fatal(err)
	}
	check("one more", a, b)
	if err := s.SetToken(t.Context(), "u", "first", c); err != nil {
		t.Fatal(err)
	}
	check("rotated", c, b)
}

func TestServerClosed(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	s := reopenServer(t, &c, path)
	if err := s.AddUser(t.Context(), store.User{ID: "u"}, [32]byte{}, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), "u"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := reopenServer(t, &c, path).User(t.Context(), "u"); err != nil {
		t.Error(err)
	}
}
