package evm_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// factory deploys whatever it is sent.
var factory = x402.Address(devnet.DeterministicFactory())

// wallet is a smart wallet that approves what its owner signed.
type smartWallet struct {
	owner   *account
	address x402.Address
	deploy  evm.Call
}

// smartWallet returns one with 100 units of USDC that is not deployed yet.
func (c *chain) smartWallet(tb testing.TB) smartWallet {
	tb.Helper()
	file, err := os.ReadFile("../devnet/contracts/build/OwnerWallet.bin")
	if err != nil {
		tb.Fatal(err)
	}
	code, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		tb.Fatal(err)
	}
	owner := c.account(tb)
	who := owner.Address()
	creation := slices.Concat(code, common.LeftPadBytes(who[:], 32))
	address := x402.Address(crypto.CreateAddress2(devnet.DeterministicFactory(), [32]byte{}, crypto.Keccak256(creation)))
	c.fund(tb, address, 100)
	return smartWallet{owner, address, evm.Call{To: factory, Data: slices.Concat(make([]byte, 32), creation), Gas: 1_000_000}}
}

// pays returns an authorization of the wallet's, and its own signature of it.
func (c *chain) pays(tb testing.TB, w smartWallet) (x402.Authorization, x402.Signature) {
	tb.Helper()
	a := c.authorize(w.owner, payee, 1)
	a.From = w.address
	sig, err := w.owner.SignHash(tb.Context(), usdcDomain(tb).Digest(a))
	if err != nil {
		tb.Fatal(err)
	}
	return a, sig
}

func wrap(tb testing.TB, sig x402.Signature, deploy evm.Call) x402.Signature {
	tb.Helper()
	wrapped, err := evm.Wrap(sig, deploy)
	if err != nil {
		tb.Fatal(err)
	}
	return wrapped
}

func TestSmartWallet(t *testing.T) {
	c := startChain(t, evm.Options{Factories: []x402.Address{factory}})
	closed := c.connect(t, evm.Options{})
	w := c.smartWallet(t)
	a, own := c.pays(t, w)
	wrapped, other := wrap(t, own, w.deploy), wrap(t, own, evm.Call{To: x402.Address(devnet.USDC()), Data: w.deploy.Data})
	digest := usdcDomain(t).Digest(a)
	ask := func(client *evm.Client, sig x402.Signature) error {
		err := client.Signed(t.Context(), w.address, digest, sig)
		if calls, settlement := client.Settlement(t.Context(), usdcDomain(t), a, sig); settlement == nil {
			settlement = client.Simulate(t.Context(), c.relay.Address(), calls...)
			if (settlement == nil) != (err == nil) {
				t.Errorf("signed: %v, would settle: %v", err, settlement)
			}
		} else if !errors.Is(settlement, evm.ErrSignature) || err == nil {
			t.Errorf("signed: %v, settlement: %v", err, settlement)
		}
		return err
	}
	for _, when := range []struct {
		name string
		// What is said of which signature.
		own, wrapped, other, closed error
	}{
		{"not deployed", evm.ErrSignature, nil, evm.ErrFactory, evm.ErrFactory},
		{"deployed", nil, nil, nil, nil},
	} {
		for _, test := range []struct {
			name   string
			client *evm.Client
			sig    x402.Signature
			want   error
		}{
			{"own", c.client, own, when.own},
			{"wrapped", c.client, wrapped, when.wrapped},
			{"through another factory", c.client, other, when.other},
			{"to a client without factories", closed, wrapped, when.closed},
			{"wrapped, of another's", c.client, wrap(t, append(x402.Signature{own[0] ^ 1}, own[1:]...), w.deploy), evm.ErrSignature},
		} {
			if err := ask(test.client, test.sig); !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", when.name, test.name, err, test.want)
			}
		}
		calls, err := c.client.Settlement(t.Context(), usdcDomain(t), a, wrapped)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := c.client.Bundle(calls...)
		if err != nil {
			t.Fatal(err)
		}
		receipt := c.send(t, c.relay, bundle.To, bundle.Data)
		o, err := c.client.Authorization(t.Context(), c.expected(a), 0)
		if err != nil || o.State != evm.Transferred || o.Transaction != receipt.TxHash {
			t.Errorf("%s: %+v, %v", when.name, o, err)
		}
		t.Logf("%s: %d calls, %d gas", when.name, len(calls), receipt.GasUsed)
		a, own = c.pays(t, w)
		wrapped, other, digest = wrap(t, own, w.deploy), wrap(t, own, evm.Call{To: x402.Address(devnet.USDC())}), usdcDomain(t).Digest(a)
	}
}

