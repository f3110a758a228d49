package evm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

var payee = x402.Address{7}

func TestAuthorization(t *testing.T) {
	c := startChain(t, evm.Options{})
	for name, test := range map[string]struct {
		// use does something to the authorization and returns the transaction
		// that ended it, if any.
		use  func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt
		want evm.State
	}{
		"unused": {
			func(*testing.T, *account, x402.Authorization) *types.Receipt { return nil },
			evm.Unused,
		},
		"used as expected": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt { return c.settle(t, payer, a) },
			evm.Transferred,
		},
		"broadcast by somebody else": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				return c.send(t, c.funded(t, 0), c.usdc, c.call(t, payer, a))
			},
			evm.Transferred,
		},
		"broadcast by the payer, with the signature in one piece": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				sig, err := payer.SignHash(t.Context(), usdcDomain(t).Digest(a))
				if err != nil {
					t.Fatal(err)
				}
				return c.send(t, payer, c.usdc, c.token.PackTransferWithAuthorization(common.Address(a.From), common.Address(a.To),
					a.Value.ToBig(), a.ValidAfter.ToBig(), a.ValidBefore.ToBig(), a.Nonce, sig))
			},
			evm.Transferred,
		},
		"nonce used to pay somebody else": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				a.To = x402.Address{8}
				return c.settle(t, payer, a)
			},
			evm.Spent,
		},
		"nonce used to pay less": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				a.Value = x402.NewUint256(9)
				return c.settle(t, payer, a)
			},
			evm.Spent,
		},
		"nonce used to pay more": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				a.Value = x402.NewUint256(11)
				return c.settle(t, payer, a)
			},
			evm.Spent,
		},
		"cancelled": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				return c.send(t, c.relay, c.usdc, c.cancelCall(t, payer, a.Nonce))
			},
			evm.Spent,
		},
		"the same money moved another way": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				c.send(t, payer, c.usdc, c.token.PackTransfer(common.Address(a.To), a.Value.ToBig()))
				return nil
			},
			evm.Unused,
		},
		"another authorization of the payer used": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				a.Nonce[0]++
				c.settle(t, payer, a)
				return nil
			},
			evm.Unused,
		},
		"the same nonce of another payer used": {
			func(t *testing.T, _ *account, a x402.Authorization) *types.Receipt {
				other := c.funded(t, 10)
				a.From = other.Address()
				c.settle(t, other, a)
				return nil
			},
			evm.Unused,
		},
		"tried without money": {
			func(t *testing.T, payer *account, a x402.Authorization) *types.Receipt {
				c.send(t, payer, c.usdc, c.token.PackTransfer(common.Address{9}, common.Big1))
				a.Value = x402.NewUint256(100)
				if r := c.send(t, c.relay, c.usdc, c.call(t, payer, a)); r.Status != types.ReceiptStatusFailed {
					t.Error("it did not fail")
				}
				return nil
			},
			evm.Unused,
		},
	} {
		t.Run(name, func(t *testing.T) {
			payer, since := c.funded(t, 100), c.head(t)
			a := c.authorize(payer, payee, 10)
			receipt := test.use(t, payer, a)
			if receipt != nil && receipt.Status != types.ReceiptStatusSuccessful {
				t.Fatal("the transaction failed")
			}
			got, err := c.client.Authorization(t.Context(), c.expected(a), since)
			if err != nil {
				t.Fatal(err)
			}
			want := evm.Outcome{State: test.want, Head: got.Head}
			if receipt != nil {
				want.Transaction, want.Block, want.Confirmed = receipt.TxHash, receipt.BlockNumber.Uint64(), true
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if got.Head.Number != c.head(t) || got.Head.Time.Before(now) {
				t.Errorf("given at %+v", got.Head)
			}
		})
	}
}

// Who looks from a block on that is after the use must not be told that the
// authorization is unused, and then sell its seats to somebody else.
func TestAuthorizationUsedBeforeSince(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer := c.funded(t, 100)
	a := c.authorize(payer, payee, 10)
	used := c.settle(t, payer, a).BlockNumber.Uint64()
	c.grow(t, 2)
	for name, test := range map[string]struct {
		since uint64
		found bool
	}{
		"the first block":  {0, true},
		"the block before": {used - 1, true},
		"the block itself": {used, true},
		"the block after":  {used + 1, false},
		"the head":         {used + 2, false},
		"after the head":   {used + 100, false},
		"far off":          {1<<64 - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := c.client.Authorization(t.Context(), c.expected(a), test.since)
			if test.found && (err != nil || o.State != evm.Transferred) {
				t.Errorf("%+v, %v", o, err)
			}
			if !test.found && (err == nil || !strings.Contains(err.Error(), "no log of it")) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// Public nodes answer for a limited number of blocks at a time.
func TestAuthorizationLooksThroughManyBlocks(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer := c.funded(t, 100)
	first := c.head(t)
	var uses []x402.Authorization // one in each block
	for range 7 {
		a := c.authorize(payer, payee, 1)
		c.settle(t, payer, a)
		uses = append(uses, a)
	}
	n := serve(t, c)
	for _, blocks := range []uint64{1, 2, 3, 6, 7, 8, 1000} {
		client := n.dial(t, evm.Options{})
		client.SetLogRange(blocks)
		n.on("eth_getLogs", func(c call) []byte {
			var q struct{ FromBlock, ToBlock string }
			if err := json.Unmarshal(c.Params[0], &q); err != nil {
				t.Error(err)
			}
			from, to := number(t, q.FromBlock), number(t, q.ToBlock)
			if from < first || to < from || to-from >= blocks {
				t.Errorf("%d at a time: asked for %d to %d", blocks, from, to)
			}
			return c.forward()
		})
		for i, a := range uses {
			o, err := client.Authorization(t.Context(), c.expected(a), first)
			if err != nil || o.State != evm.Transferred {
				t.Errorf("%d at a time, use %d: %+v, %v", blocks, i, o, err)
			}
		}
	}
}

// Confirmed needs as many blocks as the client was told to want, whatever
// became of the authorization.
func TestConfirmations(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer := c.funded(t, 100)
	since := c.head(t)
	paid, cancelled := c.authorize(payer, payee, 10), c.authorize(payer, payee, 10)
	blocks := map[string]uint64{
		"paid":      c.settle(t, payer, paid).BlockNumber.Uint64(),
		"cancelled": c.send(t, c.relay, c.usdc, c.cancelCall(t, payer, cancelled.Nonce)).BlockNumber.Uint64(),
	}
	for range 5 {
		head := c.head(t)
		for name, a := range map[string]x402.Authorization{"paid": paid, "cancelled": cancelled} {
			for _, confirmations := range []uint64{0, 1, 2, 3, 5, 100} {
				client := c.connect(t, evm.Options{Confirmations: confirmations})
				o, err := client.Authorization(t.Context(), c.expected(a), since)
				if err != nil {
					t.Fatal(err)
				}
				if depth := head - blocks[name] + 1; o.Confirmed != (depth >= confirmations) {
					t.Errorf("%s: %d of %d blocks: confirmed: %v", name, depth, confirmations, o.Confirmed)
				}
			}
		}
		c.grow(t, 1)
	}
}
