package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// HandedOver is the cause with which the context of [Server.Serve] ends if another
// process accepts connections at the same address by now. The server takes more time
// for those that it still has, until Hurry is closed.
type HandedOver struct{ Hurry <-chan struct{} }

// Error implements error.
func (HandedOver) Error() string { return "another process serves now" }

// Serve answers on l until ctx ends, then lets calls in flight finish, at most
// for grace; see [HandedOver].
//
// A client may send its next call over a connection at the moment at which it is
// closed, and can't know whether the call was received: so none is closed that may be
// about to be used. Every answer says that it is the last one of its connection, and
// only those that stay unused for a while are closed without.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	conns := s.open
	web := &http.Server{
		Handler: s, ReadHeaderTimeout: s.patience.header, ReadTimeout: s.patience.read, WriteTimeout: s.patience.write,
		IdleTimeout: s.patience.idle, MaxHeaderBytes: maxHeader, ConnState: conns.follow,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		s.endListening()
		now, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(err, s.closeAgent(now))
	case <-ctx.Done():
	}
	s.leaving.Store(true)
	err := l.Close() // first: whoever is told to come again must not come here
	if served := <-failed; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	s.endListening()
	s.streams.close()
	s.linger(ctx, conns)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	parted := make(chan error, 1)
	go func() { parted <- s.closeAgent(stopping) }() // the connections of which web does not know
	stopped := errors.Join(web.Shutdown(stopping), <-parted)
	if errors.Is(stopped, context.DeadlineExceeded) {
		stopped = errors.Join(fmt.Errorf("calls did not finish within %s", grace), web.Close())
	}
	return errors.Join(err, stopped)
}

// linger waits until no connection is left, as long as there is time for that.
func (s *Server) linger(ctx context.Context, conns *connections) {
	patience, hurry := s.patience.linger, (<-chan struct{})(nil)
	var over HandedOver
	if errors.As(context.Cause(ctx), &over) {
		patience, hurry = s.patience.handover, over.Hurry
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for conns.count() > 0 {
		select {
		case <-end.C:
			return
		case <-hurry:
			return
		case <-look.C:
		}
	}
}

// AwaitReady returns when /readyz says that the server is ready, or when ctx ends
// with what it says instead.
func (s *Server) AwaitReady(ctx context.Context) error {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		w, err := s.asked(ctx, "/readyz")
		if err != nil || w.status == http.StatusOK {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("/readyz still answers %d: %s", w.status, w.body.String())
		case <-again.C:
		}
	}
}

// Alive returns nil if /healthz says that the server is, asked as from this machine.
func (s *Server) Alive(ctx context.Context) error {
	w, err := s.asked(ctx, "/healthz")
	if err == nil && w.status != http.StatusOK {
		err = fmt.Errorf("/healthz answers %d: %s", w.status, w.body.String())
	}
	return err
}

// asked answers a request of this process.
func (s *Server) asked(ctx context.Context, path string) (*inside, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "127.0.0.1:0"
	w := &inside{header: http.Header{}}
	s.ServeHTTP(w, r)
	return w, nil
}
