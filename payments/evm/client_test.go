package evm_test

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/params"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

func TestClientReads(t *testing.T) {
	c := startChain(t, evm.Options{})
	rich := c.funded(t, 2_500_000)
	nobody := c.account(t)

	if got := c.client.ChainID(); got != devnet.ChainID {
		t.Errorf("chain id %d", got)
	}
	for name, test := range map[string]struct {
		owner x402.Address
		usdc  uint64
		wei   *big.Int
	}{
		"rich":   {rich.Address(), 2_500_000, big.NewInt(params.Ether)},
		"nobody": {nobody.Address(), 0, new(big.Int)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := c.client.Balance(t.Context(), c.usdc, test.owner); err != nil || got != x402.NewUint256(test.usdc) {
				t.Errorf("balance %s, %v", got, err)
			}
			if got, err := c.client.GasBalance(t.Context(), test.owner); err != nil || got.Cmp(test.wei) != 0 {
				t.Errorf("gas balance %s, %v", got, err)
			}
		})
	}
}

func TestHead(t *testing.T) {
	c := startChain(t, evm.Options{})
	before, err := c.client.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.grow(t, 1)
	after, err := c.client.Head(t.Context())
	if err != nil || after.Number != before.Number+1 || after.Number != c.head(t) {
		t.Errorf("block %d after %d, %v", after.Number, before.Number, err)
	}
	// The chain started at now and takes a second for each block.
	if want := now.Unix() + int64(after.Number) - 1; after.Time.Unix() != want {
		t.Errorf("time %d, want %d", after.Time.Unix(), want)
	}
}

func TestDomainSeparator(t *testing.T) {
	c := startChain(t, evm.Options{})
	got, err := c.client.DomainSeparator(t.Context(), c.usdc)
	if err != nil || got != usdcDomain(t).Separator() {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAuthorizationUsed(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer := c.funded(t, 100)
	used, cancelled, fresh := c.authorize(payer, x402.Address{7}, 10), c.authorize(payer, x402.Address{7}, 10), c.authorize(payer, x402.Address{7}, 10)
	c.settle(t, payer, used)
	c.send(t, c.relay, c.usdc, c.cancelCall(t, payer, cancelled.Nonce))
	for name, test := range map[string]struct {
		payer x402.Address
		nonce x402.Bytes32
		want  bool
	}{
		"used":             {payer.Address(), used.Nonce, true},
		"cancelled":        {payer.Address(), cancelled.Nonce, true},
		"fresh":            {payer.Address(), fresh.Nonce, false},
		"of another payer": {c.relay.Address(), used.Nonce, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := c.client.AuthorizationUsed(t.Context(), c.usdc, test.payer, test.nonce); err != nil || got != test.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A payment made by another implementation must settle with the call data that
// this one makes of it.
func TestVectorsSettle(t *testing.T) {
	for name, p := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			c := startChain(t, evm.Options{})
			a := p.Payload.Authorization
			c.fund(t, a.From, 10_000)
			data, err := c.client.PackTransfer(a, p.Payload.Signature)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.client.Simulate(t.Context(), c.relay.Address(), evm.Call{To: c.usdc, Data: data}); err != nil {
				t.Fatal(err)
			}
			c.send(t, c.relay, c.usdc, data)
			if got, err := c.client.Balance(t.Context(), c.usdc, a.To); err != nil || got != a.Value {
				t.Errorf("the payee has %s, %v", got, err)
			}
			if o, err := c.client.Authorization(t.Context(), c.expected(a), 0); err != nil || o.State != evm.Transferred {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// readers are the questions that a client can ask about a token.
func readers(c *evm.Client, token x402.Address) map[string]func(context.Context) error {
	who := x402.Address{1}
	return map[string]func(context.Context) error{
		"Balance": func(ctx context.Context) error { _, err := c.Balance(ctx, token, who); return err },
		"AuthorizationUsed": func(ctx context.Context) error {
			_, err := c.AuthorizationUsed(ctx, token, who, x402.Bytes32{})
			return err
		},
		"DomainSeparator": func(ctx context.Context) error { _, err := c.DomainSeparator(ctx, token); return err },
		"Authorization": func(ctx context.Context) error {
			_, err := c.Authorization(ctx, evm.Transfer{Token: token, From: who}, 0)
			return err
		},
	}
}

func TestNoContractThere(t *testing.T) {
	c := startChain(t, evm.Options{})
	for name, ask := range readers(c.client, x402.Address{0xbb}) {
		t.Run(name, func(t *testing.T) {
			if err := ask(t.Context()); err == nil || !strings.Contains(err.Error(), "no token contract") {
				t.Error(err)
			}
		})
	}
	// Multicall3 is a contract, but no token.
	for name, ask := range readers(c.client, x402.Address(devnet.Multicall3())) {
		t.Run(name+" of another contract", func(t *testing.T) {
			if err := ask(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestNodeFails(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	asks := readers(client, c.usdc)
	asks["Head"] = func(ctx context.Context) error { _, err := client.Head(ctx); return err }
	asks["GasBalance"] = func(ctx context.Context) error { _, err := client.GasBalance(ctx, x402.Address{1}); return err }
	asks["Simulate"] = func(ctx context.Context) error {
		return client.Simulate(ctx, x402.Address{1}, evm.Call{To: c.usdc, Data: []byte{1, 2, 3, 4}})
	}
	for name, ask := range asks {
		t.Run(name+", cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := ask(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for _, method := range []string{"eth_call", "eth_getBlockByNumber", "eth_getBalance", "eth_getTransactionReceipt"} {
		n.on(method, func(call) []byte { return nil })
	}
	for name, ask := range asks {
		t.Run(name+", no answer", func(t *testing.T) {
			if err := ask(t.Context()); err == nil || errors.Is(err, evm.ErrReverted) {
				t.Error(err)
			}
		})
	}
	n.heal()
	if _, err := client.Head(t.Context()); err != nil {
		t.Errorf("the client does not recover: %v", err)
	}
}
