package host_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

func TestTokenWords(t *testing.T) {
	h := mustOpen(t, t.TempDir(), "")
	user, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		scope store.Scope
		want  error
	}{
		{"door", store.ScopeCheckIn, nil}, {"Book-keeper_2.0", store.ScopeRead, nil}, {strings.Repeat("x", 64), store.ScopeOwner, nil},
		{"door", store.ScopeCheckIn, store.ErrTokenExists}, {"", store.ScopeRead, host.ErrTokenName}, {"..", store.ScopeRead, host.ErrTokenName},
		{strings.Repeat("x", 65), store.ScopeRead, host.ErrTokenName}, {"a/b", store.ScopeRead, host.ErrTokenName}, {"ä", store.ScopeRead, host.ErrTokenName},
		{"n", "", host.ErrScope}, {"n", "Owner", host.ErrScope},
	} {
		token, err := h.AddToken(t.Context(), user.ID, test.name, test.scope)
		if !errors.Is(err, test.want) || (err == nil) != strings.HasPrefix(token, "ec_") {
			t.Errorf("%q, %q: %q, %v, want %v", test.name, test.scope, token, err, test.want)
		}
		if err != nil {
			continue
		}
		if scope, err := h.Scope(t.Context(), user.ID, token); scope != test.scope || err != nil {
			t.Errorf("%q has scope %q, %v", test.name, scope, err)
		}
	}
}

// When a token was last used is written when the server has time for it, and at
// the latest when it stops.
func TestLastUse(t *testing.T) {
	dir := t.TempDir()
	h := mustOpen(t, dir, "")
	user, token, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddToken(t.Context(), user.ID, "door", store.ScopeCheckIn); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Second)
	for _, given := range []string{token, token, "ec_wrong"} {
		if _, err := h.Scope(t.Context(), user.ID, given); err != nil {
			t.Fatal(err)
		}
	}
	used := func(h *host.Hosts) (names []string) {
		t.Helper()
		tokens, err := h.Server.Tokens(t.Context(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			if token.UsedAt.After(before) {
				names = append(names, token.Name)
			}
		}
		return names
	}
	if got := used(h); len(got) > 0 {
		t.Errorf("written on the way of the call: %v", got)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := used(mustOpen(t, dir, "")); !slices.Equal(got, []string{host.OwnerToken}) {
		t.Errorf("used are %v", got)
	}
}
