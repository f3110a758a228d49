package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"
)

// MaxSessions is how many browsers of one user may be signed in at a time.
const MaxSessions = 20

// Session is a browser that is signed in.
type Session struct {
	Hash [sha256.Size]byte // of what is in its cookie
	User string
	// Token is the hash of the token that signed it in, with which it ends. Zero: a
	// code did.
	Token     [sha256.Size]byte
	CreatedAt time.Time // set by [Server.AddSession]
	ExpiresAt time.Time
}

// AddSession signs a browser in. Of a user who has as many as may be the oldest
// goes. Errors: [ErrUserNotFound].
func (s *Server) AddSession(ctx context.Context, n Session) error {
	return s.write(ctx, "add a session", func(ctx context.Context, t *tx) error {
		if _, err := presentUser(ctx, t, n.User); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM sessions WHERE expires_at <= ?`, millis(t.now)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM sessions WHERE hash IN
			(SELECT hash FROM sessions WHERE user_id = ? ORDER BY created_at DESC LIMIT -1 OFFSET ?)`, n.User, MaxSessions-1); err != nil {
			return err
		}
		var token any
		if n.Token != ([sha256.Size]byte{}) {
			token = n.Token[:]
		}
		_, err := t.exec(ctx, `INSERT INTO sessions (hash, user_id, token, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			n.Hash[:], n.User, token, millis(t.now), millis(n.ExpiresAt))
		return err
	})
}

// Session returns who is signed in with what has this hash. Errors: [ErrNoSession],
// also once it has expired, its token is gone, or its user is being removed.
func (s *Server) Session(ctx context.Context, hash [sha256.Size]byte) (n Session, err error) {
	n, err = view(ctx, s.handle, "read a session", func(ctx context.Context, q *statements) (n Session, err error) {
		n.Hash = hash
		err = q.row(ctx, `SELECT user_id, created_at, expires_at FROM sessions AS s WHERE hash = ? AND expires_at > ?
			AND (token IS NULL OR EXISTS (SELECT 1 FROM tokens AS t WHERE t.user_id = s.user_id AND t.hash = s.token AND t.scope = 'owner'))
			AND NOT EXISTS (SELECT 1 FROM removals AS r WHERE r.user_id = s.user_id)`,
			hash[:], millis(s.now())).Scan(&n.User, asTime{&n.CreatedAt}, asTime{&n.ExpiresAt})
		return n, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, ErrNoSession
	}
	return n, err
}

// Sessions returns how many browsers of a user are signed in.
func (s *Server) Sessions(ctx context.Context, user string) (int, error) {
	return view(ctx, s.handle, "count sessions", func(ctx context.Context, q *statements) (n int, err error) {
		err = q.row(ctx, `SELECT count(*) FROM sessions AS s WHERE user_id = ? AND expires_at > ?
			AND (token IS NULL OR EXISTS (SELECT 1 FROM tokens AS t WHERE t.user_id = s.user_id AND t.hash = s.token AND t.scope = 'owner'))`,
			user, millis(s.now())).Scan(&n)
		return n, err
	})
}

// EndSession signs a browser out, if it is signed in.
func (s *Server) EndSession(ctx context.Context, hash [sha256.Size]byte) error {
	return s.write(ctx, "end a session", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM sessions WHERE hash = ?`, hash[:])
		return err
	})
}

// EndSessions signs all browsers of a user out.
func (s *Server) EndSessions(ctx context.Context, user string) error {
	return s.write(ctx, "end sessions", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM sessions WHERE user_id = ?`, user)
		return err
	})
}
