package host_test

import (
	"errors"
	"testing"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

func TestSessions(t *testing.T) {
	dir := t.TempDir()
	h := mustOpen(t, dir, "")
	user, token, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	door, err := h.AddToken(t.Context(), user.ID, "door", store.ScopeCheckIn)
	if err != nil {
		t.Fatal(err)
	}
	byCode, err := h.NewSession(t.Context(), user.ID)
	if err != nil || len(byCode) != 43 { // 256 bits
		t.Fatalf("%q, %v", byCode, err)
	}
	byToken, who, err := h.NewTokenSession(t.Context(), " "+token+"\n")
	if err != nil || who != user.ID || byToken == byCode {
		t.Fatalf("%q, %v", who, err)
	}
	for _, bad := range []string{"", "ec_wrong", door, byCode} {
		if _, _, err := h.NewTokenSession(t.Context(), bad); !errors.Is(err, host.ErrNotOwnerToken) {
			t.Errorf("%.6q: %v", bad, err)
		}
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	h = mustOpen(t, dir, "") // they outlive a restart
	is := func(what, session string, want bool) {
		t.Helper()
		got, err := h.Session(t.Context(), session)
		if want && (got != user.ID || err != nil) || !want && !errors.Is(err, store.ErrNoSession) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	is("by code", byCode, true)
	is("by token", byToken, true)
	is("a token is no session", token, false)
	is("nothing", "", false)
	if _, _, err := h.RotateToken(t.Context(), user.ID, host.OwnerToken); err != nil {
		t.Fatal(err)
	}
	is("by a token that was rotated", byToken, false)
	is("by code", byCode, true)
	if err := h.EndSession(t.Context(), byCode); err != nil {
		t.Fatal(err)
	}
	is("signed out", byCode, false)
	again, err := h.NewSession(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.EndSessions(t.Context(), user.ID); err != nil {
		t.Fatal(err)
	}
	is("signed out everywhere", again, false)
	if _, err := h.NewSession(t.Context(), "nobody"); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// A session of who is removed is nobody's, also when they come back.
func TestSessionOfRemoved(t *testing.T) {
	h := leased(t, t.TempDir())
	user := register(t, h, "ada@example.org")
	session, err := h.NewSession(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), user.ID, export(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Session(t.Context(), session); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("%q, %v", got, err)
	}
	register(t, h, "ada@example.org")
	if got, err := h.Session(t.Context(), session); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("come back: %q, %v", got, err)
	}
}
