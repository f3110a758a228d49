package evm_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// cheap has the node name this base fee, in wei, and no tip to speak of.
func (n *node) cheap(baseFee int64) {
	n.on("eth_maxPriorityFeePerGas", func(c call) []byte { return c.result("0x1") })
	n.on("eth_getBlockByNumber", func(c call) []byte {
		if string(c.Params[0]) != `"latest"` {
			return c.forward()
		}
		return c.edit(func(head map[string]any) { head["baseFeePerGas"] = hexutil.EncodeBig(big.NewInt(baseFee)) })
	})
}

// submitted has every transaction that is submitted from now on noted.
func (n *node) submitted(t *testing.T) func() []*types.Transaction {
	var (
		mu  sync.Mutex
		all []*types.Transaction
	)
	n.on(submit, func(c call) []byte {
		var raw hexutil.Bytes
		tx := new(types.Transaction)
		if err := errors.Join(json.Unmarshal(c.Params[0], &raw), tx.UnmarshalBinary(raw)); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, tx)
		return c.forward()
	})
	return func() []*types.Transaction {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// pooled waits until the node's pool has sorted in what it was given, and counts
// this many transactions of the account.
func (s sender) pooled(t *testing.T, n uint64) {
	t.Helper()
	for {
		pending, err := s.eth.PendingNonceAt(t.Context(), common.Address(s.Address()))
		if err != nil {
			t.Fatal(err)
		}
		if pending == n {
			return
		}
	}
}

// stuck sends a payment for so little that it is not mined.
func (s sender) stuck(t *testing.T) (x402.Authorization, common.Hash) {
	t.Helper()
	payer := s.funded(t, 10)
	a := s.authorize(payer, payee, 10)
	s.node.cheap(1)
	hash, err := s.Send(t.Context(), s.authorized(t, payer, a))
	if err != nil {
		t.Fatal(err)
	}
	s.node.heal()
	s.clock.advance(2 * time.Second) // that price is forgotten
	if o, err := s.client.Authorization(t.Context(), s.expected(a), 0); err != nil || o.State != evm.Unused {
		t.Fatalf("it is not stuck: %+v, %v", o, err)
	}
	return a, hash
}

// A transaction that pays too little for its block is replaced, in the pool of a
// real node, by the same with a higher fee. Who waits for the first one's receipt
// is told nothing, and finds the payment by its authorization.
func TestStuckTransactionIsReplaced(t *testing.T) {
	s := faultySender(t)
	a, first := s.stuck(t)
	log := s.node.submitted(t)
	s.tend(t)
	txs := log()
	if len(txs) != 1 || txs[0].Nonce() != 0 || txs[0].Hash() == first || txs[0].GasFeeCap().Cmp(big.NewInt(params.GWei/100)) < 0 {
		t.Fatalf("submitted: %+v", txs)
	}
	second := txs[0].Hash()
	s.becomes(t, a, second, evm.Transferred)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if o, err := s.client.Await(ctx, first, s.expected(a), 0); err == nil {
		t.Errorf("of the first one: %+v", o)
	}
	s.mined(t, 1)
	s.tend(t)
	if n := len(log()); n != 2 {
		t.Errorf("%d submissions, want 2", n)
	}
}

// Only what has waited for long is submitted again: the first in line for at
// least an eighth more each time, the others as they are, until the market is
// above them.
func TestPatience(t *testing.T) {
	s := faultySender(t)
	a, _ := s.stuck(t)
	b, second := s.stuck(t)
	s.node.cheap(1)
	log := s.node.submitted(t)
	s.clock.advance(patience - 5*time.Second)
	for range 3 {
		if err := s.Tend(t.Context()); err != nil || len(log()) != 0 {
			t.Fatalf("%d were submitted again, %v", len(log()), err)
		}
	}
	before := big.NewInt(3) // two base fees and the tip
	for range 5 {
		s.tend(t)
		txs := log()[len(log())-2:]
		if txs[0].Nonce() != 0 || txs[1].Hash() != second {
			t.Fatalf("submitted: %+v", txs)
		}
		fee := txs[0].GasFeeCap()
		if new(big.Int).Mul(fee, big.NewInt(8)).Cmp(new(big.Int).Mul(before, big.NewInt(9))) < 0 {
			t.Errorf("%s wei after %s", fee, before)
		}
		before = fee
	}
	s.node.heal()
	log = s.node.submitted(t)
	s.tend(t)
	txs := log()
	if len(txs) != 2 {
		t.Fatalf("%d were submitted again, want both", len(txs))
	}
	s.becomes(t, a, txs[0].Hash(), evm.Transferred)
	s.becomes(t, b, txs[1].Hash(), evm.Transferred)
}

// Above the ceiling nothing is sent, and nothing is replaced. What has been sent
// goes through when gas is cheap again.
func TestCeiling(t *testing.T) {
	s := faultySender(t)
	ceiling := big.NewInt(params.GWei / 1000)
	dir := t.TempDir()
	s = s.with(s.key, t, evm.SenderOptions{MaxGasPrice: ceiling, Dir: dir})
	log := s.node.submitted(t)
	if hash, err := s.try(t); !errors.Is(err, evm.ErrNotSent) || !strings.Contains(err.Error(), "more than the ceiling of 0.001 gwei") || hash != (common.Hash{}) || len(log()) != 0 {
		t.Errorf("%s, %v; %d submitted", hash, err, len(log()))
	}
	s.clock.advance(time.Minute)
	a, first := s.stuck(t)
	log = s.node.submitted(t)
	s.tend(t)
	if txs := log(); len(txs) != 1 || txs[0].Hash() != first {
		t.Errorf("submitted: %+v, want it as it was", txs)
	}
	s.node.cheap(ceiling.Int64() * 3 / 4) // a new one would have room for half of its rise
	log = s.node.submitted(t)
	for range 5 {
		s.tend(t)
	}
	if tx := last(log()); tx.GasFeeCap().Cmp(ceiling) > 0 || tx.GasFeeCap().Cmp(big.NewInt(3)) <= 0 {
		t.Errorf("%s wei for a unit of gas", tx.GasFeeCap())
	}
	if hash, err := s.try(t); err != nil {
		t.Errorf("%s, %v", hash, err)
	}
	// The next process may pay more.
	s.node.heal()
	s = s.with(s.key, t, evm.SenderOptions{Dir: dir})
	log = s.node.submitted(t)
	s.tend(t)
	txs := log()
	if len(txs) != 2 {
		t.Fatalf("submitted: %+v", txs)
	}
	s.becomes(t, a, txs[0].Hash(), evm.Transferred)
	s.sent(t, txs[1].Hash(), s.Address())
}

// What the gas account had sent is forgotten with the process, and stuck: its
// nonce is used up by a transaction that does nothing, whatever it offers, so
// that the line moves on. What was in it can be sent again.
func TestUnknownTransactionInTheWay(t *testing.T) {
	s := faultySender(t)
	key := s.key
	payer := s.funded(t, 10)
	a := s.authorize(payer, payee, 10)
	s.node.cheap(1_000_000)
	if _, err := s.Send(t.Context(), s.authorized(t, payer, a)); err != nil {
		t.Fatal(err)
	}
	s.pooled(t, 1)
	s.node.cheap(300_000) // gas has become much cheaper, but not for real
	s = s.with(key, t, evm.SenderOptions{})
	if err := s.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := s.node.submitted(t)
	for range 15 {
		s.tend(t)
	}
	bids := log()
	if len(bids) < 5 || len(bids) > 15 {
		t.Errorf("%d bids", len(bids))
	}
	for _, tx := range bids {
		if tx.Nonce() != 0 || len(tx.Data()) != 0 || tx.Value().Sign() != 0 || *tx.To() != common.Address(key.Address()) {
			t.Errorf("submitted: %+v", tx)
		}
	}
	s.node.heal()
	s.tend(t)
	hash, err := s.Send(t.Context(), s.authorized(t, payer, a))
	if err != nil {
		t.Fatal(err)
	}
	s.becomes(t, a, hash, evm.Transferred)
	s.mined(t, 2)
}

// It goes on by itself until it is told to stop.
func TestRun(t *testing.T) {
	s := faultySender(t)
	a, _ := s.stuck(t)
	s.clock.advance(patience)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, time.Millisecond)
	}()
	for {
		o, err := s.client.Authorization(t.Context(), s.expected(a), 0)
		if err != nil {
			t.Fatal(err)
		}
		if o.State == evm.Transferred {
			break
		}
	}
	cancel()
	<-done
}

