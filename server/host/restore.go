package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/store/archive"
)

// restoringFile is in a data directory whose restore has not come to its end.
const restoringFile = "restoring"

// restorers is how many files are restored at a time.
const restorers = 8

// Restored is what came of a restore.
type Restored struct {
	Point   time.Time // that the server's file, or the user's, is at
	Users   int       // whose files were restored
	Missing []string  // users who were known then, and of whom the archive has no file so old
	Aside   string    // where the file is that was replaced
}

// RestoreAll makes a data directory of what an archive has, as it was at a time;
// zero: the newest. There must be no server's file in it. If it fails half-way it
// can be run again, and until it has succeeded no server starts there. Every Host
// with a wallet is noted as restored, so that its payments are looked for on the
// chain. Errors: those of [archive.Restore], [ErrOtherArchive].
func RestoreAll(ctx context.Context, b archive.Backend, dir string, to time.Time) (r Restored, err error) {
	if _, err := os.Stat(filepath.Join(dir, serverFile)); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s has a server's files: restore into an empty directory, or one user into it (--user)", dir)
		}
		return r, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, fmt.Errorf("data directory: %w", err)
	}
	if err := restoreSecret(ctx, b, dir); err != nil {
		return r, err
	}
	marker := filepath.Join(dir, restoringFile)
	if err := writeNew(marker, []byte("A restore has begun here and not come to its end: run it again.\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return r, err
	}
	if network, err := getSmall(ctx, b, networkFile); err == nil {
		if err := writeNew(filepath.Join(dir, networkFile), network); err != nil && !errors.Is(err, fs.ErrExist) {
			return r, err
		}
	} else if !errors.Is(err, archive.ErrNotFound) { // no payments were ever taken
		return r, err
	}
	temp := filepath.Join(dir, ".restored-"+serverFile)
	if err := removeAll(temp); err != nil {
		return r, err
	}
	if r.Point, err = archive.Restore(ctx, b, serverFile, to, temp); err != nil {
		return r, err
	}
	if err := r.restoreUsers(ctx, b, dir, temp, to); err != nil {
		return r, err
	}
	if err := os.Rename(temp, filepath.Join(dir, serverFile)); err != nil {
		return r, err
	}
	return r, errors.Join(store.SyncDir(dir), os.Remove(marker), store.SyncDir(dir))
}

// restoreSecret finds the secret that an archive belongs to, in the directory or in
// the archive.
func restoreSecret(ctx context.Context, b archive.Backend, dir string) error {
	owner, err := getSmall(ctx, b, identityFile)
	if err != nil {
		return fmt.Errorf("the archive: %w", err)
	}
	path := filepath.Join(dir, secretFile)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if secret, err = getSmall(ctx, b, secretFile); errors.Is(err, archive.ErrNotFound) {
			return fmt.Errorf("secret.key is not in the archive, and without it nothing in there is of use: put your copy of it at %s", path)
		}
		if err == nil {
			err = writeNew(path, secret)
		}
	}
	if err != nil {
		return fmt.Errorf("server secret: %w", err)
	}
	if identity(secret)+"\n" != string(owner) {
		return fmt.Errorf("%w than %s", ErrOtherArchive, path)
	}
	return nil
}

