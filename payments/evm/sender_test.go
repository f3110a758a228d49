package evm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

const sendGas = 100_000

// transferCall is a call of the token that works for who has 1 atomic unit. No
// two are the same, by something that the token does not look at.
func (c *chain) transferCall() []byte {
	return binary.BigEndian.AppendUint64(c.token.PackTransfer(common.Address(payee), common.Big1), c.calls.Add(1))
}

// sent returns the nonce of a transaction, and wants it to be from an account
// and to have worked.
func (c *chain) sent(t *testing.T, hash common.Hash, from x402.Address) uint64 {
	t.Helper()
	if r, err := c.eth.TransactionReceipt(t.Context(), hash); err != nil || r.Status != types.ReceiptStatusSuccessful {
		t.Errorf("transaction %s: receipt %+v, %v", hash, r, err)
	}
	tx, pending, err := c.eth.TransactionByHash(t.Context(), hash)
	if err != nil || pending {
		t.Fatalf("transaction %s: pending %v, %v", hash, pending, err)
	}
	if signer, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx); err != nil || signer != common.Address(from) {
		t.Errorf("from %s, %v; want %s", signer, err, from)
	}
	return tx.Nonce()
}

func TestSend(t *testing.T) {
	c := startChain(t, evm.Options{})
	from := c.funded(t, 2)
	s := evm.NewSender(c.client, from, evm.SenderOptions{})
	if s.Address() != from.Address() {
		t.Errorf("address %s", s.Address())
	}
	for want := range uint64(2) {
		hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.sent(t, hash, from.Address()); got != want {
			t.Errorf("nonce %d, want %d", got, want)
		}
	}
	if got, err := c.client.Balance(t.Context(), c.usdc, payee); err != nil || got != x402.NewUint256(2) {
		t.Errorf("the calls moved %s, %v", got, err)
	}
}

func TestSendConcurrently(t *testing.T) {
	const sends = 100
	c := startChain(t, evm.Options{})
	from := c.funded(t, sends)
	s := evm.NewSender(c.client, from, evm.SenderOptions{})
	hashes := make([]common.Hash, sends)
	var all sync.WaitGroup
	for i := range sends {
		all.Go(func() {
			var err error
			if hashes[i], err = s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var nonces []uint64
	for _, hash := range hashes {
		nonces = append(nonces, c.sent(t, hash, from.Address()))
	}
	// No send waits for the block of the one before, for then each would have one.
	if head, err := c.client.Head(t.Context()); err != nil || head.Number >= sends {
		t.Errorf("%d transactions took %d blocks, %v", sends, head.Number, err)
	}
	slices.Sort(nonces)
	for i, nonce := range nonces {
		if nonce != uint64(i) {
			t.Fatalf("nonces %v", nonces)
		}
	}
}

func TestSendAfterTheAccountSentElsewhere(t *testing.T) {
	c := startChain(t, evm.Options{})
	from := c.funded(t, 100)
	s := evm.NewSender(c.client, from, evm.SenderOptions{})
	var want uint64
	for _, elsewhere := range []int{0, 1, 3, 0} {
		for range elsewhere {
			c.send(t, from, c.usdc, c.transferCall())
		}
		want += uint64(elsewhere)
		hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas})
		if err != nil {
			t.Fatalf("after %d elsewhere: %v", elsewhere, err)
		}
		if got := c.sent(t, hash, from.Address()); got != want {
			t.Errorf("after %d elsewhere: nonce %d, want %d", elsewhere, got, want)
		}
		want++
	}
}

func TestSendWithoutGasMoney(t *testing.T) {
	c := startChain(t, evm.Options{})
	from := c.account(t)
	s := evm.NewSender(c.client, from, evm.SenderOptions{})
	for range 2 {
		hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas, Signer: from.Address()})
		if !errors.Is(err, evm.ErrNotSent) || !strings.Contains(err.Error(), "the gas account "+from.Address().String()+" needs ETH") || hash != (common.Hash{}) {
			t.Errorf("%s, %v", hash, err)
		}
	}
	c.fund(t, from.Address(), 2)
	for want := range uint64(2) {
		hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.sent(t, hash, from.Address()); got != want {
			t.Errorf("nonce %d, want %d", got, want)
		}
	}
}

// A refusal in between must leave no gap: what comes after it would never be
// mined.
func TestRefusalLeavesNoGap(t *testing.T) {
	c := startChain(t, evm.Options{})
	from := c.funded(t, 100)
	s := evm.NewSender(c.client, from, evm.SenderOptions{})
	for name, test := range map[string]struct {
		data []byte
		gas  uint64
		want string
	}{
		"too little gas":     {c.transferCall(), 21_000, "intrinsic gas too low"},
		"more than a block":  {c.transferCall(), 1 << 40, "exceeds"},
		"too much call data": {append(c.transferCall(), make([]byte, 200<<10)...), 16_000_000, "oversized"},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := c.eth.PendingNonceAt(t.Context(), common.Address(from.Address()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: test.data, Gas: test.gas, Signer: from.Address()}); !errors.Is(err, evm.ErrNotSent) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.sent(t, hash, from.Address()); got != before {
				t.Errorf("nonce %d, want %d", got, before)
			}
		})
	}
}

// brokenKey is a key that can't be used now, as one in another device may be.
type brokenKey struct{ evm.Key }

func (brokenKey) SignHash(context.Context, common.Hash) (x402.Signature, error) {
	return nil, errors.New("the device is locked")
}

func TestSendWithoutSignature(t *testing.T) {
	c := startChain(t, evm.Options{})
	s := evm.NewSender(c.client, brokenKey{c.funded(t, 1)}, evm.SenderOptions{})
	if hash, err := s.Send(t.Context(), evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas}); !errors.Is(err, evm.ErrNotSent) || !strings.Contains(err.Error(), "locked") || hash != (common.Hash{}) {
		t.Errorf("%s, %v", hash, err)
	}
}
