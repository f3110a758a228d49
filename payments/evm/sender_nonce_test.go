package evm_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// swallow takes the next transaction and loses it: what a node does that is
// restarted, or whose pool is full.
func (s sender) swallow(t *testing.T) {
	t.Helper()
	s.node.on(submit, func(c call) []byte { return c.result(common.Hash{1}) })
	if _, err := s.try(t); err != nil {
		t.Fatal(err)
	}
	s.node.heal()
}

// A lost transaction leaves a gap in the nonces, and nothing that comes after
// it is mined. The sender must notice by itself.
func TestLostTransaction(t *testing.T) {
	t.Run("the first", func(t *testing.T) {
		s := faultySender(t)
		s.swallow(t)
		s.tend(t)
		s.mined(t, 1)
	})
	t.Run("a later one", func(t *testing.T) {
		s := faultySender(t)
		s.mined(t, 0)
		s.swallow(t)
		waits, err := s.try(t)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.eth.TransactionReceipt(t.Context(), waits); err == nil {
			t.Fatal("mined in spite of the gap")
		}
		s.tend(t)
		if got := s.sent(t, waits, s.Address()); got != 2 {
			t.Errorf("nonce %d, want 2", got)
		}
		s.mined(t, 3)
	})
}

// One node of many that is late must not make the sender use a nonce twice.
func TestLateNode(t *testing.T) {
	s := faultySender(t)
	s.mined(t, 0)
	s.mined(t, 1)
	s.mined(t, 2)
	late := func(count string) {
		s.node.on("eth_getTransactionCount", func(c call) []byte { return c.result(count) })
		s.clock.advance(time.Minute)
	}
	asked := 0
	s.node.on(submit, func(c call) []byte { asked = c.Nth; return c.forward() })
	late("0x1")
	s.mined(t, 3)
	late("0x2")
	s.mined(t, 4)
	if asked != 2 {
		t.Errorf("%d submissions for 2 transactions", asked)
	}
}

// The count is the node's with its pool, not that of the last block.
func TestNonceCountsThePool(t *testing.T) {
	s := faultySender(t)
	s.node.on("eth_getTransactionCount", func(c call) []byte {
		var block string
		if err := json.Unmarshal(c.Params[1], &block); err != nil || block != "pending" {
			t.Errorf("asked at %s, %v", c.Params[1], err)
		}
		return c.forward()
	})
	s.mined(t, 0)
}
