package host

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/events-concierge/concierge/store"
)

// OwnerToken is the name of the token that a new user gets.
const OwnerToken = "owner"

// ErrTokenName and ErrScope are about the words for a new token.
var (
	ErrTokenName = errors.New("not a name for a token: send 1 to 64 letters, digits, dots, dashes or underscores")
	ErrScope     = errors.New("not a scope: it is owner, check-in or read")
)

// usesEvery is the pause between two notes of when tokens were last used.
const usesEvery = time.Minute

func (h *Hosts) newToken() (token string, hash [sha256.Size]byte, err error) {
	token, err = h.newSecret("ec_", 32)
	return token, sha256.Sum256([]byte(token)), err
}

// newSecret returns n random bytes as text behind a prefix that says what it is.
func (h *Hosts) newSecret(prefix string, n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(h.Rand, raw); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// AddToken makes one more token for a user and returns it; it is not kept. Errors:
// [ErrTokenName], [ErrScope] and those of [store.Server.AddToken].
func (h *Hosts) AddToken(ctx context.Context, user, name string, scope store.Scope) (string, error) {
	return h.makeToken(name, scope, func(t store.Token) error { return h.Server.AddToken(ctx, user, t) })
}

// SetToken is AddToken that replaces a token of the same name, which stops
// working. Errors: as well [store.ErrLastOwner].
func (h *Hosts) SetToken(ctx context.Context, user, name string, scope store.Scope) (string, error) {
	return h.makeToken(name, scope, func(t store.Token) error { return h.Server.SetToken(ctx, user, t) })
}

func (h *Hosts) makeToken(name string, scope store.Scope, keep func(store.Token) error) (string, error) {
	if !isTokenName(name) {
		return "", ErrTokenName
	}
	switch scope {
	case store.ScopeOwner, store.ScopeCheckIn, store.ScopeRead:
	default:
		return "", ErrScope
	}
	token, hash, err := h.newToken()
	if err == nil {
		err = keep(store.Token{Name: name, Scope: scope, Hash: hash})
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

func isTokenName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == "" && name != "." && name != ".."
}

// RotateToken replaces a token by a new one of the same scope and returns both the
// token and the scope; the old one stops working. Errors: those of
// [store.Server.RotateToken].
func (h *Hosts) RotateToken(ctx context.Context, user, name string) (string, store.Scope, error) {
	token, hash, err := h.newToken()
	if err != nil {
		return "", "", err
	}
	scope, err := h.Server.RotateToken(ctx, user, name, hash)
	if err != nil {
		return "", "", err
	}
	return token, scope, nil
}

// Scope returns what a token of this user may do, or no scope for one that is not
// theirs. It takes the same time for a token that is nearly right.
func (h *Hosts) Scope(ctx context.Context, user, token string) (store.Scope, error) {
	tokens, err := h.Server.Tokens(ctx, user)
	if err != nil {
		return "", err
	}
	given, found := sha256.Sum256([]byte(token)), -1
	for i := range tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(given[:], tokens[i].Hash[:]), i, found)
	}
	if found < 0 {
		return "", nil
	}
	h.uses.note(user, given, h.Now())
	return tokens[found].Scope, nil
}

// uses are the last uses of tokens that are not written yet: what is served must
// not wait for the disk on account of them.
type uses struct {
	mu   sync.Mutex
	last map[use]time.Time
}

type use struct {
	user string
	hash [sha256.Size]byte
}

func (u *uses) note(user string, hash [sha256.Size]byte, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[use]time.Time{}
	}
	u.last[use{user, hash}] = at
}

// take returns what is not written yet, at most n of it, as what is being written.
func (u *uses) take(n int) (taken []store.Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for k, at := range u.last {
		if len(taken) == n {
			break
		}
		taken = append(taken, store.Use{User: k.user, Hash: k.hash, At: at})
		delete(u.last, k)
	}
	return taken
}

// noteUses writes when tokens were last used. What can't be written is forgotten:
// the next use says it again.
func (h *Hosts) noteUses(ctx context.Context) error {
	const atOnce = 500 // others wait for the commit
	for {
		taken := h.uses.take(atOnce)
		if len(taken) == 0 {
			return nil
		}
		if err := h.Server.NoteUses(ctx, taken); err != nil {
			return err
		}
	}
}

// keepUses writes them now and then until ctx ends.
func (h *Hosts) keepUses(ctx context.Context) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := h.noteUses(ctx); err != nil && ctx.Err() == nil {
				h.Log.Warn("the last use of tokens is not noted", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
