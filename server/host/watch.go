package host

import (
	"context"
	"sync"
	"time"

	"github.com/events-concierge/concierge/store"
)

// watches are the Hosts whose files are watched, each by one goroutine however many
// listen.
type watches struct {
	mu      sync.Mutex
	of      map[string]*watch
	closed  bool
	running sync.WaitGroup
}

type watch struct {
	listeners map[chan struct{}]struct{}
	stop      context.CancelFunc
}

// Watch returns a channel that receives when a user's file was changed, by this
// process or another: within a second, once for many changes, and now and then for
// none. It is closed when ctx ends and when the Hosts are. Errors:
// [store.ErrUserNotFound].
func (h *Hosts) Watch(ctx context.Context, user string) (<-chan struct{}, error) {
	host, err := h.Host(ctx, user)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	ws := &h.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		close(changed)
		return changed, nil
	}
	w := ws.of[user]
	if w == nil {
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		w = &watch{listeners: map[chan struct{}]struct{}{}, stop: stop}
		if ws.of == nil {
			ws.of = map[string]*watch{}
		}
		ws.of[user] = w
		// Here, so that no change is missed from now on.
		stamp, settled := host.Store.Stamp()
		ws.running.Go(func() { h.look(watching, user, w, stamp, settled) })
	}
	w.listeners[changed] = struct{}{}
	context.AfterFunc(ctx, func() { ws.leave(user, w, changed) })
	return changed, nil
}

// look looks at a file until nobody wants to know any more.
func (h *Hosts) look(ctx context.Context, user string, w *watch, last store.Stamp, settled bool) {
	tick := time.NewTicker(h.WatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, sure := h.Files.Host(h.path(user)).Stamp()
		// What was changed a moment before may have been changed again under the same
		// stamp: that is told once more.
		if now != last || !settled {
			h.watches.tell(w)
		}
		settled = sure || now == last
		last = now
	}
}

func (ws *watches) tell(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for l := range w.listeners {
		select {
		case l <- struct{}{}:
		default: // it has not looked yet
		}
	}
}

func (ws *watches) leave(user string, w *watch, l chan struct{}) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, there := w.listeners[l]; !there {
		return
	}
	delete(w.listeners, l)
	close(l)
	if len(w.listeners) == 0 {
		w.stop()
		if ws.of[user] == w {
			delete(ws.of, user)
		}
	}
}

// close ends all watches, and waits for them.
func (ws *watches) close() {
	ws.mu.Lock()
	ws.closed = true
	for user, w := range ws.of {
		w.stop()
		for l := range w.listeners {
			close(l)
		}
		clear(w.listeners)
		delete(ws.of, user)
	}
	ws.mu.Unlock()
	ws.running.Wait()
}
