package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

const (
	maxStreams = 32 // of one user at a time; a browser has one for each window that is looked at
	// beatEvery is the pause between two signs of life, by which proxies keep a
	// connection open, and after which it is asked again whether the browser is
	// still signed in.
	beatEvery  = 15 * time.Second
	streamSlow = 10 * time.Second // a client that takes longer to read a line is gone
)

// streams are the pages that are told when their Host changes.
type streams struct {
	mu     sync.Mutex
	closed bool
	of     map[string]map[*stream]struct{} // by user
}

type stream struct {
	secret string // of the session that it belongs to
	end    context.CancelFunc
}

// begin counts a stream in, unless there are too many, or the server stops. It ends
// with the context; leave says that it has.
func (all *streams) begin(ctx context.Context, user, secret string) (_ context.Context, leave func(), ok bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed || len(all.of[user]) >= maxStreams {
		return ctx, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{secret: secret, end: cancel}
	if all.of == nil {
		all.of = map[string]map[*stream]struct{}{}
	}
	if all.of[user] == nil {
		all.of[user] = map[*stream]struct{}{}
	}
	all.of[user][s] = struct{}{}
	return ctx, func() {
		cancel()
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.of[user], s)
		if len(all.of[user]) == 0 {
			delete(all.of, user)
		}
	}, true
}

// end ends the streams of a session; of all the user's, if it is "".
func (all *streams) end(user, secret string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.of[user] {
		if secret == "" || s.secret == secret {
			s.end()
		}
	}
}

// close ends them all, and lets none begin.
func (all *streams) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for _, user := range all.of {
		for s := range user {
			s.end()
		}
	}
}

// updates tells a page when the Host of who is signed in has changed, as server-sent
// events; what it has changed to the page fetches itself.
func (s *Server) updates(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	c, err := s.owner(r)
	if err != nil {
		return err
	}
	if c == nil { // 204 has an EventSource give up (HTML, section 9.2.3)
		s.clearStale(w, r)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	found, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if s.leaving.Load() { // this connection ends with the answer: the next one reaches who goes on
		w.Header().Set("Content-Type", "text/event-stream")
		_, err := w.Write([]byte("retry: 1000\n\n"))
		return ignoreEnd(r.Context(), err)
	}
	ctx, leave, ok := s.streams.begin(r.Context(), found.user, found.secret)
	if !ok {
		return &problem{status: http.StatusTooManyRequests, code: string(tools.CodeOverLimit), retry: 30,
			detail: "Too many windows wait for updates. Close some."}
	}
	defer leave()
	changed, err := s.Hosts.Watch(ctx, found.user)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // else the server takes a silent client for one that has gone
	write := func(text string) error {
		_ = control.SetWriteDeadline(time.Now().Add(streamSlow))
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return control.Flush()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	if err := write("retry: 3000\n\n"); err != nil {
		return nil // it has gone
	}
	for {
		text := ": here\n\n"
		select {
		case <-ctx.Done():
			return nil
		case _, more := <-changed:
			if !more {
				return nil
			}
			text = "event: changed\ndata:\n\n"
		case <-beat.C:
		}
		if _, err := s.Hosts.Session(ctx, found.secret); err != nil { // signed out, also by another process
			return ignoreEnd(ctx, err)
		}
		if err := write(text); err != nil {
			return nil
		}
	}
}

// ignoreEnd keeps what ends a stream from being taken for a fault.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrNoSession) {
		return nil
	}
	return err
}
