package store_test

import (
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
		if err := s.AddUser(t.Context(), u, token("first", store.ScopeOwner, i), nil); err != nil {
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
	if err := s.AddUser(t.Context(), store.User{}, token("", store.ScopeOwner, 0), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
}

func TestServerClosed(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	s := reopenServer(t, &c, path)
	if err := s.AddUser(t.Context(), store.User{ID: "u"}, token("", store.ScopeOwner, 0), nil); err != nil {
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