// Nobody knows whether the first had arrived; the second try is not taken, ever.
// It must not be in the way.
func TestUnknownThenRefused(t *testing.T) {
	s := faultySender(t)
	s.node.on(submit, func(call) []byte { return nil })
	if _, err := s.try(t); err == nil || errors.Is(err, evm.ErrNotSent) {
		t.Fatal(err)
	}
	s.node.on(submit, func(c call) []byte {
		if c.Nth == 1 {
			return c.refuse(-32000, "this one I don't like", nil)
		}
		return c.forward()
	})
	second, err := s.try(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.sent(t, second, s.Address()); got != 1 {
		t.Errorf("nonce %d, want 1", got)
	}
	s.mined(t, 2)
}

// Until the node says something about the one before, nothing is sent.
func TestNothingBehindAnUnknown(t *testing.T) {
	s := faultySender(t)
	var tries atomic.Int64
	s.node.on(submit, func(call) []byte { tries.Add(1); return nil })
	first, err := s.try(t)
	if err == nil || errors.Is(err, evm.ErrNotSent) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.try(t); !errors.Is(err, evm.ErrNotSent) {
			t.Fatal(err)
		}
	}
	if tries := tries.Load(); tries != 3 {
		t.Errorf("%d submissions of the first, want 3", tries)
	}
	s.node.heal()
	s.mined(t, 1)
	if got := s.sent(t, first, s.Address()); got != 0 {
		t.Errorf("nonce %d", got)
	}
}

func last[E any](s []E) E { return s[len(s)-1] }
