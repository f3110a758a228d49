package evm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

func TestAwait(t *testing.T) {
	c := startChain(t, evm.Options{})
	for name, test := range map[string]struct {
		// make returns the transaction to wait for, and the one that ended the
		// authorization.
		make func(t *testing.T, payer *account, a x402.Authorization) (wait, ended common.Hash)
		want evm.State
	}{
		"our transfer": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				tx := c.settle(t, payer, a).TxHash
				return tx, tx
			},
			evm.Transferred,
		},
		"reverted, and nobody else used it": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				a.Value = x402.NewUint256(11) // signed for 11, so the call with 10 has a bad signature
				sig, err := payer.SignHash(t.Context(), usdcDomain(t).Digest(a))
				if err != nil {
					t.Fatal(err)
				}
				a.Value = x402.NewUint256(10)
				data, err := c.client.PackTransfer(a, sig)
				if err != nil {
					t.Fatal(err)
				}
				return c.fail(t, data), common.Hash{}
			},
			evm.Unused,
		},
		"reverted, for somebody else was first": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				first := c.send(t, c.funded(t, 0), c.usdc, c.call(t, payer, a)).TxHash
				return c.fail(t, c.call(t, payer, a)), first
			},
			evm.Transferred,
		},
		"reverted, for the payer cancelled": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				first := c.send(t, c.relay, c.usdc, c.cancelCall(t, payer, a.Nonce)).TxHash
				return c.fail(t, c.call(t, payer, a)), first
			},
			evm.Spent,
		},
		"succeeded, without a log": {
			func(t *testing.T, payer *account, _ x402.Authorization) (common.Hash, common.Hash) {
				return c.send(t, payer, x402.Address{9}, nil).TxHash, common.Hash{}
			},
			evm.Unused,
		},
		"succeeded, with the transfer but not by the authorization": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				return c.send(t, payer, c.usdc, c.token.PackTransfer(common.Address(a.To), a.Value.ToBig())).TxHash, common.Hash{}
			},
			evm.Unused,
		},
		"succeeded, with another authorization of the same payment": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				a.Nonce[0]++
				return c.settle(t, payer, a).TxHash, common.Hash{}
			},
			evm.Unused,
		},
		"succeeded, but pays somebody else": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				a.To = x402.Address{8}
				tx := c.settle(t, payer, a).TxHash
				return tx, tx
			},
			evm.Spent,
		},
		"the wrong transaction, while another one paid": {
			func(t *testing.T, payer *account, a x402.Authorization) (common.Hash, common.Hash) {
				wrong := c.send(t, payer, x402.Address{9}, nil).TxHash
				return wrong, c.settle(t, payer, a).TxHash
			},
			evm.Transferred,
		},
	} {
		t.Run(name, func(t *testing.T) {
			payer, since := c.funded(t, 100), c.head(t)
			a := c.authorize(payer, payee, 10)
			wait, ended := test.make(t, payer, a)
			got, err := c.client.Await(t.Context(), wait, c.expected(a), since)
			want := evm.Outcome{State: test.want, Confirmed: test.want != evm.Unused, Transaction: ended, Block: c.blockOf(t, ended), Head: got.Head}
			if err != nil || got != want {
				t.Errorf("%+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// blockOf returns the block that a transaction is in; none is in block 0.
func (c *chain) blockOf(t *testing.T, tx common.Hash) uint64 {
	t.Helper()
	if tx == (common.Hash{}) {
		return 0
	}
	r, err := c.eth.TransactionReceipt(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return r.BlockNumber.Uint64()
}

// fail sends a call of the token that must fail on the chain.
func (c *chain) fail(t *testing.T, data []byte) common.Hash {
	t.Helper()
	r := c.send(t, c.relay, c.usdc, data)
	if r.Status != types.ReceiptStatusFailed {
		t.Fatal("the transaction did not fail")
	}
	return r.TxHash
}

// A contract can write any log it likes, but not as the token.
func TestLogsOfAnotherTokenDoNotCount(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	tx := c.settle(t, payer, a).TxHash
	expected := c.expected(a)
	expected.Token = x402.Address(devnet.Multicall3())
	n := serve(t, c)
	ctx := n.until(t, "eth_getTransactionReceipt", 5, call.forward)
	if o, err := n.dial(t, evm.Options{}).Await(ctx, tx, expected, since); err == nil {
		t.Errorf("%+v", o)
	}
}

func TestAwaitUnknownTransaction(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	payer := c.funded(t, 100)
	expected := c.expected(c.authorize(payer, payee, 10))
	for name, end := range map[string]func() (context.Context, func(), error){
		"cancelled": func() (context.Context, func(), error) {
			ctx, cancel := context.WithCancel(t.Context())
			return ctx, cancel, context.Canceled
		},
		"cancelled for a reason": func() (context.Context, func(), error) {
			ctx, cancel := context.WithCancelCause(t.Context())
			return ctx, func() { cancel(errors.New("reason")) }, context.Canceled
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop, want := end()
			n.on("eth_getTransactionReceipt", func(c call) []byte {
				if c.Nth == 5 { // it has looked again and again
					stop()
				}
				return c.forward()
			})
			if o, err := client.Await(ctx, common.Hash{1}, expected, 0); !errors.Is(err, want) || o != (evm.Outcome{}) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// With confirmations wanted, Await stays until there are that many blocks, and
// no longer.
func TestAwaitConfirmations(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	const confirmations = 4
	client := n.dial(t, evm.Options{Confirmations: confirmations})
	payer, since := c.funded(t, 100), c.head(t)
	for name, test := range map[string]struct {
		make func(a x402.Authorization) (wait common.Hash, ended *types.Receipt)
		want evm.State
	}{
		"our transfer": {
			func(a x402.Authorization) (common.Hash, *types.Receipt) {
				r := c.settle(t, payer, a)
				return r.TxHash, r
			},
			evm.Transferred,
		},
		"ours failed after a cancellation": {
			func(a x402.Authorization) (common.Hash, *types.Receipt) {
				r := c.send(t, c.relay, c.usdc, c.cancelCall(t, payer, a.Nonce))
				return c.fail(t, c.call(t, payer, a)), r
			},
			evm.Spent,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.authorize(payer, payee, 10)
			wait, ended := test.make(a)
			looks := 0
			n.on("eth_getTransactionReceipt", func(call call) []byte {
				if string(call.Params[0]) == `"`+wait.Hex()+`"` {
					if looks++; looks > 1 { // a block for each look but the first
						c.grow(t, 1)
					}
				}
				return call.forward()
			})
			o, err := client.Await(t.Context(), wait, c.expected(a), since)
			if err != nil || o.State != test.want || !o.Confirmed || o.Transaction != ended.TxHash {
				t.Fatalf("%+v, %v", o, err)
			}
			if depth := o.Head.Number - ended.BlockNumber.Uint64() + 1; depth != confirmations {
				t.Errorf("ended at %d blocks, want %d", depth, confirmations)
			}
		})
	}
}
