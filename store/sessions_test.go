package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

func TestSessions(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	MustAddUser(t, s, "ann")
	MustAddUser(t, s, "bob")
	add := func(n int, user string, token int) {
		t.Helper()
		session := store.Session{Hash: hash(n), User: user, ExpiresAt: c.Now().Add(time.Hour)}
		if token > 0 {
			session.Token = hash(token)
		}
		if err := s.AddSession(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	is := func(what string, n int, user string) {
		t.Helper()
		got, err := s.Session(t.Context(), hash(n))
		switch {
		case user == "" && !errors.Is(err, store.ErrNoSession):
			t.Errorf("%s: %+v, %v", what, got, err)
		case user != "" && (err != nil || got.User != user):
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	count := func(user string, want int) {
		t.Helper()
		if n, err := s.Sessions(t.Context(), user); err != nil || n != want {
			t.Errorf("%s is signed in %d times, want %d (%v)", user, n, want, err)
		}
	}
	is("none", 1, "")
	if err := s.AddSession(t.Context(), store.Session{Hash: hash(1), User: "cyd", ExpiresAt: start}); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("nobody's: %v", err)
	}
	add(1, "ann", 0)
	add(2, "bob", 0)
	is("ann's", 1, "ann")
	is("bob's", 2, "bob")
	must(t)(nil, s.EndSession(t.Context(), hash(1)))
	must(t)(nil, s.EndSession(t.Context(), hash(1)))
	is("signed out", 1, "")

	// Whose a token is can be told when it is one user's.
	if _, _, err := s.TokenUser(t.Context(), hash(100)); !errors.Is(err, store.ErrTokenNotFound) {
		t.Errorf("a token of two: %v", err)
	}
	must(t)(nil, s.SetToken(t.Context(), "bob", token("owner", store.ScopeOwner, 101)))
	if user, scope, err := s.TokenUser(t.Context(), hash(100)); user != "ann" || scope != store.ScopeOwner || err != nil {
		t.Errorf("ann's token is %q's, %q, %v", user, scope, err)
	}
	if _, _, err := s.TokenUser(t.Context(), hash(7)); !errors.Is(err, store.ErrTokenNotFound) {
		t.Errorf("nobody's token: %v", err)
	}

	// A session of a token ends with it.
	must(t)(nil, s.SetToken(t.Context(), "ann", token("laptop", store.ScopeOwner, 50)))
	add(3, "ann", 50)
	add(4, "ann", 0)
	is("with a token", 3, "ann")
	count("ann", 2)
	must(t)(s.RotateToken(t.Context(), "ann", "laptop", hash(51)))
	is("its token was rotated", 3, "")
	is("with a code", 4, "ann")
	count("ann", 1)
	add(5, "ann", 51)
	must(t)(nil, s.RevokeToken(t.Context(), "ann", "laptop"))
	is("its token was revoked", 5, "")
	add(6, "ann", 101) // it is bob's
	must(t)(nil, s.EndSessions(t.Context(), "ann"))
	is("everywhere", 4, "")
	is("everywhere, with a token", 6, "")
	is("somebody else's", 2, "bob")

	c.Advance(time.Hour)
	is("expired", 2, "")
	count("bob", 0)
}

func TestOldestSessionGoes(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	MustAddUser(t, s, "ann")
	for n := range store.MaxSessions + 3 {
		must(t)(nil, s.AddSession(t.Context(), store.Session{Hash: hash(n), User: "ann", ExpiresAt: c.Now().Add(time.Hour)}))
		c.Advance(time.Second)
	}
	for n := range store.MaxSessions + 3 {
		if _, err := s.Session(t.Context(), hash(n)); (err == nil) != (n >= 3) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestSessionsAtOnce(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	MustAddUser(t, s, "ann")
	var all sync.WaitGroup
	for n := range 2 * store.MaxSessions {
		all.Go(func() {
			if err := s.AddSession(t.Context(), store.Session{Hash: hash(n), User: "ann", ExpiresAt: start.Add(time.Hour)}); err != nil {
				t.Error(err)
			}
			_, _ = s.Session(t.Context(), hash(n))
		})
	}
	all.Wait()
	if n, err := s.Sessions(t.Context(), "ann"); err != nil || n != store.MaxSessions {
		t.Errorf("%d sessions, %v", n, err)
	}
}

func TestSessionOfRemoved(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	MustAddUser(t, s, "ann")
	add := func() error {
		return s.AddSession(t.Context(), store.Session{Hash: hash(1), User: "ann", ExpiresAt: start.Add(time.Hour)})
	}
	must(t)(nil, add())
	if _, _, err := s.StartRemoval(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(t.Context(), hash(1)); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("leaving: %v", err)
	}
	must(t)(nil, s.StopRemoval(t.Context(), "ann"))
	must(t)(s.Session(t.Context(), hash(1)))
	if _, _, err := s.StartRemoval(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := add(); !errors.Is(err, store.ErrUserLeaving) {
		t.Errorf("a new one: %v", err)
	}
	must(t)(nil, s.CommitRemoval(t.Context(), "ann"))
	must(t)(nil, s.FinishRemoval(t.Context(), "ann"))
	MustAddUser(t, s, "ann")
	if _, err := s.Session(t.Context(), hash(1)); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("of who has come back: %v", err)
	}
}
