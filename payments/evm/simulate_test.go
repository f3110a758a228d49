package evm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// The token's own words: payments turns them into reasons for the payer.
func TestSimulate(t *testing.T) {
	c := startChain(t, evm.Options{})
	payer := c.funded(t, 100)
	spent := c.authorize(payer, payee, 1)
	c.settle(t, payer, spent)
	unix := uint64(now.Unix())

	for name, test := range map[string]struct {
		change func(*x402.Authorization)
		sign   func(x402.Signature) x402.Signature
		want   string // "" for a transfer that would work
	}{
		"good":          {},
		"all there is":  {change: func(a *x402.Authorization) { a.Value = x402.NewUint256(99) }},
		"too much":      {change: func(a *x402.Authorization) { a.Value = x402.NewUint256(100) }, want: "ERC20: transfer amount exceeds balance"},
		"used":          {change: func(a *x402.Authorization) { *a = spent }, want: "FiatTokenV2: authorization is used or canceled"},
		"not yet valid": {change: func(a *x402.Authorization) { a.ValidAfter = x402.NewUint256(unix + 1000) }, want: "FiatTokenV2: authorization is not yet valid"},
		"expired":       {change: func(a *x402.Authorization) { a.ValidBefore = x402.NewUint256(unix) }, want: "FiatTokenV2: authorization is expired"},
		"another payer": {change: func(a *x402.Authorization) { a.From = c.relay.Address() }, want: "FiatTokenV2: invalid signature"},
		"to nobody":     {change: func(a *x402.Authorization) { a.To = x402.Address{} }, want: "ERC20: transfer to the zero address"},
		"high s":        {sign: highS, want: "ECRecover: invalid signature 's' value"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.authorize(payer, payee, 1)
			if test.change != nil {
				test.change(&a)
			}
			sig, err := payer.SignHash(t.Context(), usdcDomain(t).Digest(a))
			if err != nil {
				t.Fatal(err)
			}
			if test.sign != nil {
				sig = test.sign(sig)
			}
			data, err := c.client.PackTransfer(a, sig)
			if err != nil {
				t.Fatal(err)
			}
			err = c.client.Simulate(t.Context(), c.relay.Address(), evm.Call{To: c.usdc, Data: data})
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, evm.ErrReverted) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if got, err := c.client.Balance(t.Context(), c.usdc, payee); err != nil || got != x402.NewUint256(1) {
		t.Errorf("simulating moved money: the payee has %s, %v", got, err)
	}
}

func TestSimulateWithoutReason(t *testing.T) {
	c := startChain(t, evm.Options{})
	// No method of the token: it has no fallback, and reverts with nothing.
	err := c.client.Simulate(t.Context(), c.relay.Address(), evm.Call{To: c.usdc, Data: []byte{1, 2, 3, 4}})
	if !errors.Is(err, evm.ErrReverted) || !strings.Contains(err.Error(), "without a reason") {
		t.Error(err)
	}
}

// Whether a refusal is the contract's or the node's decides whether a payer is
// told that the payment is bad, or that payments are unavailable.
func TestRevertOrNot(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	// Error(string) with "no", as Solidity encodes it.
	reason := "0x08c379a0" + strings.Repeat("0", 62) + "20" + strings.Repeat("0", 62) + "02" + "6e6f" + strings.Repeat("0", 60)
	long := "0x08c379a0" + strings.Repeat("0", 62) + "20" + strings.Repeat("0", 60) + "4000" + strings.Repeat("61", 0x4000)
	for name, test := range map[string]struct {
		code    int
		message string
		data    any
		want    string // "" if it is no revert
	}{
		"geth":                      {3, "execution reverted: no", reason, "reverted: no"},
		"hardhat":                   {-32603, "VM Exception while processing transaction: reverted with reason string 'no'", reason, "reverted: no"},
		"no data":                   {3, "execution reverted", nil, "reverted without a reason"},
		"no data, another code":     {-32000, "execution reverted", nil, "reverted without a reason"},
		"empty data":                {3, "execution reverted", "0x", "reverted without a reason"},
		"custom error":              {3, "execution reverted", "0xdeadbeef", "reverted without a reason"},
		"assertion failed":          {3, "execution reverted", "0x4e487b71" + strings.Repeat("0", 62) + "11", "reverted: arithmetic underflow or overflow"},
		"damaged reason":            {3, "execution reverted", reason[:80], "reverted without a reason"},
		"data is an object":         {3, "execution reverted", map[string]any{"data": reason}, "reverted without a reason"},
		"very long reason":          {3, "execution reverted", long, strings.Repeat("a", 200)},
		"out of gas":                {-32000, "out of gas", nil, "reverted without a reason"},
		"anvil, out of gas":         {-32003, "EVM error OutOfGas", nil, "reverted without a reason"},
		"an opcode that is none":    {-32000, "invalid opcode: INVALID", nil, "reverted without a reason"},
		"rate limit":                {-32005, "daily request count exceeded", nil, ""},
		"rate limit with text data": {-32005, "daily request count exceeded", "see https://provider.invalid/limits", ""},
		"rate limit with object":    {-32005, "limit", map[string]any{"rate": 1}, ""},
		"internal error":            {-32603, "internal error", nil, ""},
		"node is behind":            {-32000, "header not found", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n.on("eth_call", func(c call) []byte { return c.refuse(test.code, test.message, test.data) })
			err := client.Simulate(t.Context(), c.relay.Address(), evm.Call{To: c.usdc})
			if got := errors.Is(err, evm.ErrReverted); err == nil || got != (test.want != "") {
				t.Fatalf("%v: a revert: %v", err, got)
			}
			if !strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 {
				t.Errorf("%q, want %q", err, test.want)
			}
		})
	}
}

// A node may answer a call with any bytes.
func TestUnreadableAnswers(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	for name, answer := range map[string]any{
		"nothing":     "0x",
		"31 bytes":    "0x" + strings.Repeat("01", 31),
		"not hex":     "hello",
		"no string":   42,
		"a large one": "0x" + strings.Repeat("ff", 32),
	} {
		n.on("eth_call", func(c call) []byte { return c.result(answer) })
		for question, ask := range readers(n.dial(t, evm.Options{}), c.usdc) {
			if name == "a large one" && (question == "Balance" || question == "DomainSeparator") {
				continue // fine for these
			}
			if err := ask(t.Context()); err == nil {
				t.Errorf("%s: %s: no error", name, question)
			}
		}
	}
	n.on("eth_call", func(c call) []byte { return c.result("0x" + strings.Repeat("ff", 32)) })
	got, err := n.dial(t, evm.Options{}).Balance(t.Context(), c.usdc, x402.Address{1})
	if all := got.Bytes32(); err != nil || !bytes.Equal(all[:], bytes.Repeat([]byte{0xff}, 32)) {
		t.Errorf("the largest balance: %s, %v", got, err)
	}
}
