package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

// token is one whose hash is number n.
func token(name string, scope store.Scope, n int) store.Token {
	return store.Token{Name: name, Scope: scope, Hash: hash(n)}
}

// MustAddUser adds a user with an owner's token.
func MustAddUser(tb testing.TB, s *store.Server, id string) {
	tb.Helper()
	if err := s.AddUser(tb.Context(), store.User{ID: id}, token("owner", store.ScopeOwner, 100), nil); err != nil {
		tb.Fatal(err)
	}
}

func TestTokens(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	want := map[string]store.Token{}
	check := func(what string) {
		t.Helper()
		got, err := s.Tokens(t.Context(), "u")
		if err != nil || len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b store.Token) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("%s: %+v, %v", what, got, err)
		}
		for _, g := range got {
			if diff := cmp.Diff(want[g.Name], g); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	}
	is := func(what string, err, wanted error) {
		t.Helper()
		if !errors.Is(err, wanted) {
			t.Errorf("%s: %v, want %v", what, err, wanted)
		}
		check(what)
	}
	made := func(tok store.Token) store.Token {
		tok.CreatedAt = c.Now()
		want[tok.Name] = tok
		return tok
	}
	is("nobody's", s.AddToken(t.Context(), "u", token("owner", store.ScopeOwner, 1)), store.ErrUserNotFound)
	is("registered", s.AddUser(t.Context(), store.User{ID: "u"}, made(token("owner", store.ScopeOwner, 1)), nil), nil)
	is("registered again", s.AddUser(t.Context(), store.User{ID: "u"}, token("other", store.ScopeOwner, 2), nil), store.ErrUserExists)
	MustAddUser(t, s, "somebody else") // whose tokens are of no account

	is("a name that is taken", s.AddToken(t.Context(), "u", token("owner", store.ScopeRead, 3)), store.ErrTokenExists)
	is("an unknown scope", s.AddToken(t.Context(), "u", token("x", "everything", 3)), store.ErrInvalid)
	is("the door's", s.AddToken(t.Context(), "u", made(token("door", store.ScopeCheckIn, 4))), nil)
	is("revoke the last owner's", s.RevokeToken(t.Context(), "u", "owner"), store.ErrLastOwner)
	is("make a reader of the last owner", s.SetToken(t.Context(), "u", token("owner", store.ScopeRead, 5)), store.ErrLastOwner)
	is("revoke what is not there", s.RevokeToken(t.Context(), "u", "window"), store.ErrTokenNotFound)

	c.Advance(time.Minute)
	use := func(n int, at time.Time) error {
		return s.NoteUses(t.Context(), []store.Use{{User: "u", Hash: hash(n), At: at}, {User: "u", Hash: hash(99), At: at}})
	}
	used := want["door"]
	used.UsedAt = c.Now()
	want["door"] = used
	is("used", use(4, used.UsedAt), nil)
	is("used before that", use(4, used.UsedAt.Add(-time.Second)), nil)
	scope, err := s.RotateToken(t.Context(), "u", "door", hash(6))
	made(token("door", store.ScopeCheckIn, 6))
	is("rotated", err, nil)
	if scope != store.ScopeCheckIn {
		t.Errorf("rotated to %s", scope)
	}
	is("the one before is used", use(4, c.Now()), nil)
	_, err = s.RotateToken(t.Context(), "u", "window", hash(7))
	is("rotate what is not there", err, store.ErrTokenNotFound)
	is("the owner's in its place", s.SetToken(t.Context(), "u", made(token("owner", store.ScopeOwner, 8))), nil)
	is("one more owner's", s.SetToken(t.Context(), "u", made(token("laptop", store.ScopeOwner, 9))), nil)
	delete(want, "owner")
	is("revoke one of two owners'", s.RevokeToken(t.Context(), "u", "owner"), nil)
	delete(want, "door")
	is("revoke the door's", s.RevokeToken(t.Context(), "u", "door"), nil)

	for n := len(want); n < store.MaxTokens; n++ {
		if err := s.AddToken(t.Context(), "u", made(token(fmt.Sprint("t", n), store.ScopeRead, 20+n))); err != nil {
			t.Fatal(err)
		}
	}
	is("one too many", s.AddToken(t.Context(), "u", token("more", store.ScopeRead, 80)), store.ErrTooManyTokens)
	is("in the place of one", s.SetToken(t.Context(), "u", made(token("t5", store.ScopeCheckIn, 81))), nil)
}
