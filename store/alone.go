package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// Alone runs f while nobody in this process uses the file at path, and it is not
// open: for f to replace it, or to remove it. Other processes are not kept out.
// Hosts of the file go on to work afterwards.
func (p *Files) Alone(ctx context.Context, path string, f func() error) error {
	e, err := p.reserve(ctx, path)
	if err != nil {
		return err
	}
	defer p.drop(e)
	if err := p.shut(e); err != nil {
		return err
	}
	return f()
}

// Close refuses calls, and those that wait, waits for those under way, and
// closes all files. Closing again does nothing.
func (p *Files) Close() error {
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		paths := slices.Collect(maps.Keys(p.entries))
		for _, e := range p.entries {
			if e.busy == nil && e.file != nil {
				e.file.refuse()
			}
		}
		p.mu.Unlock()
		p.tender.stop()
		p.closeErr = p.shutAll(paths)
	})
	return p.closeErr
}

func (p *Files) shutAll(paths []string) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	places := make(chan struct{}, workers)
	for _, path := range paths {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			e, err := p.reserve(context.Background(), path)
			if err == nil {
				err = p.shut(e)
				p.drop(e)
			}
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// reserve returns an entry that is busy and that nobody uses.
func (p *Files) reserve(ctx context.Context, path string) (*entry, error) {
	for {
		p.mu.Lock()
		e := p.entries[path]
		if e == nil {
			e = &entry{path: path}
			p.entries[path] = e
		}
		if e.busy == nil {
			drained := p.seize(e)
			p.mu.Unlock()
			select {
			case <-drained:
				return e, nil
			case <-ctx.Done():
				p.restore(e)
				return nil, ctx.Err()
			}
		}
		busy := e.busy
		p.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// seize makes an entry busy, and returns what is closed when it has no users
// any more. It is called with mu locked.
func (p *Files) seize(e *entry) <-chan struct{} {
	p.unlist(e)
	e.busy = make(chan struct{})
	drained := make(chan struct{})
	if e.users == 0 {
		close(drained)
	} else {
		e.drained = drained
	}
	return drained
}

// restore undoes seize.
func (p *Files) restore(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(e.busy)
	e.busy, e.drained = nil, nil
	switch {
	case e.file == nil:
		delete(p.entries, e.path)
	case e.users == 0:
		e.spot = p.idle.PushBack(e)
	}
}

// shut closes the file of an entry that is busy and that nobody uses, if it has
// one.
func (p *Files) shut(e *entry) error {
	if e.file == nil {
		return nil
	}
	e.file.refuse()
	err := e.file.close(context.Background())
	e.file = nil
	<-p.slots
	return err
}

// drop forgets an entry that is busy; who waited for it begins anew.
func (p *Files) drop(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.entries, e.path)
	delete(p.due, e)
	close(e.busy)
}
