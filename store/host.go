package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Host is one user's file. Its methods may be called at the same time.
type Host struct{ f *file }

// OpenHost opens a user's file, makes it if there is none, and brings an older
// one up to date. Errors: [ErrNewerSchema], [ErrNotDatabase], [ErrWrongFile],
// [ErrCorrupt], all of which leave the file as it is.
func OpenHost(ctx context.Context, path string, o Options) (*Host, error) {
	f, err := open(ctx, path, kindOf("host", hostID), o)
	if err != nil {
		return nil, err
	}
	return &Host{f}, nil
}

// Close waits for the change under way, and closes the file. Calls after it,
// and those that still wait, are [ErrClosed].
func (h *Host) Close() error { return h.f.close() }

// SealedWallet returns what [Host.KeepWallet] kept, or nil.
func (h *Host) SealedWallet(ctx context.Context) ([]byte, error) {
	sealed, err := wallet(ctx, h.f.read)
	if err != nil {
		return nil, h.f.read.fail("read the wallet", err, nil)
	}
	return sealed, nil
}

// KeepWallet keeps an encrypted wallet, unless there is one already: money may
// be in that one. It returns the one that is kept. Errors: [ErrInvalid] if
// sealed is empty.
func (h *Host) KeepWallet(ctx context.Context, sealed []byte) (kept []byte, err error) {
	if len(sealed) == 0 {
		return nil, fmt.Errorf("keep the wallet: %w: empty", ErrInvalid)
	}
	err = h.f.write.do(ctx, "keep the wallet", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO wallet (one, sealed, created_at) VALUES (1, ?, ?) ON CONFLICT DO NOTHING`,
			sealed, t.now.UnixMilli())
		if err != nil {
			return err
		}
		kept, err = wallet(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

func wallet(ctx context.Context, q rowQuerier) ([]byte, error) {
	var sealed []byte
	err := q.row(ctx, `SELECT sealed FROM wallet`).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return sealed, err
}

// Copy writes all that is committed into a new database at path, which must not
// be there. Writers wait meanwhile.
func (h *Host) Copy(ctx context.Context, path string) error {
	return h.f.write.alone(ctx, "copy the file", func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `VACUUM INTO ?`, path)
		return err
	})
}
