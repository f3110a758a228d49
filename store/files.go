package store

import (
	queue "container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// DefaultMaxOpen is how many files of Hosts are open at a time if nothing else
// is said.
const DefaultMaxOpen = 512

// forget is how long a file that failed to open is not tried again: until then
// every call fails for the same reason, and costs nothing.
const forget = time.Second

// Files keeps the files of many Hosts, of which some are open: opened when a
// call needs them, held for as long as the call takes, and closed when they
// have been idle for long, or longest while the place is needed. A file that
// can't be opened fails alone.
//
// With an archive ([Options.Archive]) what is committed is in the log beside
// the file, and nowhere else, until the archive has been asked to copy it; it
// must not return before it has. If it fails, the log stays as it is.
type Files struct {
	kind   kind
	o      Options
	limits logLimits
	vfs    string // of SQLite; "": the usual one

	slots chan struct{} // has one for every file that is open, or is being opened or closed
	extra chan struct{} // see reader
	keep  int           // how many files stay open while none is waited for
	*tender

	once     sync.Once
	closeErr error

	mu      sync.Mutex
	closed  bool
	waiting int               // calls that wait for a slot
	entries map[string]*entry // by path: the files that are open, or were to be
	idle    queue.List        // of those that are open and unused, the longest idle first
	due     map[*entry]bool   // whose log is to be emptied

	surveyed time.Time // the last time
}

// entry is a file, or why there is none.
type entry struct {
	path string
	file *file
	// busy is there while the file is being opened, closed or held by
	// [Files.Alone], and closed at the end of that: nobody else may use it.
	busy    chan struct{}
	users   int            // calls under way
	drained chan struct{}  // closed when a busy entry has no users any more
	spot    *queue.Element // in idle
	since   time.Time      // when it became idle, or failed
	err     error          // why it failed
}

// NewFiles returns the files of Hosts. Close it.
func NewFiles(o Options) *Files { return newFiles(kindOf("host", hostID), o) }

func newFiles(k kind, o Options) *Files {
	o.setDefaults()
	k.kept = sync.OnceValues(k.steps) // of all that is done to open a file, reading them took most memory
	files, extra := o.room()
	p := &Files{
		kind: k, o: o, limits: defaultLimits,
		slots: make(chan struct{}, files), extra: make(chan struct{}, extra), keep: files - files/8,
		entries: map[string]*entry{}, due: map[*entry]bool{},
	}
	p.tender = startTender(o.rhythm(), p.chores)
	return p
}

// Host returns the Host of a file, which need not be there yet and is not
// opened by that.
func (p *Files) Host(path string) *Host { return &Host{handle{p, path}} }

// Make makes the file of a Host, if there is none; it is for Files that open
// existing ones only.
func (p *Files) Make(path string) error { return createFile(path) }

// acquire returns a file to use until it is released, opening it if need be.
func (p *Files) acquire(ctx context.Context, path string) (*entry, error) {
	for {
		p.mu.Lock()
		e := p.entries[path]
		switch {
		case p.closed:
			p.mu.Unlock()
			return nil, ErrClosed
		case e == nil:
			e = &entry{path: path}
			p.entries[path] = e
		case e.busy != nil:
			busy := e.busy
			p.mu.Unlock()
			select {
			case <-busy:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case e.file != nil:
			e.users++
			p.unlist(e)
			p.mu.Unlock()
			return e, nil
		case p.o.Now().Sub(e.since) < forget:
			p.mu.Unlock()
			return nil, e.err
		}
		e.busy = make(chan struct{})
		p.mu.Unlock()
		if err := p.open(ctx, e); err != nil {
			return nil, err
		}
		return e, nil
	}
}

// open opens the file of a busy entry, for one user. It is over with ctx; those
// who wait for it then try themselves.
func (p *Files) open(ctx context.Context, e *entry) error {
	err := p.slot(ctx)
	var f *file
	if err == nil {
		begun := time.Now()
		if f, err = open(ctx, e.path, p.kind, p.o, p.newLog(e), p.vfs, p.extra); err != nil {
			<-p.slots
		}
		if p.o.Opened != nil && ctx.Err() == nil {
			p.o.Opened(time.Since(begun), err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	close(e.busy)
	e.busy = nil
	switch {
	case err == nil:
		e.file, e.users, e.err = f, 1, nil
	case ctx.Err() != nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrNoFile): // which may be made any time
		delete(p.entries, e.path)
	default:
		e.err, e.since = err, p.o.Now()
	}
	return err
}

func (p *Files) newLog(e *entry) *logState {
	return newLogState(e.path, p.limits, func() {
		p.mu.Lock()
		p.due[e] = true
		p.mu.Unlock()
		p.wake()
	}, p.o.Log)
}

// slot waits for the place of a file.
func (p *Files) slot(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		if len(p.slots) > p.keep {
			p.wake()
		}
		return nil
	default:
	}
	p.mu.Lock()
	p.waiting++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
	}()
	p.wake()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-p.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release ends a use.
func (p *Files) release(e *entry) {
	p.mu.Lock()
	if e.users--; e.users == 0 {
		if e.drained != nil {
			close(e.drained)
			e.drained = nil
		} else {
			e.since = p.o.Now()
			e.spot = p.idle.PushBack(e)
		}
	}
	crowded := p.waiting > 0 || len(p.slots) > p.keep
	p.mu.Unlock()
	if crowded {
		p.wake()
	}
}

func (p *Files) unlist(e *entry) {
	if e.spot != nil {
		p.idle.Remove(e.spot)
		e.spot = nil
	}
}
