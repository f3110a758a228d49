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

	"github.com/events-concierge/concierge/store"
)

// Index keeps the index of all Hosts like their files: at once where a Host of this
// process changes an event, and by sweeps for what other processes do, and for
// crashes and restores. When its file is lost or damaged a sweep makes it anew.
type Index struct {
	hosts *Hosts
	path  string
	stale chan string // users whose Host is to be looked at again
	sweep chan struct{}

	// A user's Host is read by one at a time.
	stripes [64]sync.Mutex

	mu      sync.RWMutex
	file    *store.Index // nil: there is none
	opened  os.FileInfo  // which file it is
	damaged bool
	closed  bool

	swept    time.Time // when the last sweep that came to its end did
	sweptFor time.Duration

	tellMu sync.Mutex
	told   map[string]string // of which Hosts that can't be read, in which state
}

// indexFile is its name, and unusable where one is put that is of no use.
const (
	indexFile = "index.db"
	unusable  = ".unusable"
)

// errNoIndex: there is no index at the moment.
var errNoIndex = errors.New("there is no index of events at the moment")

// OpenIndex opens the index of h, and has h keep it. Where that fails there is none
// until [Index.Run] has made one. Close it before h.
func OpenIndex(ctx context.Context, h *Hosts) *Index {
	x := &Index{hosts: h, path: filepath.Join(h.Dir, indexFile), stale: make(chan string, 256), sweep: make(chan struct{}, 1), told: map[string]string{}}
	if err := x.open(ctx); err != nil {
		h.Log.Error("the index of events can't be opened; it is tried again", "err", err)
	}
	h.index.Store(x)
	return x
}

// Close closes the file. Changes are not noted any more.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	return x.closeFile()
}

func (x *Index) closeFile() error {
	if x.file == nil {
		return nil
	}
	err := x.file.Close()
	x.file, x.opened = nil, nil
	return err
}

// open makes sure that the file is open, and is the one that lies there.
func (x *Index) open(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return store.ErrClosed
	}
	info, err := os.Stat(x.path)
	if x.file != nil && !x.damaged && err == nil && os.SameFile(info, x.opened) {
		return nil
	}
	if err := x.closeFile(); err != nil {
		x.hosts.Log.Debug("close the index of events", "err", err)
	}
	if x.damaged {
		if err := x.putAside(); err != nil {
			return err
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		if err := removeAll(x.path); err != nil { // a log without its file
			return err
		}
	}
	o := store.Options{Now: x.hosts.Now, Log: x.hosts.Log}
	file, err := store.OpenIndex(ctx, x.path, o)
	if isDamage(err) {
		x.hosts.Log.Warn("the index of events is made anew", "err", err)
		if err = x.putAside(); err == nil {
			file, err = store.OpenIndex(ctx, x.path, o)
		}
	}
	if err != nil {
		return err
	}
	if x.opened, err = os.Stat(x.path); err != nil {
		return errors.Join(err, file.Close())
	}
	x.file, x.damaged = file, false
	return nil
}

// putAside makes way for a new file. The old one stays, for it may be something
// else that was put here.
func (x *Index) putAside() error {
	if err := os.Rename(x.path, x.path+unusable); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put the index of events aside: %w", err)
	}
	return removeAll(x.path)
}

func isDamage(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotDatabase) || errors.Is(err, store.ErrWrongFile) || errors.Is(err, store.ErrNewerSchema)
}

// with runs f on the file. When f finds it damaged, a sweep makes it anew.
func (x *Index) with(f func(*store.Index) error) error {
	x.mu.RLock()
	file := x.file
	if file == nil {
		x.mu.RUnlock()
		return errNoIndex
	}
	err := f(file)
	x.mu.RUnlock()
	if isDamage(err) {
		x.mu.Lock()
		if x.file == file {
			x.damaged = true
		}
		x.mu.Unlock()
		select {
		case x.sweep <- struct{}{}:
		default:
		}
	}
	return err
}

// changePatience bounds how long who changed an event waits for the index.
const changePatience = 2 * time.Second

// changed notes a change of a Host of this process. What fails is found by the next
// sweep.
func (h *Hosts) changed(ctx context.Context, u store.User) {
	x := h.index.Load()
	if x == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changePatience)
	defer cancel()
	if err := x.refresh(ctx, u); err != nil && !errors.Is(err, errNoIndex) {
		h.Log.Warn("the index of events is behind; the next sweep catches up", "user", u.ID, "err", err)
	}
}

// again has a Host looked at again soon; when there are many, by the next sweep.
func (x *Index) again(user string) {
	select {
	case x.stale <- user:
	default:
	}
}
