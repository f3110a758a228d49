package evm_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// BenchmarkSend settles payments over JSON-RPC on HTTP, so many at once, from
// the call of Send to the receipts. "x-alone" are ratios to one at a time.
func BenchmarkSend(b *testing.B) {
	var alone struct{ speed, gas float64 }
	for _, parallel := range []int{1, 5, 20, 50} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			c := startChain(b, evm.Options{})
			n := serve(b, c)
			s := evm.NewSender(n.dial(b, evm.Options{}), c.funded(b, 0), evm.SenderOptions{Dir: b.TempDir()})
			payer := c.funded(b, x402.Amount(b.N))
			c.fund(b, payee, 1) // a payee without a balance costs more, once
			calls := make([]evm.Call, b.N)
			for i := range calls {
				a := c.authorize(payer, payee, 1)
				a.ValidBefore = x402.NewUint256(1 << 40) // every block takes a second of the chain's time
				calls[i] = c.authorized(b, payer, a)
			}
			n.tally()
			gas, txs := uint64(0), 0
			b.ResetTimer()
			start := time.Now()
			for rest := calls; len(rest) > 0; {
				at := rest[:min(parallel, len(rest))]
				rest = rest[len(at):]
				receipts := make([]*types.Receipt, len(at))
				var all sync.WaitGroup
				for i, call := range at {
					all.Go(func() {
						hash, err := s.Send(b.Context(), call)
						if err == nil {
							receipts[i], err = c.eth.TransactionReceipt(b.Context(), hash)
						}
						if err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
				if b.Failed() {
					b.FailNow()
				}
				seen := map[common.Hash]bool{}
				for _, r := range receipts {
					if !seen[r.TxHash] {
						seen[r.TxHash] = true
						gas += r.GasUsed
						txs++
					}
				}
			}
			speed := float64(b.N) / time.Since(start).Seconds()
			asked := n.tally()
			each := float64(gas) / float64(b.N)
			if parallel == 1 {
				alone.speed, alone.gas = speed, each
			}
			b.ReportMetric(speed, "settlements/s")
			b.ReportMetric(speed/alone.speed, "x-alone-speed")
			b.ReportMetric(each, "gas/settlement")
			b.ReportMetric(each/alone.gas, "x-alone-gas")
			b.ReportMetric(float64(asked)/float64(b.N), "calls/settlement")
			b.ReportMetric(float64(b.N)/float64(txs), "settlements/tx")
		})
	}
}
