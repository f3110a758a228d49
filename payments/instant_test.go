package payments_test

import (
	"context"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// instant is a network that takes no time: what is left is the Cashier's own,
// and that of its books.
type instant struct{}

func (instant) Verify(context.Context, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
	return x402.VerifyResponse{IsValid: true}, nil
}

func (instant) Settle(context.Context, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{Success: true, Transaction: x402.Bytes32{1}.String()}, nil
}

func (instant) Final(context.Context) (evm.Head, error) { panic("no books were restored") }

func (instant) BlockAt(context.Context, time.Time) (uint64, error) { panic("no books were restored") }

func (instant) Movements(context.Context, x402.Address, x402.Address, uint64, uint64) ([]evm.Movement, error) {
	panic("no books were restored")
}

func (instant) Head(context.Context) (evm.Head, error) { return evm.Head{Number: 1}, nil }

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
