package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/events-concierge/concierge/store"
)

// SessionValid is how long a browser stays signed in.
const SessionValid = 30 * 24 * time.Hour

// ErrNotOwnerToken means that a token can't be signed in with.
var ErrNotOwnerToken = errors.New("not a token of scope owner")

// NewSession signs a browser of a user in, who has proved who they are, and returns
// what goes into its cookie: 256 random bits, which are not kept. Errors:
// [store.ErrUserNotFound].
func (h *Hosts) NewSession(ctx context.Context, user string) (string, error) {
	return h.newSession(ctx, store.Session{User: user})
}

// NewTokenSession is NewSession for who has an owner token; the session ends when
// the token is rotated or revoked. It returns as well who they are. Errors:
// [ErrNotOwnerToken].
func (h *Hosts) NewTokenSession(ctx context.Context, token string) (session, user string, err error) {
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	user, scope, err := h.Server.TokenUser(ctx, hash)
	switch {
	case errors.Is(err, store.ErrTokenNotFound), err == nil && scope != store.ScopeOwner:
		return "", "", ErrNotOwnerToken
	case err != nil:
		return "", "", err
	}
	h.uses.note(user, hash, h.Now())
	session, err = h.newSession(ctx, store.Session{User: user, Token: hash})
	return session, user, err
}

func (h *Hosts) newSession(ctx context.Context, s store.Session) (string, error) {
	secret, err := h.newSecret("", 32)
	if err != nil {
		return "", err
	}
	s.Hash, s.ExpiresAt = sha256.Sum256([]byte(secret)), h.Now().Add(SessionValid)
	return secret, h.Server.AddSession(ctx, s)
}

// Session returns whose browser has this in its cookie. Errors:
// [store.ErrNoSession].
func (h *Hosts) Session(ctx context.Context, session string) (user string, err error) {
	s, err := h.Server.Session(ctx, sha256.Sum256([]byte(session)))
	return s.User, err
}

// EndSession signs a browser out, if it is signed in.
func (h *Hosts) EndSession(ctx context.Context, session string) error {
	return h.Server.EndSession(ctx, sha256.Sum256([]byte(session)))
}

// EndSessions signs all browsers of a user out.
func (h *Hosts) EndSessions(ctx context.Context, user string) error {
	return h.Server.EndSessions(ctx, user)
}
