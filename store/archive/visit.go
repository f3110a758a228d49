package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
)

// visit is the time in which one file is archived, by nobody else.
type visit struct {
	*Archiver
	file    string
	path    string
	z       *zstd.Encoder
	shipped Shipped
}

func (a *Archiver) visit(ctx context.Context, file string) (*visit, error) {
	z := <-a.encoders
	v := &visit{Archiver: a, file: file, path: filepath.Join(a.Dir, filepath.FromSlash(file)), z: z}
	if z == nil {
		var err error
		if v.z, err = newEncoder(); err != nil {
			a.encoders <- nil
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, taken := a.busy[file]; taken; _, taken = a.busy[file] {
		a.idle.Wait()
	}
	if len(a.busy) == 0 {
		if ok, err := a.lock.TryLockContext(ctx, 5*time.Millisecond); !ok || err != nil {
			a.encoders <- v.z
			return nil, fmt.Errorf("wait for another process that archives: %w", err)
		}
	}
	a.busy[file] = struct{}{}
	a.noting.Lock()
	delete(a.dirty, file) // what is written from now on makes it so again
	a.noting.Unlock()
	return v, nil
}

func (v *visit) end() {
	v.mu.Lock()
	delete(v.busy, v.file)
	if len(v.busy) == 0 {
		if err := v.lock.Unlock(); err != nil {
			v.Log.Error("the lock of the archive", "err", err)
		}
	}
	v.idle.Broadcast()
	v.mu.Unlock()
	v.encoders <- v.z
}

// ship archives what is new.
func (v *visit) ship(ctx context.Context, at time.Time) (err error) {
	for attempt := 1; ; attempt++ {
		err = v.attempt(ctx, at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, missing := os.Stat(v.path); errors.Is(missing, fs.ErrNotExist) {
				return nil
			}
			return err
		case !errors.Is(err, errReset) || attempt == 3:
			return err
		}
	}
}

func (v *visit) attempt(ctx context.Context, at time.Time) error {
	st, known, err := v.states.get(ctx, v.file)
	if err != nil {
		return fmt.Errorf("how far it is archived: %w", err)
	}
	now, err := stampOf(v.path) // before the log is read: what is moved afterwards shows
	if err != nil {
		return err
	}
	log, err := openLog(v.path)
	if err != nil {
		return err
	}
	defer log.close()
	at = at.UTC().Truncate(time.Millisecond)
	if !at.After(st.Time) { // the clock was set back
		at = st.Time.Add(time.Millisecond)
	}
	from, proved := st.goesOn(log, now)
	if !known || !proved {
		return v.base(ctx, st, now, log, at)
	}
	var new changes
	if log != nil {
		if new, err = log.since(from); err != nil {
			return err
		}
	}
	switch {
	case new.size == 0:
		if st.Stamp.same(now) && (log == nil || st.Log == from) {
			return nil
		}
		st.Stamp, st.Log = now, from
		return v.states.set(ctx, v.file, st)
	case at.Sub(st.Base) >= fresh:
		return v.base(ctx, st, now, log, at)
	}
	err = v.segment(ctx, st, now, log, from, new, at)
	if errors.Is(err, ErrExists) { // of a process that died before it noted that, or of another directory
		v.Log.Warn("the archive has gone on without this directory; a new generation begins", "file", v.file)
		return v.base(ctx, st, now, log, at)
	}
	return err
}

// goesOn returns from where the log is to be archived, if all that was committed
// before is.
func (s state) goesOn(l *wal, now stamp) (from place, proved bool) {
	switch {
	case l.has(s.Log):
		return s.Log, true
	case !now.same(s.Stamp):
		return place{}, false
	case l == nil:
		return s.Log, true
	case l.start.Salt == s.Log.Salt: // the same one, without what was in it
		return place{}, false
	}
	return l.start, true // the one before had been moved, all of it, when s.Stamp was taken
}

// stamp notes that all of the log has been archived that was moved.
func (v *visit) stamp(ctx context.Context) error {
	st, known, err := v.states.get(ctx, v.file)
	if err != nil || !known {
		return err
	}
	if st.Stamp, err = stampOf(v.path); err != nil {
		return err
	}
	return v.states.set(ctx, v.file, st)
}

// put writes an object and notes it.
func (v *visit) put(ctx context.Context, h header, st state, write func(io.Writer) (digest string, err error)) error {
	name := objectName(h.File, h.Generation, h.Sequence)
	st.Last = link{Generation: h.Generation, Sequence: h.Sequence}
	var size counter
	err := v.To.Put(ctx, name, func(w io.Writer) (err error) {
		size = counter{w: w}
		st.Last.Digest, err = write(&size)
		return err
	})
	if err != nil {
		return err
	}
	st.Time = h.Time
	v.shipped.Bytes += size.n
	if h.Sequence == 0 {
		v.shipped.Bases++
	} else {
		v.shipped.Segments++
	}
	return v.states.set(ctx, v.file, st)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
