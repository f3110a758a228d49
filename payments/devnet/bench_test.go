package devnet

import (
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// BenchmarkSettle settles payments of one facilitator, by JSON-RPC in process,
// with so many under way at a time. Estimating gas is not part of it.
func BenchmarkSettle(b *testing.B) {
	for _, parallel := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			c, payer, facilitator, a := fixture(b)
			a.validBefore += 1_000_000 // the head runs ahead by a second a block
			token := USDC()
			var txs []*types.Transaction
			for i := range b.N {
				a.nonce, a.value = [32]byte{30: byte(i >> 8), 31: byte(i), 29: byte(i >> 16)}, 1
				data := c.pack(b, transferBytes, a.args(a.signed(b, payer, "TransferWithAuthorization"))...)
				txs = append(txs, sign(b, facilitator, uint64(i), &token, data))
			}
			var gas, blocks uint64
			before := c.engine.head().Number.Uint64()
			b.ResetTimer()
			start := time.Now()
			for len(txs) > 0 {
				n := min(parallel, len(txs))
				for _, r := range c.sendAll(b, txs[:n]) {
					if r.Status != types.ReceiptStatusSuccessful {
						b.Fatal("a transfer failed")
					}
					gas += r.GasUsed
				}
				txs = txs[n:]
			}
			took := time.Since(start)
			blocks = c.engine.head().Number.Uint64() - before
			b.ReportMetric(float64(b.N)/took.Seconds(), "settlements/s")
			b.ReportMetric(float64(gas)/float64(b.N), "gas/settlement")
			b.ReportMetric(float64(b.N)/float64(blocks), "settlements/block")
		})
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, err := Start(Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
