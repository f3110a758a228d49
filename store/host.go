package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Host is one user's file, which is made if there is none, and brought up to
// date if it is older, when a method needs it. Errors of every method:
// [ErrNewerSchema], [ErrNotDatabase], [ErrWrongFile], [ErrCorrupt], all of which
// leave the file as it is. Methods may be called at the same time. See
// [Files.Host].
type Host struct{ handle }

// OpenHost opens one user's file by itself, and keeps it open.
func OpenHost(ctx context.Context, path string, o Options) (*Host, error) {
	h, err := openAlone(ctx, path, kindOf("host", hostID), o)
	if err != nil {
		return nil, err
	}
	return &Host{h}, nil
}

// Close closes what [OpenHost] has opened: it waits for calls under way. Calls
// after it, and those that still wait for the file, are [ErrClosed]. Of a Host
// of [Files] it closes them all.
func (h *Host) Close() error { return h.files.Close() }

// SealedWallet returns what [Host.KeepWallet] kept, or nil.
func (h *Host) SealedWallet(ctx context.Context) ([]byte, error) {
	return view(ctx, h.handle, "read the wallet", func(ctx context.Context, q *statements) ([]byte, error) {
		return wallet(ctx, q)
	})
}

// KeepWallet keeps an encrypted wallet, unless there is one already: money may
// be in that one. It returns the one that is kept. Errors: [ErrInvalid] if
// sealed is empty.
func (h *Host) KeepWallet(ctx context.Context, sealed []byte) (kept []byte, err error) {
	if len(sealed) == 0 {
		return nil, fmt.Errorf("keep the wallet: %w: empty", ErrInvalid)
	}
	err = h.write(ctx, "keep the wallet", func(ctx context.Context, t *tx) error {
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
