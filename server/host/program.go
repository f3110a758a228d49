package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/events-concierge/concierge/store"
)

// lockFile is locked by all who have a data directory open, and by a rollback
// against all of them.
const lockFile = "directory.lock"

// lockWithin is how long somebody who asks whether the directory is in use may hold
// its lock.
const lockWithin = time.Second

// ErrDirectoryInUse means that a process has the data directory open.
var ErrDirectoryInUse = errors.New("a process has the data directory open: stop the server first")

// lockDirectory locks a data directory, so that nobody takes its files back
// meanwhile. alone is a time at which no other process had it open, zero if that is
// not known.
func lockDirectory(ctx context.Context, dir string, now func() time.Time) (unlock func() error, alone time.Time, err error) {
	path := filepath.Join(dir, lockFile)
	at := now()
	if free, err := lockAlone(path); err == nil {
		alone = at
		if err := free(); err != nil {
			return nil, alone, fmt.Errorf("lock the data directory: %w", err)
		}
	}
	l := flock.New(path, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, lockWithin)
	defer cancel()
	switch _, err := l.TryRLockContext(ctx, 5*time.Millisecond); {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, alone, fmt.Errorf("%s is being rolled back: wait until 'concierge rollback' has ended", dir)
	case err != nil:
		return nil, alone, fmt.Errorf("lock the data directory: %w", err)
	}
	return l.Close, alone, nil
}

// lockAlone locks a data directory against everybody. Errors: [ErrDirectoryInUse].
func lockAlone(path string) (unlock func() error, err error) {
	l := flock.New(path, flock.SetPermissions(0o600))
	switch got, err := l.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the data directory: %w", err)
	case !got:
		return nil, errors.Join(ErrDirectoryInUse, l.Close())
	}
	return l.Close, nil
}

// recordStart notes in the server's file that this program has started, if it is to
// be noted. schema is the version of that file before.
func (h *Hosts) recordStart(ctx context.Context, schema int, alone time.Time) (err error) {
	if h.Program == nil {
		return nil
	}
	h.started, err = h.Server.Started(ctx, *h.Program, h.Command, schema, alone)
	return err
}

// programsDir has copies of the programs that have served a data directory, by their
// SHA-256.
const programsDir = "programs"

// ProgramFile is where the copy of a program is kept, if one is.
func ProgramFile(dir string, p store.Program) string {
	return filepath.Join(dir, programsDir, fmt.Sprintf("%x", p.SHA256))
}

// KeepProgram keeps a copy of the program's file, so that there is something to go
// back to when the file has been replaced, and removes those of programs other than
// the last n; 0 keeps none. On a file system that can, copies share the disk with
// what they are of.
func (h *Hosts) KeepProgram(ctx context.Context, n int) error {
	if h.Program == nil {
		return nil
	}
	if h.Program.SHA256 != ([sha256.Size]byte{}) && n > 0 {
		if err := keepFile(ProgramFile(h.Dir, *h.Program), *h.Program); err != nil {
			return fmt.Errorf("keep a copy of the program: %w", err)
		}
	}
	all, err := h.Server.Deployments(ctx, 1000)
	if err != nil {
		return err
	}
	var keep []string
	for _, d := range all {
		if name := filepath.Base(ProgramFile("", d.Program)); len(keep) < n && !slices.Contains(keep, name) {
			keep = append(keep, name)
		}
	}
	there, err := os.ReadDir(filepath.Join(h.Dir, programsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range there {
		if !slices.Contains(keep, entry.Name()) && len(entry.Name()) == 2*sha256.Size {
			err = errors.Join(err, os.Remove(filepath.Join(h.Dir, programsDir, entry.Name())))
		}
	}
	return err
}

// keepFile copies a program to a path, unless it is there.
func keepFile(to string, p store.Program) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return copyProgram(to, p.Path, p.SHA256, 0o700)
}

// copyProgram copies a program, and makes sure that it is the one that it should be:
// its file may have been replaced since it was started.
func copyProgram(to, from string, sum [sha256.Size]byte, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	temp, err := os.CreateTemp(filepath.Dir(to), ".copy-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, in) // without passing through this process, where the system can
	if err := errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if got, err := SumProgram(temp.Name()); err != nil || got != sum {
		return errors.Join(err, fmt.Errorf("%s is another program by now", from))
	}
	return errors.Join(os.Rename(temp.Name(), to), store.SyncDir(filepath.Dir(to)))
}

// SumProgram returns the SHA-256 of a program's file.
func SumProgram(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(digest.Sum(nil)), nil
}

// InstallProgram puts the copy of a program in the place from which it was started, and
// returns that.
func InstallProgram(dir string, p store.Program) (string, error) {
	kept := ProgramFile(dir, p)
	if err := copyProgram(p.Path, kept, p.SHA256, 0o755); err != nil {
		return kept, fmt.Errorf("put %s in the place of %s: %w", kept, p.Path, err)
	}
	return p.Path, nil
}
