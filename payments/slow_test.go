package payments_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/instant"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

const (
	// promised is how soon every call has an answer: desktop clients give up at 60 s.
	promised = 45 * time.Second
	slowness = 3 * time.Minute
)

// slowNetwork is a facilitator whose settlements take three minutes, and the
// chain that shows them then. Some facilitators answer when it is done; of others
// the connection is cut, and it is done all the same.
type slowNetwork struct {
	instant.Network
	cut     bool
	settles atomic.Int32
	start   sync.Once
	begun   time.Time
}

func (n *slowNetwork) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	n.settles.Add(1)
	n.start.Do(func() { n.begun = time.Now() })
	if n.cut {
		<-ctx.Done()
		return x402.SettleResponse{}, ctx.Err()
	}
	time.Sleep(slowness)
	return n.Network.Settle(ctx, p, r)
}

// Signed is asked of a smart wallet.
func (n *slowNetwork) Signed(context.Context, x402.Address, common.Hash, x402.Signature) error {
	time.Sleep(9 * time.Second)
	return nil
}

func (n *slowNetwork) Authorization(ctx context.Context, t evm.Transfer, since uint64) (evm.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return evm.Outcome{}, err
	}
	if n.settles.Load() > 0 && time.Since(n.begun) >= slowness {
		return n.Await(ctx, common.Hash{1}, t, since)
	}
	return n.Network.Authorization(ctx, t, since)
}

// A settlement takes three minutes: whoever waits is told within 45 s that it is
// pending, whoever asks again is told the same, and the RSVP comes with the money.
func TestThreeMinutes(t *testing.T) {
	for name, c := range map[string]struct{ cut, wallet bool }{
		"it answers in the end": {false, false}, "it never answers": {true, false}, "nor does the payer's wallet hurry": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.start(t)
			before.event(t, "ada", "opera", 1)
			g := guest{newWallet(t)}
			order := w.order(t, "ada", "opera", g)
			payment := before.pays(t, g, order)
			if c.wallet {
				payment.Payload.Signature = append(payment.Payload.Signature, 0) // no key makes such
			}
			before.stop(t)
			synctest.Test(t, func(t *testing.T) {
				begun, noon := time.Now(), w.clock.Now()
				network := &slowNetwork{cut: c.cut}
				p := w.start(t, func(c *payments.Config) {
					c.Facilitator, c.Chain, c.Now = network, network, func() time.Time { return noon.Add(time.Since(begun)) }
				})
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { p.Run(ctx, 5*time.Second) })
				defer running.Wait()
				defer stop()

				for _, when := range []string{"the first call", "the same again"} {
					called := time.Now()
					call, done := p.Patient(t.Context())
					paid, err := p.call(call, order, payment)
					done()
					if err != nil || paid.State != payments.Settling || paid.RSVPID != order.Booking.RSVPID {
						t.Errorf("%s: %+v, %v", when, paid, err)
					}
					if took := time.Since(called); took > promised {
						t.Errorf("%s is answered after %s", when, took)
					}
				}
				for {
					r, err := p.books(t, "ada").RSVP(t.Context(), order.Booking.RSVPID)
					if err != nil {
						t.Fatal(err)
					}
					if r.Status == store.RSVPConfirmed {
						break
					}
					if r.Status != store.RSVPPending || time.Since(begun) > slowness+10*time.Second {
						t.Fatalf("after %s it is %s", time.Since(begun), r.Status)
					}
					time.Sleep(time.Second)
				}
				if took := time.Since(begun); took < slowness {
					t.Errorf("confirmed after %s, before any money moved", took)
				}
				if got := class(p.call(t.Context(), order, payment)); got != "settled" {
					t.Errorf("at last it is %s", got)
				}
			})
		})
	}
}
