package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/admin"
)

// adminFlags are about what the operator is shown of a running server.
type adminFlags struct {
	clients bool

	records *admin.Log
	// handedOver says that the server before this one hands its listeners over, and
	// with them the admin socket.
	handedOver bool
}

func (a *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.clients, "log-clients", true, "log the address of each client: an IPv4 address, or the /64 of an IPv6 one")
}

// keep has what is logged kept for 'concierge tail'.
func (a *adminFlags) keep(log *slog.Logger) *slog.Logger {
	a.records = admin.NewLog()
	return slog.New(a.records.Handler(log.Handler()))
}

// open serves the admin socket until it is closed. It is a convenience: a server
// that can't have it goes on without, and says so.
func (a *adminFlags) open(ctx context.Context, o *serveOptions, at net.Listener, log *slog.Logger) (closeAdmin func() error, err error) {
	l, err := admin.Listen(ctx, o.hosts.data, a.handedOver)
	if err != nil {
		log.Warn("no admin socket: 'concierge tail' can't follow this server", "err", err)
		return func() error { return nil }, nil
	}
	s := admin.NewServer(a.records, admin.Status{Version: versionName(), Started: time.Now().UTC(), Addr: at.Addr().String(), Network: o.network.name})
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return func() error {
		stop()
		return errors.Join(<-done)
	}, nil
}