// Somebody else deploys the wallet after the calls were made up. A CREATE2 in
// its place uses up all gas, and the payment is made all the same.
func TestSmartWalletDeployedFirst(t *testing.T) {
	c := startChain(t, evm.Options{Factories: []x402.Address{factory}})
	w := c.smartWallet(t)
	a, sig := c.pays(t, w)
	calls, err := c.client.Settlement(t.Context(), usdcDomain(t), a, wrap(t, sig, w.deploy))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.send(t, c.relay, w.deploy.To, w.deploy.Data); r.Status != types.ReceiptStatusSuccessful {
		t.Fatal("not deployed")
	}
	if err := c.client.Simulate(t.Context(), c.relay.Address(), calls...); err != nil {
		t.Error(err)
	}
	bundle, err := c.client.Bundle(calls...)
	if err != nil {
		t.Fatal(err)
	}
	sender := evm.NewSender(c.client, c.relay, evm.SenderOptions{})
	hash, err := sender.Send(t.Context(), bundle)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.client.Await(t.Context(), hash, c.expected(a), 0); err != nil || o.State != evm.Transferred {
		t.Errorf("%+v, %v", o, err)
	}
}

// What a node can't say is not known; it is never "not signed".
func TestSignedNotKnown(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{Factories: []x402.Address{factory}})
	w := c.smartWallet(t)
	a, sig := c.pays(t, w)
	wrapped := wrap(t, sig, w.deploy)
	ask := func(ctx context.Context, sig x402.Signature) error {
		return client.Signed(ctx, w.address, usdcDomain(t).Digest(a), sig)
	}
	for name, answer := range map[string]fault{
		"nothing":         func(call) []byte { return nil },
		"a rate limit":    func(c call) []byte { return c.refuse(-32005, "daily request count exceeded", nil) },
		"an error":        func(c call) []byte { return c.refuse(-32603, "internal error", nil) },
		"503":             func(c call) []byte { return c.fail(503) },
		"not hexadecimal": func(c call) []byte { return c.result("yes") },
	} {
		n.on("eth_call", answer)
		for _, sig := range []x402.Signature{sig, wrapped} {
			if err := ask(t.Context(), sig); err == nil || errors.Is(err, evm.ErrSignature) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name, answer := range map[string]any{"no Multicall3": "0x", "half an answer": "0x" + strings.Repeat("0", 62) + "20", "ones": "0x" + strings.Repeat("ff", 320)} {
		n.on("eth_call", func(c call) []byte { return c.result(answer) })
		if err := ask(t.Context(), wrapped); err == nil || errors.Is(err, evm.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	n.heal()
	if err := ask(t.Context(), wrapped); err != nil {
		t.Errorf("the client does not recover: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := ask(gone, wrapped); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	n.on("eth_getCode", func(call) []byte { return nil })
	if _, err := client.Settlement(t.Context(), usdcDomain(t), a, wrapped); err == nil || errors.Is(err, evm.ErrSignature) {
		t.Errorf("settlement: %v", err)
	}
}

// The addresses are written with their checksums, so a slip would show.
func TestWalletFactories(t *testing.T) {
	all := evm.WalletFactories()
	for i, a := range all {
		if a.IsZero() || slices.Contains(all[:i], a) || a == factory {
			t.Errorf("%s", a)
		}
	}
}
