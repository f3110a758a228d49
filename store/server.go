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
type Server struct{ handle }

// OpenServer opens a server's file like [OpenHost] does a user's.
func OpenServer(ctx context.Context, path string, o Options) (*Server, error) {
	h, err := openAlone(ctx, path, kindOf("server", serverID), o)
	if err != nil {
		return nil, err
	}
	return &Server{h}, nil
}

// Close waits for the change under way, and closes the file. Calls after it,
// and those that still wait, are [ErrClosed].
func (s *Server) Close() error { return s.files.Close() }

// User is the owner of a Host.
type User struct {
	ID            string       // a keyed hash of the email; the email is not kept
	WalletAddress x402.Address // zero: none
	CreatedAt     time.Time
}

// AddUser adds a user, created now, with a first token, of which only the hash
// is kept. Errors: [ErrUserExists], [ErrInvalid] if there is no id.
func (s *Server) AddUser(ctx context.Context, u User, tokenHash [sha256.Size]byte, tokenName string) error {
	return s.write(ctx, "add a user", func(ctx context.Context, t *tx) error {
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
		return setToken(ctx, t, u.ID, tokenName, tokenHash)
	})
}

// User returns one user. Errors: [ErrUserNotFound].
func (s *Server) User(ctx context.Context, id string) (User, error) {
	return view(ctx, s.handle, "read a user", func(ctx context.Context, q *statements) (User, error) {
		_, u, err := scanUser(q.row(ctx, `SELECT `+userColumns+` FROM users WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return User{}, ErrUserNotFound
		}
		return u, err
	})
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

const userColumns = `seq, id, wallet_address, created_at`

func scanUser(s scanner) (seq int64, u User, err error) {
	err = s.Scan(&seq, &u.ID, asText{&u.WalletAddress}, asTime{&u.CreatedAt})
	return seq, u, err
}

// SetToken gives a user a token of this name, in place of the one that has it.
// Errors: [ErrUserNotFound].
func (s *Server) SetToken(ctx context.Context, user, name string, hash [sha256.Size]byte) error {
	return s.write(ctx, "set a token", func(ctx context.Context, t *tx) error {
		var known bool
		if err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)`, user).Scan(&known); err != nil {
			return err
		}
		if !known {
			return ErrUserNotFound
		}
		return setToken(ctx, t, user, name, hash)
	})
}

func setToken(ctx context.Context, t *tx, user, name string, hash [sha256.Size]byte) error {
	_, err := t.exec(ctx, `INSERT INTO tokens (user_id, name, hash, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_id, name) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at`,
		user, name, hash[:], millis(t.now))
	return err
}

// TokenHashes returns the hashes of a user's tokens; a user who does not exist
// has none.
func (s *Server) TokenHashes(ctx context.Context, user string) ([][sha256.Size]byte, error) {
	return view(ctx, s.handle, "read tokens", func(ctx context.Context, q *statements) ([][sha256.Size]byte, error) {
		return list(ctx, q, func(s scanner) (h [sha256.Size]byte, err error) {
			return h, s.Scan(asHash{&h})
		}, `SELECT hash FROM tokens WHERE user_id = ? ORDER BY name`, user)
	})
}
