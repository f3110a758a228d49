package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Server is what the Hosts of one server share: who the users are, and which
// payments have been begun. Its methods may be called at the same time.
type Server struct {
	handle
	keyed
}

// OpenServer opens a server's file like [OpenHost] does a user's.
func OpenServer(ctx context.Context, path string, o Options) (*Server, error) {
	h, err := openAlone(ctx, path, kindOf("server", serverID), o)
	if err != nil {
		return nil, err
	}
	return &Server{h, keyed{o.Secret}}, nil
}

// OpenServerAsIs is [OpenServer] of a file that is there and stays at the version that
// it has.
func OpenServerAsIs(ctx context.Context, path string, o Options) (*Server, error) {
	k := kindOf("server", serverID)
	var err error
	if k.last, _, err = k.version(ctx, path); err != nil {
		return nil, fmt.Errorf("open the server's file %s: %w", path, err)
	}
	o.Existing = true
	h, err := openAlone(ctx, path, k, o)
	if err != nil {
		return nil, err
	}
	return &Server{h, keyed{o.Secret}}, nil
}

// Close waits for the change under way, and closes the file. Calls after it,
// and those that still wait, are [ErrClosed].
func (s *Server) Close() error { return s.files.Close() }

// User is the owner of a Host.
type User struct {
	ID            string       // a keyed hash of the email; the email is not kept
	WalletAddress x402.Address // zero: none
	CreatedAt     time.Time
	Leaving       bool // being removed; only [Server.Users] returns such a user
}

// AddUser adds a user, created now, with a first token, and uses up their
// invitation, if there has to be one. Errors: [ErrUserExists], [ErrInvite],
// [ErrInvalid] if there is no id.
func (s *Server) AddUser(ctx context.Context, u User, token Token, invite *[sha256.Size]byte) error {
	return s.write(ctx, "add a user", func(ctx context.Context, t *tx) error {
		if invite != nil {
			if err := useInvite(ctx, t, *invite); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `INSERT INTO users (id, wallet_address, created_at) VALUES (?, ?, ?)`,
			u.ID, orNull(u.WalletAddress, x402.Address.String), millis(t.now))
		switch {
		case duplicate(err):
			return ErrUserExists
		case refused(err):
			return fmt.Errorf("%w: user without id", ErrInvalid)
		case err != nil:
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM removals WHERE user_id = ?`, u.ID); err != nil { // who comes back
			return err
		}
		return insertToken(ctx, t, u.ID, token)
	})
}

// User returns one user. Errors: [ErrUserNotFound], which is [ErrUserLeaving] as
// well while the user is being removed.
func (s *Server) User(ctx context.Context, id string) (User, error) {
	return view(ctx, s.handle, "read a user", func(ctx context.Context, q *statements) (User, error) {
		return presentUser(ctx, q, id)
	})
}

func presentUser(ctx context.Context, q rowQuerier, id string) (User, error) {
	_, u, err := scanUser(q.row(ctx, `SELECT `+userColumns+` FROM users WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return User{}, ErrUserNotFound
	case err == nil && u.Leaving:
		return u, ErrUserLeaving
	}
	return u, err
}

// Users returns a page of users in the order of their registration, and the
// cursor of the next page, "" if this is the last. limit and after are as in
// [EventQuery]. Errors: [ErrCursor].
func (s *Server) Users(ctx context.Context, limit int, after string) (users []User, next string, err error) {
	const what = "list users"
	limit = pageSize(limit)
	from, err := decode("user", after)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	type numbered struct {
		seq int64
		User
	}
	rows, err := view(ctx, s.handle, what, func(ctx context.Context, q *statements) ([]numbered, error) {
		return list(ctx, q, func(s scanner) (n numbered, err error) {
			n.seq, n.User, err = scanUser(s)
			return n, err
		}, `SELECT `+userColumns+` FROM users WHERE seq > ? ORDER BY seq LIMIT ?`, from.n, limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	rows, next = page(rows, limit, "user", func(n numbered) position { return position{n: n.seq} })
	for _, n := range rows {
		users = append(users, n.User)
	}
	return users, next, nil
}

const userColumns = `seq, id, wallet_address, created_at, EXISTS (SELECT 1 FROM removals WHERE user_id = id)`

func scanUser(s scanner) (seq int64, u User, err error) {
	err = s.Scan(&seq, &u.ID, asText{&u.WalletAddress}, asTime{&u.CreatedAt}, &u.Leaving)
	return seq, u, err
}
