package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// An invitation makes one user, and only while it is good.
func TestInvites(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	register := func(user string, n int) error {
		invite := [32]byte(hash(n))
		return s.AddUser(t.Context(), store.User{ID: user}, token("owner", store.ScopeOwner, 0), &invite)
	}
	if err := s.AddInvite(t.Context(), hash(1), c.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	MustAddUser(t, s, "there already")
	for _, try := range []struct {
		what, user string
		invite     int
		want       error
	}{
		{"another code", "ann", 2, store.ErrInvite},
		{"for who is there already", "there already", 1, store.ErrUserExists}, // and it stays good
		{"the code", "ann", 1, nil},
		{"the code again", "bob", 1, store.ErrInvite},
	} {
		if err := s.CheckInvite(t.Context(), hash(try.invite)); errors.Is(err, store.ErrInvite) != (try.want == store.ErrInvite) {
			t.Errorf("check %s: %v", try.what, err)
		}
		if err := register(try.user, try.invite); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", try.what, err, try.want)
		}
	}
	if _, err := s.User(t.Context(), "bob"); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("bob is there: %v", err)
	}
	if err := s.AddInvite(t.Context(), hash(3), c.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	if err := s.CheckInvite(t.Context(), hash(3)); !errors.Is(err, store.ErrInvite) {
		t.Errorf("an old one: %v", err)
	}
	if err := register("bob", 3); !errors.Is(err, store.ErrInvite) {
		t.Errorf("by an old one: %v", err)
	}
}

// Of many who come with one invitation at once, one gets in.
func TestInviteRace(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	servers := []*store.Server{reopenServer(t, &c, path), reopenServer(t, &c, path)}
	if err := servers[0].AddInvite(t.Context(), hash(1), c.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var in atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			invite := [32]byte(hash(1))
			err := servers[i%2].AddUser(t.Context(), store.User{ID: fmt.Sprint("u", i)}, token("owner", store.ScopeOwner, i), &invite)
			switch {
			case err == nil:
				in.Add(1)
			case !errors.Is(err, store.ErrInvite):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
}
