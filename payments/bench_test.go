package payments_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// instant is a network that takes no time: what is left is the Cashier's own,
// and that of its books.
type instant struct{}

func (instant) Verify(context.Context, x402.Payment, x402.Requirements) (x402.VerifyResponse, error) {
	return x402.VerifyResponse{IsValid: true}, nil
}

func (instant) Settle(context.Context, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{Success: true, Transaction: x402.Bytes32{1}.String()}, nil
}

func (instant) Head(context.Context) (evm.Head, error) { return evm.Head{Number: 1}, nil }

func (instant) Balance(context.Context, x402.Address, x402.Address) (x402.Uint256, error) {
	return x402.Uint256{}, nil
}

func (instant) Authorization(context.Context, evm.Transfer, uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Unused, Head: evm.Head{Number: 1}}, nil
}

func (instant) Await(_ context.Context, tx common.Hash, _ evm.Transfer, _ uint64) (evm.Outcome, error) {
	return evm.Outcome{State: evm.Transferred, Confirmed: true, Transaction: tx}, nil
}

func (instant) Signed(context.Context, x402.Address, common.Hash, x402.Signature) error {
	return evm.ErrSignature
}

// BenchmarkPay measures a booking without its network against one synced commit
// of the same disk: "commits/booking" is how many of these it takes. One after
// the other it can't be less than three (claim, hold, confirm), plus signatures;
// many at a time share them.
func BenchmarkPay(b *testing.B) {
	for _, parallel := range []int{1, 32} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			w := newWorld(b)
			p := w.start(b, func(c *payments.Config) {
				c.Facilitator, c.Chain, c.Log = instant{}, instant{}, slog.New(slog.DiscardHandler)
			})
			p.event(b, "ada", "opera", 0)
			orders, payment := make([]payments.Order, b.N), make([]x402.Payment, b.N)
			for i := range b.N {
				g := guest{newWallet(b)}
				orders[i] = w.order(b, "ada", "opera", g)
				payment[i] = p.pays(b, g, orders[i])
			}
			commits := make([]time.Duration, 100)
			for i := range commits {
				start := time.Now()
				if err := p.books(b, "ada").Abandon(b.Context(), fmt.Sprint(i)); err != nil {
					b.Fatal(err)
				}
				commits[i] = time.Since(start)
			}
			var (
				wg   sync.WaitGroup
				next atomic.Int64
			)
			b.ResetTimer()
			start := time.Now()
			for range parallel {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						if got := class(p.call(b.Context(), orders[i], payment[i])); got != "settled" {
							b.Errorf("it is %s", got)
						}
					}
				})
			}
			wg.Wait()
			each := float64(time.Since(start)) / float64(b.N)
			var sum time.Duration
			for _, c := range commits {
				sum += c
			}
			commit := float64(sum) / float64(len(commits))
			b.ReportMetric(each/commit, "commits/booking")
			b.ReportMetric(commit, "ns/commit")
		})
	}
}
