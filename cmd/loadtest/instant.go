package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/tune"
	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/instant"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// serveInstant serves the product on a data directory, paid on an instant chain.
func serveInstant(ctx context.Context, dir string) (err error) {
	if err := tune.Server(ctx); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	hosts, err := host.Open(ctx, host.Config{Dir: dir, Network: network, Log: log, Payments: payment()})
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, hosts.Close(last))
	}()
	id, asset, _ := usdc()
	return listen(ctx, server.New(server.Config{Hosts: hosts, Version: "loadtest", Log: log, Network: id, Asset: asset}))
}

// payment is the network's side of a Cashier.
func payment() payments.Config {
	id, asset, domain := usdc()
	return payments.Config{Network: id, Asset: asset, Domain: domain, Facilitator: instant.Network{}, Chain: instant.Network{}}
}

// usdc is the money of the network.
func usdc() (x402.Network, x402.Address, x402.Domain) {
	id := x402.EVM(84532)
	asset, domain, ok := x402.USDC(id)
	if !ok {
		panic("Base Sepolia has no USDC") // a constant of x402
	}
	return id, asset, domain
}
