package evm_test

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// multicall has several calls of the token carried out in one transaction. With
// lax, calls may fail.
func (c *chain) multicall(t *testing.T, lax bool, calls ...[]byte) *types.Receipt {
	t.Helper()
	multi, err := abi.JSON(strings.NewReader(`[{"type":"function","name":"aggregate3","stateMutability":"payable","outputs":[],
		"inputs":[{"name":"calls","type":"tuple[]","components":[
			{"name":"target","type":"address"},{"name":"allowFailure","type":"bool"},{"name":"callData","type":"bytes"}]}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	type call3 struct {
		Target       common.Address
		AllowFailure bool
		CallData     []byte
	}
	var list []call3
	for _, data := range calls {
		list = append(list, call3{devnet.USDC(), lax, data})
	}
	data, err := multi.Pack("aggregate3", list)
	if err != nil {
		t.Fatal(err)
	}
	receipt := c.send(t, c.relay, x402.Address(devnet.Multicall3()), data)
	if receipt.Status != types.ReceiptStatusSuccessful {
		t.Fatal("the transaction failed")
	}
	return receipt
}

// A transaction may settle many payments of one payer at once. The right
// transfers are all in it, so a search for "a transfer of this amount to this
// payee" would find one also for the payment that was not made.
func TestSeveralPaymentsInOneTransaction(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer, since := c.funded(t, 1000), c.head(t)
	other := x402.Address{8}

	paid, dearer, alike := c.authorize(payer, payee, 10), c.authorize(payer, payee, 20), c.authorize(payer, payee, 10)
	elsewhere := c.authorize(payer, other, 10)     // its nonce pays somebody else …
	wanted := elsewhere                            // … than was agreed
	wanted.To = payee                              // while the others pay exactly that
	cancelled := c.authorize(payer, payee, 10)     // cancelled between two payments
	unaffordable := c.authorize(payer, payee, 1e6) // fails by itself
	zero := c.authorize(payer, payee, 0)

	receipt := c.multicall(t, true,
		c.call(t, payer, elsewhere), c.call(t, payer, paid), c.call(t, payer, unaffordable),
		c.cancelCall(t, payer, cancelled.Nonce), c.call(t, payer, dearer),
		c.call(t, payer, zero), c.call(t, payer, alike), c.call(t, payer, paid))

	for name, test := range map[string]struct {
		a    x402.Authorization
		want evm.State
	}{
		"paid":            {paid, evm.Transferred},
		"dearer":          {dearer, evm.Transferred},
		"the same again":  {alike, evm.Transferred},
		"of nothing":      {zero, evm.Transferred},
		"paid elsewhere":  {elsewhere, evm.Transferred},
		"wanted here":     {wanted, evm.Spent},
		"cancelled":       {cancelled, evm.Spent},
		"not enough left": {unaffordable, evm.Unused},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := c.client.Authorization(t.Context(), c.expected(test.a), since)
			if err != nil || asked.State != test.want {
				t.Errorf("Authorization: %+v, %v", asked, err)
			}
			awaited, err := c.client.Await(t.Context(), receipt.TxHash, c.expected(test.a), since)
			if err != nil || awaited.State != test.want {
				t.Errorf("Await: %+v, %v", awaited, err)
			}
			if test.want != evm.Unused && (asked.Transaction != receipt.TxHash || awaited.Transaction != receipt.TxHash) {
				t.Error("another transaction")
			}
		})
	}
}

// What is wrong in one payment must not be read from the logs of the next.
func TestPairsDoNotMix(t *testing.T) {
	c := startChain(t, evm.Options{})
	for name, test := range map[string]struct {
		made, asked func(x402.Authorization) x402.Authorization
		want        evm.State
	}{
		"first pays the second's amount": {
			made:  func(a x402.Authorization) x402.Authorization { a.Value = x402.NewUint256(20); return a },
			asked: func(a x402.Authorization) x402.Authorization { return a },
			want:  evm.Spent,
		},
		"as agreed": {
			made:  func(a x402.Authorization) x402.Authorization { return a },
			asked: func(a x402.Authorization) x402.Authorization { return a },
			want:  evm.Transferred,
		},
		"asked for the second's amount": {
			made:  func(a x402.Authorization) x402.Authorization { return a },
			asked: func(a x402.Authorization) x402.Authorization { a.Value = x402.NewUint256(20); return a },
			want:  evm.Spent,
		},
	} {
		t.Run(name, func(t *testing.T) {
			payer, since := c.funded(t, 1000), c.head(t)
			first, second := c.authorize(payer, payee, 10), c.authorize(payer, payee, 20)
			made := test.made(first)
			receipt := c.multicall(t, false, c.call(t, payer, made), c.call(t, payer, second))
			for _, ask := range []func() (evm.Outcome, error){
				func() (evm.Outcome, error) {
					return c.client.Authorization(t.Context(), c.expected(test.asked(first)), since)
				},
				func() (evm.Outcome, error) {
					return c.client.Await(t.Context(), receipt.TxHash, c.expected(test.asked(first)), since)
				},
			} {
				if o, err := ask(); err != nil || o.State != test.want || o.Transaction != receipt.TxHash {
					t.Errorf("%+v, %v", o, err)
				}
			}
		})
	}
}
