package tools

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

// maxWatched is how many resources one client may have watched at a time.
const maxWatched = 100

var errTooManyWatched = fmt.Errorf("more than %d resources in one subscription", maxWatched)

// Watch remembers what a client could read of resources, and tells which of them
// have become other than that. It knows nothing of what changed them: it is asked to
// look when something may have, and does so at the caller's side of the cache.
type Watch struct {
	call *Call

	mu   sync.Mutex
	seen map[string]sum // by URI
	list *sum           // nil: it is not asked for
}

type sum [sha256.Size]byte

// NewWatch returns a watch of nothing yet.
func (c *Call) NewWatch() *Watch { return &Watch{call: c, seen: map[string]sum{}} }

// Add has a resource watched from now on. Errors are those of [Call.ReadResource],
// and that there are too many.
func (w *Watch) Add(ctx context.Context, uri string) error {
	s, err := w.read(ctx, uri)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.seen[uri]; !there && len(w.seen) == maxWatched {
		return errTooManyWatched
	}
	w.seen[uri] = s
	return nil
}

// AddList has the list of resources watched from now on.
func (w *Watch) AddList(ctx context.Context) error {
	s, err := w.readList(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = &s
	return nil
}

// Remove ends what Add began.
func (w *Watch) Remove(uri string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.seen, uri)
}

// Look returns the URIs of the resources that are not what they were at the last
// look, and whether the list is not.
func (w *Watch) Look(ctx context.Context) (uris []string, list bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for uri, before := range w.seen {
		now, err := w.read(ctx, uri)
		switch {
		case errors.Is(err, errNoResource): // it is gone, as a restored file may not have it
			now = sum{}
		case err != nil:
			return uris, list, err
		}
		if now != before {
			w.seen[uri] = now
			uris = append(uris, uri)
		}
	}
	if w.list != nil {
		now, err := w.readList(ctx)
		if err != nil {
			return uris, list, err
		}
		list = now != *w.list
		*w.list = now
	}
	return uris, list, nil
}

func (w *Watch) read(ctx context.Context, uri string) (sum, error) {
	c, err := w.call.ReadResource(ctx, uri)
	return sha256.Sum256([]byte(c.Text)), err
}

// readList sums up the first page of the list: what is created, changed or over is
// most often on it, or else has the page's end move.
func (w *Watch) readList(ctx context.Context) (sum, error) {
	all, next, err := w.call.ListResources(ctx, "")
	return sha256.Sum256(fmt.Appendf(nil, "%q %s", all, next)), err
}
