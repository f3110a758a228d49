// Package instant is a network that takes no time, and agrees to everything: what is
// left of a booking is the server's own work, for benchmarks and tests to measure.
package instant

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Network is a facilitator and a chain, without state.
type Network struct{}

func (Network) Verify(context.Context, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
	return x402.VerifyResponse{IsValid: true}, nil
}

// Settle answers with a transaction that is named like the authorization, for no two
// payments have the same.
func (Network) Settle(_ context.Context, p x402.Payment, _ x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{Success: true, Transaction: p.Payload.Authorization.Nonce.String()}, nil
}

func (Network) Head(context.Context) (evm.Head, error) { return evm.Head{Number: 1}, nil }

// What follows is asked for books that were restored, and these were not.
var errNotRestored = errors.New("no books were restored")

func (Network) Final(context.Context) (evm.Head, error) { return evm.Head{}, errNotRestored }

func (Network) BlockAt(context.Context, time.Time) (uint64, error) { return 0, errNotRestored }

func (Network) Movements(context.Context, x402.Address, x402.Address, uint64, uint64) ([]evm.Movement, error) {
	return nil, errNotRestored
}

func (Network) Balance(context.Context, x402.Address, x402.Address) (x402.Uint256, error) {
	return x402.Uint256{}, nil
}

func (Network) Authorization(context.Context, evm.Transfer, uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Unused, Head: evm.Head{Number: 1}}, nil
}

func (Network) Await(_ context.Context, tx common.Hash, _ evm.Transfer, _ uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Transferred, Confirmed: true, Transaction: tx}, nil
}

func (Network) Signed(context.Context, x402.Address, common.Hash, x402.Signature) error {
	return evm.ErrSignature
}
