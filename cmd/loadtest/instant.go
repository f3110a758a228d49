package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/cmd/internal/tune"
	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// instant is a facilitator and a chain that take no time, and agree to
// everything: what is left of a booking is the server's own work.
type instant struct{}

func (instant) Verify(context.Context, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
	return x402.VerifyResponse{IsValid: true}, nil
}

// Settle answers with a transaction that is named like the authorization, for
// no two payments have the same.
func (instant) Settle(_ context.Context, p x402.Payment, _ x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{Success: true, Transaction: p.Payload.Authorization.Nonce.String()}, nil
}

func (instant) Head(context.Context) (evm.Head, error) { return evm.Head{Number: 1}, nil }

// What follows is asked for books that were restored, and these were not.
var errNotRestored = errors.New("no books were restored")

func (instant) Final(context.Context) (evm.Head, error) { return evm.Head{}, errNotRestored }

func (instant) BlockAt(context.Context, time.Time) (uint64, error) { return 0, errNotRestored }

func (instant) Movements(context.Context, x402.Address, x402.Address, uint64, uint64) ([]evm.Movement, error) {
	return nil, errNotRestored
}

func (instant) Balance(context.Context, x402.Address, x402.Address) (x402.Uint256, error) {
	return x402.Uint256{}, nil
}

func (instant) Authorization(context.Context, evm.Transfer, uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Unused, Head: evm.Head{Number: 1}}, nil
}

func (instant) Await(_ context.Context, tx common.Hash, _ evm.Transfer, _ uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Transferred, Confirmed: true, Transaction: tx}, nil
}

func (instant) Signed(context.Context, x402.Address, common.Hash, x402.Signature) error {
	return evm.ErrSignature
}

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
	return payments.Config{Network: id, Asset: asset, Domain: domain, Facilitator: instant{}, Chain: instant{}}
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
