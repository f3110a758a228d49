package evm

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
)

func (c Call) same(as Call) bool { return c.To == as.To && bytes.Equal(c.Data, as.Data) }

// Bundle returns the one call that makes all these, one after the other: the
// only one itself, or Multicall3's aggregate3, of which any may fail.
func (c *Client) Bundle(calls ...Call) (Call, error) {
	if len(calls) == 1 {
		return calls[0], nil
	}
	list, bundle := make([]call3, len(calls)), Call{To: multicall3, Gas: overhead(len(calls)), Fixed: true}
	for i, call := range calls {
		list[i] = call3{common.Address(call.To), true, call.Data}
		bundle.Gas += call.Gas
	}
	var err error
	bundle.Data, err = c.multicall.Pack("aggregate3", list)
	return bundle, err
}

// Simulate makes calls in the newest block without a transaction, with their
// gas and no more, and tells whether the last of them works, here or already
// where it is the same as an earlier one. Errors: [ErrReverted] with the
// contract's reason. A call to an address without a contract works, as it would
// in a transaction.
func (c *Client) Simulate(ctx context.Context, from x402.Address, calls ...Call) error {
	results, err := c.try(ctx, from, calls...)
	if err != nil {
		return err
	}
	last := len(calls) - 1
	for i, call := range calls {
		if call.same(calls[last]) && results[i].Success {
			return nil
		}
	}
	return reverted(results[last].ReturnData)
}

// try simulates calls and returns what each of them came to. Errors:
// [ErrReverted] if there was no gas left to tell; any other means that it is not
// known.
func (c *Client) try(ctx context.Context, from x402.Address, calls ...Call) ([]result3, error) {
	bundle, err := c.Bundle(calls...)
	if err != nil {
		return nil, err
	}
	out, err := c.eth.CallContract(ctx, ethereum.CallMsg{
		From: common.Address(from), To: (*common.Address)(&bundle.To), Data: bundle.Data, Gas: bundle.Gas}, nil)
	if err != nil {
		return nil, revert(err)
	}
	if len(calls) == 1 {
		return []result3{{true, out}}, nil
	}
	var results []result3
	if err := c.multicall.UnpackIntoInterface(&results, "aggregate3", out); err != nil || len(results) != len(calls) {
		return nil, fmt.Errorf("no Multicall3 at %s", multicall3)
	}
	return results, nil
}

// reverted returns ErrReverted with the reason that is in what a contract
// returned.
func reverted(data []byte) error {
	if reason, err := abi.UnpackRevert(data); err == nil {
		return fmt.Errorf("%w: %.200s", ErrReverted, reason)
	}
	return fmt.Errorf("%w without a reason", ErrReverted)
}

// halted recognizes the words in which nodes say that a call ended with an
// error of the contract's own, which is the same to its caller as if it had
// reverted.
func halted(message string) bool {
	message = strings.ToLower(message)
	for _, words := range []string{"revert", "out of gas", "outofgas", "invalid opcode", "invalid jump", "stack "} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}