// restoreUsers restores the Hosts of all users that a server's file knows.
func (r *Restored) restoreUsers(ctx context.Context, b archive.Backend, dir, serverFile string, to time.Time) (err error) {
	server, err := store.OpenServer(ctx, serverFile, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, restorers)
		mu     sync.Mutex
		errs   []error
	)
	restore := func(u store.User) {
		defer func() { <-places }()
		path := filepath.Join(dir, filepath.FromSlash(fileOf(u.ID)))
		_, err := restoreHost(ctx, b, u, to, path)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, archive.ErrNotFound), errors.Is(err, archive.ErrRange):
			r.Missing = append(r.Missing, u.ID)
		case err != nil:
			errs = append(errs, err)
		default:
			r.Users++
			errs = append(errs, server.Note(ctx, u.ID))
		}
	}
	for after := ""; ; {
		users, next, err := server.Users(ctx, 100, after)
		if err != nil {
			errs = append(errs, err)
			break
		}
		for _, u := range users {
			places <- struct{}{}
			wg.Go(func() { restore(u) })
		}
		mu.Lock()
		failed := errors.Join(errs...) != nil
		mu.Unlock()
		if after = next; after == "" || failed {
			break
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// restoreHost makes the file of a Host, noted as restored. What there was at path
// is not from a server: none has started here.
func restoreHost(ctx context.Context, b archive.Backend, u store.User, to time.Time, path string) (point time.Time, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return point, err
	}
	temp := filepath.Join(filepath.Dir(path), ".restored-"+filepath.Base(path))
	if err := removeAll(temp); err != nil { // of a restore that was ended
		return point, err
	}
	if point, err = archive.Restore(ctx, b, fileOf(u.ID), to, temp); err != nil {
		return point, err
	}
	if err := markRestored(ctx, u, point, temp); err != nil {
		return point, errors.Join(err, removeAll(temp))
	}
	return point, errors.Join(os.Rename(temp, path), store.SyncDir(filepath.Dir(path)))
}

// markRestored has the payments of a restored Host looked for on the chain. Who has
// no wallet was never paid.
func markRestored(ctx context.Context, u store.User, point time.Time, path string) error {
	file, err := store.OpenHost(ctx, path, store.Options{})
	if err != nil || u.WalletAddress.IsZero() {
		return errors.Join(err, closed(file))
	}
	return errors.Join(file.MarkRestored(ctx, point, u.WalletAddress), file.Close())
}

func closed(h *store.Host) error {
	if h == nil {
		return nil
	}
	return h.Close()
}

// removeAll removes a database that nobody has open.
func removeAll(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// RestoreUser puts one user's Host back to what it was at a time; zero: the newest.
// No process may have its file open; a server may run. The file that it replaces is
// kept beside it. Errors: [store.ErrUserNotFound], [store.ErrInUse], [ErrOtherArchive],
// those of [archive.Restore].
func (h *Hosts) RestoreUser(ctx context.Context, b archive.Backend, user string, to time.Time) (r Restored, err error) {
	u, err := h.Server.User(ctx, user)
	if err != nil {
		return r, err
	}
	if err := restoreSecret(ctx, b, h.Dir); err != nil {
		return r, err
	}
	path := h.path(user)
	temp := filepath.Join(filepath.Dir(path), ".restoring-"+filepath.Base(path))
	if r.Point, err = restoreHost(ctx, b, u, to, temp); err != nil {
		return r, err
	}
	// Before the file is there: a server that opens it must look after it.
	if err := h.Server.Note(ctx, user); err != nil {
		return r, errors.Join(err, removeAll(temp))
	}
	if _, err := os.Stat(path); err == nil {
		r.Aside = path + ".replaced-" + h.Now().UTC().Format("20060102T150405.000Z")
	}
	if err := store.Replace(ctx, path, temp, r.Aside); err != nil {
		return r, errors.Join(err, removeAll(temp))
	}
	r.Users = 1
	return r, h.reopenClaims(ctx, user)
}

// reopenClaims reopens the claims whose payments are open in a Host's file, or not
// in it any more: the reconciler finds out what became of them.
func (h *Hosts) reopenClaims(ctx context.Context, user string) (err error) {
	file, err := store.OpenHost(ctx, h.path(user), store.Options{Now: h.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = h.Server.Claims().ReopenAll(ctx, user, func(id string) (bool, error) {
		p, err := file.Payment(ctx, id)
		if errors.Is(err, payments.ErrNoPayment) {
			return false, nil
		}
		return !p.Open, err
	})
	return err
}
