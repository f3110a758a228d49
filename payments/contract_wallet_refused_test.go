package payments_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Signatures that no wallet approves are refused before anything is claimed.
func TestContractWalletRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 3)
	owned, fresh, broken := testnet.owned(t, price).deployed(t), testnet.owned(t, price), testnet.owned(t, price).deployed(t)
	broken.setBroken(t, true)
	stranger := testnet.guest(t, price)
	ordinary := contractWallet{owner: stranger, address: stranger.Address(), deploy: fresh.deploy} // with another's deployment
	reverting := testnet.contractWallet(t, price, []byte{0x5f, 0x5f, 0xfd}, testnet.guest(t, 0))
	endless := testnet.contractWallet(t, price, []byte{0x5b, 0x60, 0x00, 0x56}, testnet.guest(t, 0))
	type signing = func(x402.Signature) x402.Signature
	as := func(sig string) signing { return func(x402.Signature) x402.Signature { return x402.Signature(sig) } }
	through := func(deploy evm.Call) signing {
		return func(s x402.Signature) x402.Signature { return wrap(t, s, deploy) }
	}
	factory := func(at common.Address) signing {
		return through(evm.Call{To: x402.Address(at), Data: fresh.deploy.Data})
	}
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	for name, c := range map[string]struct {
		wallet contractWallet
		sign   signing
		reason x402.Reason
	}{
		"another's signature": {owned, func(x402.Signature) x402.Signature {
			return sign(t, stranger, p.Quote(w.order(t, "ada", "opera", stranger)).Accepts[0], x402.Authorization{From: owned.address})
		}, x402.ReasonSignature},
		"a bit turned":              {owned, func(s x402.Signature) x402.Signature { s[3] ^= 1; return s }, x402.ReasonSignature},
		"a few bytes":               {owned, as("a few bytes"), x402.ReasonSignature},
		"200 bytes":                 {owned, as(string(make([]byte, 200))), x402.ReasonSignature},
		"a broken wallet":           {broken, asItIs, x402.ReasonSignature},
		"a wallet that burns gas":   {testnet.coded(t, price, forever).deployed(t), asItIs, x402.ReasonSignature},
		"a wallet that talks":       {testnet.coded(t, price, returns).deployed(t), asItIs, x402.ReasonSignature},
		"a wallet that moans":       {testnet.coded(t, price, reverts).deployed(t), asItIs, x402.ReasonSignature},
		"a wallet that breaks":      {testnet.coded(t, price, breaks).deployed(t), asItIs, x402.ReasonSignature},
		"a wallet without words":    {testnet.coded(t, price, nothing).deployed(t), asItIs, x402.ReasonSignature},
		"a wallet that mumbles":     {testnet.coded(t, price, mumbles).deployed(t), asItIs, x402.ReasonSignature},
		"yes at the wrong end":      {testnet.coded(t, price, rightPad).deployed(t), asItIs, x402.ReasonSignature},
		"a yes that is true":        {testnet.coded(t, price, saysOne).deployed(t), asItIs, x402.ReasonSignature},
		"almost a yes":              {testnet.coded(t, price, almost).deployed(t), asItIs, x402.ReasonSignature},
		"wrapped, in another's":     {owned, func(x402.Signature) x402.Signature { return wrap(t, as("another's")(nil), owned.deploy) }, x402.ReasonSignature},
		"not deployed, not wrapped": {fresh, asItIs, x402.ReasonSignature},
		"not deployed, another's":   {fresh, func(s x402.Signature) x402.Signature { s[3] ^= 1; return wrap(t, s, fresh.deploy) }, x402.ReasonSignature},
		"wrapped twice":             {fresh, func(s x402.Signature) x402.Signature { return wrap(t, wrap(t, s, fresh.deploy), fresh.deploy) }, x402.ReasonSignature},
		"wrapped around nothing":    {fresh, func(x402.Signature) x402.Signature { return wrap(t, nil, fresh.deploy) }, x402.ReasonSignature},
		"wrapped with a rest": {fresh, func(s x402.Signature) x402.Signature {
			s = wrap(t, s, fresh.deploy)
			return slices.Concat(s[:len(s)-32], make([]byte, 32), magic)
		}, x402.ReasonSignature},
		"a wrapping cut off":      {fresh, func(s x402.Signature) x402.Signature { return wrap(t, s, fresh.deploy)[32:] }, x402.ReasonSignature},
		"the magic alone":         {fresh, func(x402.Signature) x402.Signature { return magic }, x402.ReasonSignature},
		"garbage and the magic":   {fresh, func(x402.Signature) x402.Signature { return append(bytes.Repeat([]byte{0xff}, 200), magic...) }, x402.ReasonSignature},
		"another wallet deployed": {fresh, through(owned.deploy), x402.ReasonSignature},
		"a third wallet deployed": {fresh, through(testnet.owned(t, 0).deploy), x402.ReasonSignature},
		"nothing deployed":        {fresh, through(evm.Call{To: fresh.deploy.To}), x402.ReasonSignature},
		"a deployment that fails": {reverting, through(reverting.deploy), x402.ReasonSignature},
		"an endless deployment":   {endless, through(endless.deploy), x402.ReasonSignature},
		"a factory of its own":    {fresh, factory(common.Address(owned.address)), x402.ReasonFactory},
		"the token as a factory":  {fresh, factory(devnet.USDC()), x402.ReasonFactory},
		"Multicall3 as a factory": {fresh, factory(devnet.Multicall3()), x402.ReasonFactory},
		"nobody as a factory":     {fresh, factory(common.Address{}), x402.ReasonFactory},
		"an ordinary account that has another's wallet deployed": {ordinary, through(fresh.deploy), x402.ReasonSignature},
		"an ordinary account, wrapped":                           {ordinary, factory(common.Address{}), x402.ReasonFactory},
	} {
		t.Run(name, func(t *testing.T) {
			order := w.order(t, "ada", "opera", c.wallet.owner)
			p.set(p.noStep(t, find, signed)) // which change nothing
			for _, version := range []func(*x402.Payment){version2, version1} {
				payment := p.pays(t, c.wallet.owner, order, version, c.wallet.from(t, p, order, c.sign))
				paid, err := p.call(t.Context(), order, payment)
				var refused *payments.Refused
				if !errors.As(err, &refused) || refused.Reason != c.reason || refused.Message == "" {
					t.Errorf("got %+v, %v, want it refused: %s", paid, err, c.reason)
				}
				p.local(t, payment, order, c.reason)
			}
		})
	}
	p.set(nil)
	p.finished(t, 0).wants(t, count{})
	if fresh.isDeployed(t) || p.taken(t, "opera") != 0 {
		t.Error("the wallet is deployed, or its seat taken")
	}
}

