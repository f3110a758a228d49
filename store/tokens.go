package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Scope is what the bearer of a token may do; package tools says what that is.
type Scope string

// The scopes of tokens. The zero value is none: a guest's.
const (
	ScopeOwner   Scope = "owner"
	ScopeCheckIn Scope = "check-in"
	ScopeRead    Scope = "read"
)

// MaxTokens is how many tokens a user may have: each call with one compares it
// with all.
const MaxTokens = 32

// Token is one of a user's tokens, of which only the hash is kept.
type Token struct {
	Name      string
	Scope     Scope
	Hash      [sha256.Size]byte
	CreatedAt time.Time
	UsedAt    time.Time // zero: not yet
}

// Use says when a token was last used. The hash tells it from the ones that had
// its name before.
type Use struct {
	User string
	Hash [sha256.Size]byte
	At   time.Time
}

// Tokens returns a user's tokens by name; a user who does not exist has none.
func (s *Server) Tokens(ctx context.Context, user string) ([]Token, error) {
	return view(ctx, s.handle, "read tokens", func(ctx context.Context, q *statements) ([]Token, error) {
		return list(ctx, q, func(s scanner) (t Token, err error) {
			err = s.Scan(&t.Name, &t.Scope, asHash{&t.Hash}, asTime{&t.CreatedAt}, asTime{&t.UsedAt})
			return t, err
		}, `SELECT name, scope, hash, created_at, used_at FROM tokens WHERE user_id = ? ORDER BY name`, user)
	})
}

// TokenUser returns whose token has this hash, and what it may do. Errors:
// [ErrTokenNotFound], also if its user is being removed.
func (s *Server) TokenUser(ctx context.Context, hash [sha256.Size]byte) (user string, scope Scope, err error) {
	type bearer struct {
		user  string
		scope Scope
	}
	all, err := view(ctx, s.handle, "read a token", func(ctx context.Context, q *statements) ([]bearer, error) {
		return list(ctx, q, func(s scanner) (b bearer, err error) {
			err = s.Scan(&b.user, &b.scope)
			return b, err
		}, `SELECT user_id, scope FROM tokens WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM removals AS r WHERE r.user_id = tokens.user_id)`, hash[:])
	})
	switch {
	case err != nil:
		return "", "", err
	case len(all) != 1: // two with one token can't be told apart
		return "", "", ErrTokenNotFound
	}
	return all[0].user, all[0].scope, nil
}

// AddToken gives a user one more token, created now. Errors: [ErrUserNotFound],
// [ErrTokenExists] if there is one of this name, [ErrTooManyTokens], [ErrInvalid]
// for an unknown scope.
func (s *Server) AddToken(ctx context.Context, user string, token Token) error {
	return s.changeTokens(ctx, "add a token", user, func(ctx context.Context, t *tx) error {
		switch _, err := scopeOf(ctx, t, user, token.Name); {
		case err == nil:
			return ErrTokenExists
		case !errors.Is(err, ErrTokenNotFound):
			return err
		}
		return insertToken(ctx, t, user, token)
	})
}

// SetToken is [Server.AddToken] that puts the token in place of the one that has
// its name, if there is one.
func (s *Server) SetToken(ctx context.Context, user string, token Token) error {
	return s.changeTokens(ctx, "set a token", user, func(ctx context.Context, t *tx) error {
		if token.Scope != ScopeOwner {
			if err := notLastOwner(ctx, t, user, token.Name); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, `DELETE FROM tokens WHERE user_id = ? AND name = ?`, user, token.Name); err != nil {
			return err
		}
		return insertToken(ctx, t, user, token)
	})
}

// RotateToken replaces a token by another of the same scope, and returns the
// scope. Errors: [ErrUserNotFound], [ErrTokenNotFound].
func (s *Server) RotateToken(ctx context.Context, user, name string, hash [sha256.Size]byte) (scope Scope, err error) {
	err = s.changeTokens(ctx, "rotate a token", user, func(ctx context.Context, t *tx) error {
		if scope, err = scopeOf(ctx, t, user, name); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE tokens SET hash = ?, created_at = ?, used_at = NULL WHERE user_id = ? AND name = ?`,
			hash[:], millis(t.now), user, name)
		return err
	})
	return scope, err
}

// RevokeToken takes a token away. Errors: [ErrUserNotFound], [ErrTokenNotFound],
// [ErrLastOwner].
func (s *Server) RevokeToken(ctx context.Context, user, name string) error {
	return s.changeTokens(ctx, "revoke a token", user, func(ctx context.Context, t *tx) error {
		if _, err := scopeOf(ctx, t, user, name); err != nil {
			return err
		}
		if err := notLastOwner(ctx, t, user, name); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM tokens WHERE user_id = ? AND name = ?`, user, name)
		return err
	})
}

// NoteUses records when tokens were last used, all in one commit. Those that are
// gone are passed over.
func (s *Server) NoteUses(ctx context.Context, uses []Use) error {
	if len(uses) == 0 {
		return nil
	}
	return s.write(ctx, "note the use of tokens", func(ctx context.Context, t *tx) error {
		for _, u := range uses {
			_, err := t.exec(ctx, `UPDATE tokens SET used_at = max(coalesce(used_at, 0), ?1) WHERE user_id = ?2 AND hash = ?3`,
				millis(u.At), u.User, u.Hash[:])
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// changeTokens runs f in a transaction if there is the user.
func (s *Server) changeTokens(ctx context.Context, what, user string, f func(context.Context, *tx) error) error {
	return s.write(ctx, what, func(ctx context.Context, t *tx) error {
		if _, err := presentUser(ctx, t, user); err != nil {
			return err
		}
		return f(ctx, t)
	})
}

func insertToken(ctx context.Context, t *tx, user string, token Token) error {
	var n int
	if err := t.row(ctx, `SELECT count(*) FROM tokens WHERE user_id = ?`, user).Scan(&n); err != nil {
		return err
	}
	if n >= MaxTokens {
		return ErrTooManyTokens
	}
	_, err := t.exec(ctx, `INSERT INTO tokens (user_id, name, scope, hash, created_at) VALUES (?, ?, ?, ?, ?)`,
		user, token.Name, token.Scope, token.Hash[:], millis(t.now))
	if refused(err) {
		return fmt.Errorf("%w: scope", ErrInvalid)
	}
	return err
}

func scopeOf(ctx context.Context, t *tx, user, name string) (scope Scope, err error) {
	err = t.row(ctx, `SELECT scope FROM tokens WHERE user_id = ? AND name = ?`, user, name).Scan(&scope)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrTokenNotFound
	}
	return scope, err
}

// notLastOwner keeps a user from locking themselves out: name may go only if it
// is no owner's token, or there is another.
func notLastOwner(ctx context.Context, t *tx, user, name string) error {
	var is, others bool
	err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM tokens WHERE user_id = ?1 AND scope = 'owner' AND name = ?2),
		EXISTS (SELECT 1 FROM tokens WHERE user_id = ?1 AND scope = 'owner' AND name <> ?2)`, user, name).Scan(&is, &others)
	if err == nil && is && !others {
		return ErrLastOwner
	}
	return err
}
