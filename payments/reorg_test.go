package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// shallow makes every transfer one that the chain may still take back.
func shallow(o evm.Outcome) evm.Outcome {
	o.Final = false
	return o
}

// gone is a chain on which nobody has used the authorization.
func gone(o evm.Outcome) evm.Outcome {
	return evm.Outcome{State: evm.Unused, Head: evm.Head{Number: o.Head.Number, Time: testnet.clock.Now()}}
}

// A settled payment is watched until its transfer is final. One that the chain
// takes back is settling again, and ends as the chain then says.
func TestReorganisation(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(*testing.T, *process)
		last  payments.State
		taken int
	}{
		"the same transfer comes back": {func(t *testing.T, p *process) {
			p.saw = shallow
			p.reconcile(t)
		}, payments.Settled, 1},
		"it never comes back": {func(t *testing.T, p *process) {
			testnet.advance(t, 2*time.Hour)
			p.world.clock.Advance(2 * time.Hour)
			p.reconcile(t)
		}, payments.Failed, 0},
		"another transfer had the authorization": {func(t *testing.T, p *process) {
			p.saw = func(o evm.Outcome) evm.Outcome {
				o.State = evm.Spent
				return o
			}
			p.reconcile(t)
		}, payments.Failed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 1)
			g := testnet.guest(t, price)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order)
			p.settles = settles(true, x402.SettleResponse{}, errOutage) // so that Authorization is asked
			p.saw = shallow
			paid, err := p.call(t.Context(), order, payment)
			if class(paid, err) != "settled" || !paid.Open || paid.Block == 0 {
				t.Fatalf("%+v, %v", paid, err)
			}
			p.settles = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
				return x402.SettleResponse{}, errOutage
			}
			for range 2 { // nothing new
				p.reconcile(t)
				if got, err := p.books(t, "ada").Payment(t.Context(), paid.ID); err != nil || got.State != payments.Settled || !got.Open {
					t.Errorf("while it is watched: %+v, %v", got, err)
				}
			}
			p.saw = func(o evm.Outcome) evm.Outcome { // a node that lags behind
				o = gone(o)
				o.Head.Number = paid.Block - 1
				return o
			}
			p.reconcile(t)
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "settled" {
				t.Errorf("with a node that lags behind it is %s", got)
			}

			p.saw = gone
			p.reconcile(t)
			if got := class(p.call(t.Context(), again(t, order), payment)); got != "settling" {
				t.Errorf("taken back, it is %s", got)
			}
			if p.taken(t, "opera") != 1 {
				t.Error("the seat is lost")
			}
			c.then(t, p)
			if got, err := p.books(t, "ada").Payment(t.Context(), paid.ID); err != nil || got.State != c.last {
				t.Errorf("then: %+v, %v; want %s", got, err, c.last)
			}
			if taken := p.taken(t, "opera"); taken != c.taken {
				t.Errorf("%d seats taken, want %d", taken, c.taken)
			}
			if c.last == payments.Settled {
				p.saw = nil // deep enough now
				p.reconcile(t)
				p.finished(t, 0).wants(t, count{payments.Settled: 1})
			}
		})
	}
}

// A stranger submits the authorization after it was claimed, and before the
// facilitator is asked: it counts as paid.
func TestBroadcastBetweenLookAndVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	payment := p.pays(t, g, order)
	var tx common.Hash
	p.set(once(point{verify, false}, func() error {
		tx = testnet.broadcast(t, payment)
		return nil
	}))
	paid, err := p.call(t.Context(), order, payment)
	if class(paid, err) != "settled" || common.Hash(paid.Transaction) != tx {
		t.Errorf("%+v, %v; want settled in %s", paid, err, tx)
	}
	p.set(nil)
	p.reconcile(t)
	p.finished(t, 0).wants(t, count{payments.Settled: 1})
}

// What stays open is looked at more and more seldom, and again when its window
// has closed.
func TestRunLooksMoreAndMoreSeldom(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	p.event(t, "ada", "opera", 1)
	g := testnet.guest(t, price)
	order := w.order(t, "ada", "opera", g)
	p.settles = func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
		return x402.SettleResponse{}, errOutage
	}
	began := w.clock.Now()
	payment := p.pays(t, g, order, window(t, -time.Minute, 200*time.Second))
	if got := class(p.call(t.Context(), order, payment)); got != "settling" {
		t.Fatalf("it is %s", got)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var looks []time.Duration
	p.set(func(_ context.Context, now point) error {
		switch since := w.clock.Now().Sub(began); {
		case now == point{openClaims, false}: // once a second
			if since > 5*time.Minute {
				end()
			}
			w.clock.Advance(time.Second)
		case now == point{lookUp, false}:
			looks = append(looks, since.Truncate(time.Second))
		}
		return nil
	})
	p.Run(ctx, time.Millisecond)
	if len(looks) < 5 || len(looks) > 40 {
		t.Errorf("%d looks in five minutes: %v", len(looks), looks)
	}
	closed := 210 * time.Second
	found := false
	for _, at := range looks {
		found = found || at >= closed && at <= closed+3*time.Second
	}
	if !found {
		t.Errorf("nobody looked when the window had closed: %v", looks)
	}
}
