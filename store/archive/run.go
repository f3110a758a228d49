package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// serverFile is archived after the Hosts' files: whatever these have begun is
// claimed in it, also where a restore puts all of them back.
const serverFile = "server.db"

const (
	// sweepEvery is how often all files are looked at, for what others wrote to them
	// or an earlier process left.
	sweepEvery = time.Hour
	// sweepFor is how long that takes at a time, before it lets others go first.
	sweepFor = 200 * time.Millisecond
	// longestWait is the longest pause after the archive could not be written to.
	longestWait = time.Minute
	// lastPass is how long the pass at the end may take.
	lastPass = 20 * time.Second
)

// Run archives what [Archiver.Written] notes, every interval, and from time to time
// looks at all files, until ctx ends. Then it makes a last pass.
func (a *Archiver) Run(ctx context.Context, interval time.Duration) {
	var s sweep
	defer s.end()
	for pause := interval; ; {
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPass)
			defer cancel()
			if err := a.Flush(last); err != nil {
				a.Log.Error("not all is archived; the next start will see to it", "err", err)
			}
			return
		}
		err := errors.Join(a.Flush(ctx), s.on(ctx, a))
		switch {
		case err == nil:
			pause = interval
		case ctx.Err() == nil:
			pause = max(interval, min(2*pause, longestWait))
			a.Log.Error("archive", "err", err, "again_in", pause)
		}
	}
}

// Flush archives what was written since it was archived last. What fails is tried
// again by the next one.
func (a *Archiver) Flush(ctx context.Context) error {
	a.noting.Lock()
	var files []string
	server := false
	for file := range a.dirty {
		if file == serverFile {
			server = true
		} else {
			files = append(files, file)
		}
	}
	a.noting.Unlock()
	slices.Sort(files)
	at := a.Now() // one for all, so that a restore to any time has what belongs together
	err := a.shipAll(ctx, files, at)
	if server {
		err = errors.Join(err, a.again(ctx, serverFile, at))
	}
	if err == nil {
		a.complete.Store(at.UnixNano())
	}
	return err
}

// Complete returns by when all that this process, and those beside it that told it,
// had written was in the archive: the time of the last [Archiver.Flush] that went
// well, zero if none has.
func (a *Archiver) Complete() time.Time {
	if n := a.complete.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func (a *Archiver) shipAll(ctx context.Context, files []string, at time.Time) error {
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, visitors)
		mu     sync.Mutex
		failed int
		first  error
	)
	for _, file := range files {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := a.again(ctx, file, at); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed++; first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return fmt.Errorf("%d files: %w", failed, first)
	}
	return nil
}

// again is Ship, and a file that fails comes up again.
func (a *Archiver) again(ctx context.Context, file string, at time.Time) error {
	_, err := a.Ship(ctx, file, at)
	if err != nil {
		a.note(file)
	}
	return err
}

// Round archives what is new in all files of the directory, also of those that
// nobody has open, and removes what is too old to be kept. It goes on after a file
// that fails. each is told of every file.
func (a *Archiver) Round(ctx context.Context, each func(file string, s Shipped, err error)) error {
	at := a.Now() // as in Flush
	for file, err := range files(a.Dir) {
		if err != nil {
			return err
		}
		s, err := a.Ship(ctx, file, at)
		if err == nil {
			err = prune(ctx, a.To, file, at.Add(-a.Keep))
		}
		if each(file, s, err); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// sweep is a walk over all files, a few at a time.
type sweep struct {
	next  func() (string, error, bool)
	stop  func()
	begun time.Time
}

func (s *sweep) on(ctx context.Context, a *Archiver) error {
	if s.next == nil {
		if now := a.Now(); s.begun.IsZero() || now.Sub(s.begun) >= sweepEvery {
			s.begun = now
			s.next, s.stop = iter.Pull2(files(a.Dir))
		}
	}
	for begun := time.Now(); s.next != nil && ctx.Err() == nil && time.Since(begun) < sweepFor; {
		file, err, more := s.next()
		if !more || err != nil {
			s.end()
			return err
		}
		if err := a.again(ctx, file, a.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweep) end() {
	if s.next != nil {
		s.stop()
		s.next = nil
	}
}

// files are those of a data directory, the server's last.
func files(dir string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		groups, err := readDir(filepath.Join(dir, "hosts"))
		for _, group := range groups {
			var hosts []string
			hosts, err = readDir(filepath.Join(dir, "hosts", group))
			for _, name := range hosts {
				if user, ok := strings.CutSuffix(name, ".db"); ok && !strings.Contains(user, ".") && !yield("hosts/"+group+"/"+name, nil) {
					return
				}
			}
			if err != nil {
				break
			}
		}
		if err != nil {
			yield("", err)
			return
		}
		yield(serverFile, nil)
	}
}

func readDir(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
