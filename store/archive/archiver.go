package archive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/klauspost/compress/zstd"
)

// Config is what an [Archiver] needs.
type Config struct {
	Dir  string  // the data directory
	Name string  // names the archive: its URL
	To   Backend // where it is
	Log  *slog.Logger

	Keep time.Duration    // how far back can be gone; default 30 days
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader
}

const (
	defaultKeep = 30 * 24 * time.Hour
	// fresh is how old a generation may get before a file that changes gets a new
	// one: a restore has no more segments to read than that.
	fresh = 24 * time.Hour
	// visitors is how many files are archived at a time. Each has an encoder.
	visitors = 8
)

// Archiver archives the files of a data directory. Safe for concurrent use, and by
// several processes at a time: they take turns.
type Archiver struct {
	Config
	states   *states
	lock     *flock.Flock
	encoders chan *zstd.Encoder

	mu   sync.Mutex          // held while another process is waited for
	idle sync.Cond           // says that a file is no longer visited
	busy map[string]struct{} // files that are visited

	noting sync.Mutex          // never held for long: who has written waits for it
	dirty  map[string]struct{} // files that were written to since they were visited

	complete atomic.Int64 // see Complete; nanoseconds since 1970
}

// New returns the Archiver of a data directory. Close it.
func New(ctx context.Context, c Config) (*Archiver, error) {
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	a := &Archiver{Config: c, lock: flock.New(filepath.Join(c.Dir, "archive.lock"), flock.SetPermissions(0o600)),
		encoders: make(chan *zstd.Encoder, visitors), busy: map[string]struct{}{}, dirty: map[string]struct{}{}}
	a.idle.L = &a.mu
	for range visitors {
		a.encoders <- nil // made when it is wanted
	}
	if a.states, err = openStates(ctx, filepath.Join(c.Dir, "archive.db"), c.Name); err != nil {
		return nil, err
	}
	return a, nil
}

// Close ends it. What was written and not archived is left to the next one.
func (a *Archiver) Close() error { return errors.Join(a.states.close(), a.lock.Close()) }

// Shipped is what was put into the archive.
type Shipped struct {
	Bases, Segments int
	Bytes           int64 // as they are kept
}

// Ship archives what is new in a file, which is named by its path below the data
// directory, with slashes. All that was committed by the time at is in the archive
// then. A file that is not there is passed over.
func (a *Archiver) Ship(ctx context.Context, file string, at time.Time) (Shipped, error) {
	v, err := a.visit(ctx, file)
	if err != nil {
		return Shipped{}, err
	}
	defer v.end()
	if err := v.ship(ctx, at); err != nil {
		return v.shipped, fmt.Errorf("archive %s: %w", file, err)
	}
	return v.shipped, nil
}

// Checkpoint archives what is new in a file, and then has move move the log into
// the database. It must be called inside a read transaction of the caller: by that
// nothing is moved, now or by others, that is not archived, and once all has been
// moved and the log begins anew, that proves nothing is missing. Without archive
// nothing is moved either, unless the log has more than maxLog bytes: it must not
// fill the disk while an archive is out of reach, and a new generation begins when
// it is back.
func (a *Archiver) Checkpoint(ctx context.Context, path string, move func() error) error {
	file, err := a.file(path)
	if err != nil {
		return err
	}
	v, err := a.visit(ctx, file)
	if err != nil {
		return err
	}
	defer v.end()
	if err := v.ship(ctx, a.Now()); err != nil {
		err = fmt.Errorf("archive %s: %w", file, err)
		if info, statErr := os.Stat(path + "-wal"); statErr != nil || info.Size() <= maxLog {
			return err
		}
		return errors.Join(err, move())
	}
	if err := move(); err != nil {
		return err
	}
	return v.stamp(ctx)
}

// maxLog is how long a log gets for want of its archive.
const maxLog = 64 << 20

// Remove deletes all that the archive has of a file, which must be gone itself or
// be archived anew.
func (a *Archiver) Remove(ctx context.Context, file string) error {
	v, err := a.visit(ctx, file)
	if err != nil {
		return err
	}
	defer v.end()
	return errors.Join(Remove(ctx, a.To, file), a.states.forget(ctx, file))
}

// Written notes that the file at path was written to: [Archiver.Run] will see to it.
func (a *Archiver) Written(path string) {
	file, err := a.file(path)
	if err != nil {
		return // none of this directory
	}
	a.note(file)
}

func (a *Archiver) note(file string) {
	a.noting.Lock()
	defer a.noting.Unlock()
	a.dirty[file] = struct{}{}
}

func (a *Archiver) file(path string) (string, error) {
	name, err := filepath.Rel(a.Dir, path)
	if err != nil || !filepath.IsLocal(name) {
		return "", fmt.Errorf("archive: %s is not below %s", path, a.Dir)
	}
	return filepath.ToSlash(name), nil
}