// local asks the facilitator itself, whom no Cashier protects.
func (p *process) local(tb testing.TB, payment x402.Payment, o payments.Order, reason x402.Reason) {
	tb.Helper()
	verdict, err := p.facilitator.Verify(tb.Context(), payment, p.Quote(o).Accepts[0])
	if err != nil || verdict.IsValid || verdict.InvalidReason == "" {
		tb.Errorf("verify: %+v, %v, want %s", verdict, err, reason)
	}
	settled, err := p.facilitator.Settle(tb.Context(), payment, p.Quote(o).Accepts[0])
	if err != nil || settled.Success || settled.Transaction != "" || settled.ErrorReason != verdict.InvalidReason {
		tb.Errorf("settle: %+v, %v, want %s", settled, err, reason)
	}
}

// A wallet may approve in the simulation and not in the block. There is no
// ticket without the transfer, the seat is free again, and the gas is bounded.
func TestContractWalletChangesItsMind(t *testing.T) {
	t.Parallel()
	deployed := func(t *testing.T, runtime string) (contractWallet, func(x402.Signature) x402.Signature) {
		return testnet.coded(t, price, runtime).deployed(t), asItIs
	}
	undeployed := func(t *testing.T, creation []byte) (contractWallet, func(x402.Signature) x402.Signature) {
		w := testnet.contractWallet(t, price, creation, testnet.guest(t, 0))
		return w, w.wrapped(t)
	}
	for name, c := range map[string]struct {
		make      func(*testing.T) (contractWallet, func(x402.Signature) x402.Signature)
		meanwhile func(*testing.T, contractWallet)
		reason    x402.Reason
	}{
		"is broken meanwhile": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
				return testnet.owned(t, price).deployed(t), asItIs
			},
			func(t *testing.T, w contractWallet) { w.setBroken(t, true) }, x402.ReasonSignature},
		"is deployed and broken meanwhile": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
				w := testnet.owned(t, price)
				return w, w.wrapped(t)
			},
			func(t *testing.T, w contractWallet) { w.deployed(t).setBroken(t, true) }, x402.ReasonSignature},
		"says yes in a simulation only": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) { return deployed(t, yesAlone) }, nil, x402.ReasonTransactionFailed},
		"burns the gas when it counts": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) { return deployed(t, yesBurns) }, nil, x402.ReasonTransactionFailed},
		"is deployed, and says yes in a simulation only": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
				return undeployed(t, code(t, yesAlone))
			}, nil, x402.ReasonTransactionFailed},
		"is deployed, and burns the gas when it counts": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
				return undeployed(t, code(t, yesBurns))
			}, nil, x402.ReasonTransactionFailed},
		"whose deployment burns the gas when it counts": {
			func(t *testing.T) (contractWallet, func(x402.Signature) x402.Signature) {
				return undeployed(t, burning(t, saysYes))
			}, nil, x402.ReasonTransactionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			wallet, signs := c.make(t)
			order := w.order(t, "ada", "opera", wallet.owner)
			payment := p.pays(t, wallet.owner, order, wallet.from(t, p, order, signs))
			if c.meanwhile != nil {
				p.on(point{hold, true}, func(context.Context) error { c.meanwhile(t, wallet); return nil })
			}
			var answer x402.SettleResponse
			p.settles = func(ctx context.Context, f payments.Facilitator, payment x402.Payment, r x402.Requirements) (_ x402.SettleResponse, err error) {
				answer, err = f.Settle(ctx, payment, r)
				return answer, err
			}
			paid, err := p.call(t.Context(), order, payment)
			if err != nil || paid.State != payments.Failed || paid.Reason != c.reason {
				t.Errorf("%+v, %v", paid.State, err)
			}
			if tx, err := x402.ParseBytes32(answer.Transaction); (err == nil) != (c.meanwhile == nil) {
				t.Errorf("submitted: %q", answer.Transaction)
			} else if err == nil {
				receipt, err := testnet.eth.TransactionReceipt(t.Context(), common.Hash(tx))
				if err != nil || receipt.GasUsed > 1_650_000 {
					t.Errorf("%d gas, %v", receipt.GasUsed, err)
				}
				t.Logf("status %d, %d gas", receipt.Status, receipt.GasUsed)
			}
			p.set(nil)
			p.settles = nil
			g := testnet.guest(t, price) // for whom the seat is free
			order = w.order(t, "ada", "opera", g)
			if paid, err := p.call(t.Context(), order, p.pays(t, g, order)); err != nil || paid.State != payments.Settled {
				t.Errorf("another guest: %+v, %v", paid, err)
			}
			p.agree(t, 0).wants(t, count{payments.Failed: 1, payments.Settled: 1})
		})
	}
}

