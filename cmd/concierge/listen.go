package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/events-concierge/concierge/cmd/internal/handover"
)

// listeners are what serve answers at.
type listeners struct {
	main net.Listener // the server itself: HTTPS if it has certificates, else HTTP
	http net.Listener // what redirects to HTTPS; nil: there is no such
}

// listen opens the listener at addr, and the one at httpAddr unless that is empty.
// They are plain TCP: TLS is spoken above them. What the process before this one, or
// systemd, has handed over is used.
func listen(ctx context.Context, over *handover.Listeners, addr, httpAddr string) (_ *listeners, err error) {
	l := &listeners{}
	if l.main, err = over.Listen("web", addr, func() (net.Listener, error) { return listenAt(ctx, "--addr", addr) }); err != nil {
		return nil, err
	}
	if httpAddr == "" {
		return l, nil
	}
	if l.http, err = over.Listen("redirect", httpAddr, func() (net.Listener, error) { return listenAt(ctx, "--http-addr", httpAddr) }); err != nil {
		return nil, errors.Join(err, l.main.Close())
	}
	return l, nil
}

func listenAt(ctx context.Context, flag, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("listen on %s: %w: ports below 1024 want the capability CAP_NET_BIND_SERVICE; else choose another with %s", addr, err, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// close closes what is still open.
func (l *listeners) close() {
	for _, one := range []net.Listener{l.main, l.http} {
		if one != nil {
			_ = one.Close() // the server may have closed it
		}
	}
}
