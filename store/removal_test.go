package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
)

// What is left of a removed user: that their authorizations are spent.
func TestRemoval(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	s := reopenServer(t, &c, path)
	MustAddUser(t, s, "ann")
	MustAddUser(t, s, "bob")
	claims := s.Claims()
	const many = 1100 // more than go in one transaction
	for n := range many {
		claimOf(t, claims, claim("ann", n), claim("ann", n), true)
	}
	bobs := claim("bob", many)
	claimOf(t, claims, bobs, bobs, true)
	for _, user := range []string{"ann", "bob"} {
		if err := s.Note(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	stage := func(want store.Removal, wantErr error) {
		t.Helper()
		if _, got, err := s.StartRemoval(t.Context(), "ann"); got != want || !errors.Is(err, wantErr) {
			t.Errorf("%q, %v; want %q, %v", got, err, want, wantErr)
		}
	}
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	stage(store.RemovalClosing, nil)
	stage(store.RemovalClosing, nil) // again, after a crash
	_, err := s.User(t.Context(), "ann")
	refused("user", err, store.ErrUserLeaving)
	refused("user", err, store.ErrUserNotFound)
	_, _, err = claims.Claim(t.Context(), claim("ann", many+1))
	refused("a new claim", err, store.ErrUserLeaving)
	refused("a new debt", s.Note(t.Context(), "ann"), store.ErrUserLeaving)
	refused("a new token", s.AddToken(t.Context(), "ann", token("t", store.ScopeRead, 7)), store.ErrUserLeaving)
	refused("the user again", s.AddUser(t.Context(), store.User{ID: "ann"}, token("t", store.ScopeOwner, 7), nil), store.ErrUserExists)

	if err := s.StopRemoval(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), "ann"); err != nil {
		t.Errorf("given up: %v", err)
	}
	refused("commit what was given up", s.CommitRemoval(t.Context(), "ann"), store.ErrUserNotFound)
	stage(store.RemovalClosing, nil)
	refused("commit", s.CommitRemoval(t.Context(), "ann"), nil)
	refused("give up too late", s.StopRemoval(t.Context(), "ann"), nil)
	stage(store.RemovalDeleting, nil)
	for range 2 { // as after a crash
		refused("finish", s.FinishRemoval(t.Context(), "ann"), nil)
	}

	stage("", store.ErrUserNotFound)
	for n := range many {
		_, _, err := claims.Claim(t.Context(), claim("bob", n))
		refused("a spent authorization", err, payments.ErrAlreadyUsed)
	}
	claimOf(t, claims, bobs, bobs, true) // a repetition
	_, _, err = claims.Claim(t.Context(), claim("ann", many+2))
	refused("a claim that comes late", err, store.ErrUserLeaving)
	if debtors, err := s.Debtors(t.Context()); err != nil || len(debtors) != 1 || debtors[0].User != "bob" {
		t.Errorf("debtors: %v, %v", debtors, err)
	}
	if tokens, err := s.Tokens(t.Context(), "ann"); err != nil || len(tokens) > 0 {
		t.Errorf("tokens: %v, %v", tokens, err)
	}

	MustAddUser(t, s, "ann") // back again, as somebody new
	_, _, err = claims.Claim(t.Context(), claim("ann", 3))
	refused("what was spent before", err, payments.ErrAlreadyUsed)
	claimOf(t, claims, claim("ann", many+2), claim("ann", many+2), true)
}

// Nobody finds in the file who paid a Host that is gone, or the Host.
func TestNothingIsLeft(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	s, err := store.OpenServer(t.Context(), path, store.Options{Now: c.Now, Secret: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	const user = "a-name-to-look-for"
	MustAddUser(t, s, user)
	one := claim(user, 1)
	claimOf(t, s.Claims(), one, one, true)
	if _, _, err := s.StartRemoval(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.CommitRemoval(t.Context(), user), s.FinishRemoval(t.Context(), user)); err != nil {
		t.Fatal(err)
	}
	MustAddUser(t, s, "another")
	c.Advance(25 * time.Hour) // after which nobody needs to be told that they are gone
	if _, _, err := s.StartRemoval(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.CommitRemoval(t.Context(), "another"), s.FinishRemoval(t.Context(), "another"), s.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"user": user, "payer": one.Payer.String(), "nonce": one.Nonce.String(), "payment": one.PaymentID} {
		if bytes.Contains(file, []byte(text)) {
			t.Errorf("the file has the %s", what)
		}
	}
	// Under another secret it is another hash.
	if _, _, err := reopenServer(t, &c, path).Claims().Claim(t.Context(), one); err != nil {
		t.Errorf("recognised without the secret: %v", err)
	}
}

func TestExisting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.db")
	if _, err := store.OpenHost(t.Context(), path, store.Options{Existing: true}); !errors.Is(err, store.ErrNoFile) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it was made")
	}
}

// A copy has what is committed, and is a Host of its own.
func TestCopy(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(9))
	h.hold(t, "opera", 1, 1)
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := h.Copy(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	h.event(t, "later", nil)
	c := reopen(t, &host{path: path, clock: &clock{}})
	if _, err := c.RSVP(t.Context(), "rsvp-1"); err != nil {
		t.Error(err)
	}
	if _, err := c.Event(t.Context(), "later"); !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("what came later: %v", err)
	}
	if err := h.Copy(t.Context(), path); err == nil {
		t.Error("it was written over")
	}
	h.event(t, "last", nil) // and the file goes on
}