// Garbage does not keep a wallet's own payment from being taken, however early
// it comes.
func TestContractWalletIsNotForestalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	wallet := testnet.owned(t, price)
	order := w.order(t, "ada", "opera", wallet.owner)
	payment := p.pays(t, wallet.owner, order, wallet.from(t, p, order, wallet.wrapped(t)))
	garbage := payment
	garbage.Payload.Signature = wrap(t, x402.Signature("garbage"), wallet.deploy)
	got := together(20, func(i int) (payments.Payment, error) {
		if i == 10 {
			return p.call(t.Context(), order, payment)
		}
		return p.call(t.Context(), order, garbage)
	})
	for i, o := range got {
		if refused := new(payments.Refused); (i == 10) != (o.State == payments.Settled) || (i != 10) != errors.As(o.err, &refused) {
			t.Errorf("%d: %s, %v", i, o.State, o.err)
		}
	}
	// Not even now is it told anything.
	if paid, ok, err := p.Repeat(t.Context(), "ada", order.Booking, garbage); ok || err != nil || paid.ID != "" {
		t.Errorf("told: %+v, %t, %v", paid, ok, err)
	}
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// An account that lets a contract act for it (EIP-7702) has code: the token asks
// that contract, whatever the account's own key signs.
func TestDelegatedAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runtime string
		settled bool
	}{
		"to one that says yes":   {saysYes, true},
		"to one that burns gas":  {forever, false},
		"to one without a word":  {nothing, false},
		"to one that says no so": {saysOne, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			testnet.delegate(t, g, testnet.coded(t, 0, c.runtime).deployed(t).address)
			order := w.order(t, "ada", "opera", g)
			paid, err := p.call(t.Context(), order, p.pays(t, g, order))
			var refused *payments.Refused
			switch {
			case c.settled && (err != nil || paid.State != payments.Settled):
				t.Errorf("%+v, %v", paid, err)
			case !c.settled && !errors.As(err, &refused):
				t.Errorf("%+v, %v", paid, err)
			}
			p.reconcile(t)
			if n := p.finished(t, 0); (n[payments.Settled] == 1) != c.settled || p.taken(t, "opera") != n[payments.Settled] {
				t.Errorf("%v", n)
			}
		})
	}
}

// delegate lets a contract act for an account.
func (n *network) delegate(tb testing.TB, g guest, to x402.Address) {
	tb.Helper()
	auth := types.SetCodeAuthorization{ChainID: *uint256.NewInt(devnet.ChainID), Address: common.Address(to)}
	parts := func(digest common.Hash, by guest) (sig []byte) {
		sig, err := by.SignHash(tb.Context(), digest)
		if err != nil {
			tb.Fatal(err)
		}
		sig[64] -= 27
		return sig
	}
	sig := parts(auth.SigHash(), g)
	auth.R.SetBytes(sig[:32])
	auth.S.SetBytes(sig[32:64])
	auth.V = sig[64]
	relay := n.guest(tb, 0)
	tx := types.NewTx(&types.SetCodeTx{ChainID: uint256.NewInt(devnet.ChainID), To: common.Address(to), Gas: 100_000,
		GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(1e9), AuthList: []types.SetCodeAuthorization{auth}})
	signer := types.LatestSignerForChainID(tx.ChainId())
	tx, err := tx.WithSignature(signer, parts(signer.Hash(tx), relay))
	if err != nil {
		tb.Fatal(err)
	}
	if err := n.eth.SendTransaction(tb.Context(), tx); err != nil {
		tb.Fatal(err)
	}
	n.mined(tb.Context(), tx.Hash())
	if code, err := n.eth.CodeAt(tb.Context(), common.Address(g.Address()), nil); err != nil || len(code) != 23 {
		tb.Fatalf("%d bytes of code, %v", len(code), err)
	}
}
