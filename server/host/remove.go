package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// UnfinishedError says that a user can't be removed yet, for what has not come to
// its end.
type UnfinishedError struct{ Open []Unfinished }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("%d payments or refunds of this user have not come to an end", len(e.Open))
}

// Departure is what there is to know before a user is removed.
type Departure struct {
	// Exported: a removal was broken off after its export was written. Nothing is
	// left to do but to go on, and the rest is zero.
	Exported bool
	// Wallet is the one whose key this server holds for the user; zero: none. Whatever
	// is in it can only be had with its key.
	Wallet x402.Address
	// Crossmint is the user's wallet if it is kept there, where it stays.
	Crossmint x402.Address
	Open      []Unfinished
}

// Departure looks at a user who is to be removed. A removal that was broken off
// before its export was written is given up: what is open may need the Host to
// come to its end. Errors: [store.ErrUserNotFound].
func (h *Hosts) Departure(ctx context.Context, user string) (d Departure, err error) {
	unlock, err := h.lockRemovals()
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	_, stage, err := h.Server.Removal(ctx, user)
	if err != nil || stage == store.RemovalDeleting {
		return Departure{Exported: err == nil}, err
	}
	if err := h.Server.StopRemoval(ctx, user); err != nil {
		return d, err
	}
	file, err := h.file(user)
	if err != nil {
		return d, err
	}
	p, err := h.kept(ctx, user, file)
	if err != nil {
		return d, err
	}
	if d.Crossmint = p.crossmint; p.key != nil {
		d.Wallet = p.key.Address()
	}
	d.Open, err = h.unfinishedOf(ctx, user, file)
	return d, err
}

// Remove exports everything of a user and then deletes it: files, tokens, and the
// user. Of the claims of their payments hashes stay, so that no authorization can
// be used once more. It takes two leases, after which no process serves the Host
// any more. If it fails before the export is written the user is as before; after
// that, or when it was broken off, another Remove goes on. Errors:
// [store.ErrUserNotFound], [*UnfinishedError], and those of the export.
func (h *Hosts) Remove(ctx context.Context, user string, e Export) (err error) {
	unlock, err := h.lockRemovals()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	u, stage, err := h.Server.StartRemoval(ctx, user)
	if err != nil {
		return err
	}
	if stage == store.RemovalClosing {
		if err := h.depart(ctx, u, e); err != nil {
			return errors.Join(err, h.Server.StopRemoval(context.WithoutCancel(ctx), user))
		}
	}
	if err := h.retireUser(ctx, user); err != nil {
		return err
	}
	if x := h.index.Load(); x != nil { // else a sweep of the server takes them out
		if err := x.forget(ctx, user); err != nil {
			h.Log.Warn("the index of events still has somebody who was removed; the next sweep takes them out", "user", user, "err", err)
		}
	}
	if err := h.Files.Alone(ctx, h.path(user), func() error { return h.deleteFiles(user) }); err != nil {
		return fmt.Errorf("delete the files of %s (run it again): %w", user, err)
	}
	return h.Server.FinishRemoval(ctx, user)
}

// lockRemovals has one user removed at a time: a slower removal must not delete the
// file of who has come back.
func (h *Hosts) lockRemovals() (unlock func() error, err error) {
	lock := flock.New(filepath.Join(h.Dir, "removal.lock"), flock.SetPermissions(0o600))
	if ok, err := lock.TryLock(); err != nil || !ok {
		return nil, errors.Join(errors.New("another user is being removed; run it again when that is done"), err)
	}
	return lock.Close, nil
}

// depart is the part of a removal that can be taken back: wait until nobody begins
// anything, see that nothing is open, export.
func (h *Hosts) depart(ctx context.Context, u store.User, e Export) error {
	noticed := time.NewTimer(2 * h.Lease)
	defer noticed.Stop()
	select {
	case <-noticed.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := h.retireUser(ctx, u.ID); err != nil {
		return err
	}
	file, err := h.file(u.ID)
	if err != nil {
		return err
	}
	open, err := h.unfinishedOf(ctx, u.ID, file)
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return &UnfinishedError{open}
	}
	// A refund that is just being made is not listed yet. It comes to nothing now: it
	// is made only if nothing was cleared meanwhile.
	if cleared, _, err := file.Clear(ctx); err != nil || !cleared {
		return errors.Join(err, errors.New("a refund was made meanwhile; run it again when it is paid"))
	}
	if err := h.export(ctx, u, file, e); err != nil {
		return err
	}
	return h.Server.CommitRemoval(ctx, u.ID)
}

// retireUser forgets the Host of a user in this process, if there is one.
func (h *Hosts) retireUser(ctx context.Context, user string) error {
	h.mu.RLock()
	k := h.known[user]
	h.mu.RUnlock()
	if k == nil {
		return nil
	}
	return h.retire(ctx, k)
}

// file returns a user's file, without making the user a Host; a user of whom there
// is no file yet gets an empty one.
func (h *Hosts) file(user string) (*store.Host, error) {
	return h.Files.Host(h.path(user)), h.Files.Make(h.path(user))
}

// unfinishedOf is [Hosts.Unfinished] of one user.
func (h *Hosts) unfinishedOf(ctx context.Context, user string, file *store.Host) (all []Unfinished, err error) {
	claims, err := h.Server.Claims().Open(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range slices.DeleteFunc(claims, func(c payments.Claim) bool { return c.User != user }) {
		p, err := claimed(ctx, file, c)
		all = append(all, Unfinished{User: user, Payment: p, Due: due(p), Err: err})
	}
	refunds, err := file.OpenRefunds(ctx, "", maxUnfinished)
	if err != nil {
		return nil, err
	}
	for _, r := range refunds {
		all = append(all, openRefund(user, r))
	}
	return all, nil
}

// deleteFiles deletes a user's file and whatever lies beside it under its name: the
// log, and copies.
func (h *Hosts) deleteFiles(user string) error {
	dir := filepath.Dir(h.path(user))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filepath.Base(h.path(user))) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(err, store.SyncDir(dir))
}
