package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// kind is how a guest behaves with one payment.
type kind string

const (
	patient   kind = "patient"       // sends it until there is an answer
	hasty     kind = "hasty"         // hangs up some times before
	crowding  kind = "crowding"      // sends several copies at once, everywhere
	careless  kind = "careless"      // signs another for the same event meanwhile
	cheating  kind = "cheating"      // books two things with it at once
	fickle    kind = "cancelling"    // cancels the authorization on the chain meanwhile
	faithless kind = "spending"      // spends the money meanwhile
	poor      kind = "poor"          // never had the money
	again     kind = "signing again" // after a payment that failed
)

// kinds are what guests with money choose from.
var kinds = []kind{patient, patient, patient, hasty, hasty, hasty, crowding, crowding, careless, cheating, fickle, faithless}

// guest is somebody with a wallet. All of their chance comes from the seed.
type guest struct {
	*world
	id     int
	random *rand.Rand
	bytes  io.Reader
	key    *wallet.Local
	poor   bool
	leave  func() // gives the guest's place to another one; may be called again
}

func (w *world) guest(id int, leave func()) (*guest, error) {
	g := &guest{world: w, id: id, random: w.chance(uint64(id)), bytes: w.bytes(uint64(id)), leave: leave}
	var err error
	if g.key, err = wallet.New(g.bytes); err != nil {
		return nil, err
	}
	g.poor = g.random.IntN(15) == 0
	return g, nil
}

// visit is all that a guest does: they book up to three events. An error is one
// of the harness; what a server does is noted.
func (g *guest) visit(ctx context.Context) error {
	defer g.leave()
	money := 10_000 * x402.USD // more than three of the dearest events
	if g.poor {
		money = 9_000 // 9 thousandths
	}
	if err := g.chain.fund(ctx, g.key.Address(), money); err != nil {
		return fmt.Errorf("fund a guest: %w", err)
	}
	for range 1 + g.random.IntN(3) {
		if g.closing.Load() {
			return nil
		}
		if err := g.book(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) book(ctx context.Context) error {
	e, err := g.programme.pick(ctx)
	if err != nil {
		return err
	}
	k := kinds[g.random.IntN(len(kinds))]
	if g.poor {
		k = poor
	}
	o := order{event: e, seats: 1 + g.random.IntN(3)}
	s, err := g.prepare(ctx, o, k)
	if err != nil || s == nil {
		return err
	}
	if err := g.bring(ctx, s); err != nil {
		return err
	}
	switch chance := g.random.IntN(12); {
	case s.booked && chance < 2:
		if err := g.giveBack(ctx, s); err != nil || chance == 0 {
			return err
		}
	case s.booked && chance == 2:
		if g.random.IntN(6) == 0 {
			return g.programme.callOff(ctx, e)
		}
		return nil
	case s.booked || chance < 6 || g.closing.Load():
		return nil
	}
	// It has failed, as they were told, or they have changed their mind: so they
	// pay anew.
	anew, err := g.prepare(ctx, o, again)
	if err != nil || anew == nil {
		return err
	}
	return g.settle(ctx, anew, anew.order)
}

// giveBack cancels a booking until the guest knows that it is cancelled; some
// ask for it several times at once.
func (g *guest) giveBack(ctx context.Context, s *sent) error {
	s.gave = true
	g.tally.add("guests", "cancelled RSVPs", 1)
	deadline := time.Now().Add(learnWithin)
	return together(1+g.random.IntN(3), func(int) error {
		for {
			a := g.client.about(ctx, "cancel_rsvp", s.order.event.owner.User, s.rsvp)
			if a.verdict != later {
				g.hear(s, s.order, a)
				return nil
			}
			if time.Now().After(deadline) {
				g.fault("guest %d could not cancel RSVP %s: %s", g.id, s.rsvp, a.code)
				return nil
			}
			if err := g.pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	})
}

// prepare asks for the price and signs the payment; nil if there is nothing to
// pay for.
func (g *guest) prepare(ctx context.Context, o order, k kind) (*sent, error) {
	for {
		a := g.client.rsvp(ctx, g.client.protocol(), o, nil)
		switch a.verdict {
		case quoted:
			return g.sign(ctx, o, k, a.quote)
		case denial:
			if a.code == "event_full" {
				g.programme.soldOut(o.event)
			}
			if a.code == "event_cancelled" && !o.event.calledOff.Load() {
				g.fault("guest %d is told that event %s is cancelled, and nobody did that", g.id, o.event.id)
			}
			g.tally.add("not asked to pay", a.code, 1)
			return nil, nil
		case later:
		default:
			g.fault("guest %d asks for a price and is told: %s %s", g.id, a.verdict, a.note)
			return nil, nil
		}
		if err := g.pause(ctx, 300*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (g *guest) sign(ctx context.Context, o order, k kind, quote x402.PaymentRequired) (*sent, error) {
	r, now := quote.Accepts[0], time.Now()
	lives := g.window
	if g.random.IntN(6) == 0 && g.patientFaults() {
		lives = 3 * g.window // longer than a claim may stand alone
	}
	lives += time.Duration(g.random.Int64N(int64(g.window / 4)))
	until := now.Add(lives).Truncate(time.Second)
	a := x402.Authorization{From: g.key.Address(), To: r.PayTo, Value: r.Amount,
		ValidAfter:  x402.NewUint256(uint64(now.Add(-10 * time.Minute).Unix())),
		ValidBefore: x402.NewUint256(uint64(until.Unix()))}
	if _, err := io.ReadFull(g.bytes, a.Nonce[:]); err != nil {
		return nil, err
	}
	signature, err := g.key.SignAuthorization(ctx, r, a)
	if err != nil {
		return nil, err
	}
	s := &sent{guest: g.id, kind: k, order: o, until: until, payment: x402.Payment{Version: 2, Scheme: r.Scheme,
		Network: r.Network, Payload: x402.Payload{Signature: signature, Authorization: a}, Accepted: &r, Resource: &quote.Resource}}
	g.note(s)
	return s, nil
}

// bring sends a payment as its kind is, and returns when its guest knows what
// became of it.
func (g *guest) bring(ctx context.Context, s *sent) error {
	meanwhile := func(do func(context.Context) error) error {
		var wg sync.WaitGroup
		pause := g.upTo(time.Second)
		wg.Go(func() {
			if sleep(ctx, pause) == nil && do(ctx) != nil {
				g.tally.add("guests", "could not "+string(s.kind), 1)
			}
		})
		err := g.settle(ctx, s, s.order)
		wg.Wait()
		return err
	}
	switch s.kind {
	case hasty:
		for range 1 + g.random.IntN(3) {
			g.hangUp(ctx, s)
		}
	case crowding:
		return together(2+g.random.IntN(4), func(int) error { return g.settle(ctx, s, s.order) })
	case cheating:
		other := s.order
		other.name = "somebody else"
		return together(2, func(i int) error { return g.settle(ctx, s, []order{s.order, other}[i]) })
	case careless:
		other, err := g.prepare(ctx, s.order, careless)
		if err != nil {
			return err
		}
		pauses := []time.Duration{g.upTo(time.Second), g.upTo(time.Second)}
		return together(2, func(i int) error {
			if err := sleep(ctx, pauses[i]); err != nil {
				return err
			}
			if i == 0 {
				return g.settle(ctx, s, s.order)
			}
			if other == nil {
				return nil
			}
			return g.settle(ctx, other, other.order)
		})
	case fickle:
		return meanwhile(func(ctx context.Context) error {
			return g.chain.cancel(ctx, g.key, s.payment.Payload.Authorization.Nonce)
		})
	case faithless:
		return meanwhile(func(ctx context.Context) error {
			all, err := g.chain.balances(ctx, []x402.Address{g.key.Address()})
			if err != nil {
				return err
			}
			return g.chain.spend(ctx, g.key, all[g.key.Address()])
		})
	}
	return g.settle(ctx, s, s.order)
}

func (g *guest) upTo(d time.Duration) time.Duration {
	return time.Duration(g.random.Int64N(int64(d)))
}

// together does something n times at once and returns an error of it.
func together(n int, do func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- do(i) }()
	}
	var err error
	for range n {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return err
}

// hangUp sends a payment and does not wait for the answer.
func (g *guest) hangUp(ctx context.Context, s *sent) {
	ctx, cancel := context.WithTimeout(ctx, g.upTo(700*time.Millisecond))
	defer cancel()
	g.tally.add("guests", "hang-ups", 1)
	s.begin()
	a := g.client.rsvp(ctx, g.client.protocol(), s.order, &s.payment)
	if a.code == "lost" {
		return
	}
	s.end() // it was faster
	if a.verdict != later {
		g.hear(s, s.order, a)
	}
}

// hear notes what a guest is told.
func (g *guest) hear(s *sent, o order, a answer) {
	g.tally.add("told", strings.TrimSpace(string(a.verdict)+" "+a.code), 1)
	if s.hear(o, a, false) {
		g.booked.Add(1)
	}
}

// learnWithin is how long after a payment can have changed for the last time
// its guest may be left in the dark.
const learnWithin = 3 * time.Minute

// slowPause is the longest time between two questions of a guest.
const slowPause = 3 * time.Second

// settle sends a payment for an order until the guest knows what became of it.
func (g *guest) settle(ctx context.Context, s *sent, o order) error {
	pause, rsvp := 200*time.Millisecond, ""
	deadline := s.until.Add(learnWithin)
	for n := 0; ; n++ {
		var a answer
		if rsvp != "" && n%2 == 1 {
			a = g.client.about(ctx, "get_rsvp", o.event.owner.User, rsvp)
		} else {
			if n > 0 {
				g.tally.add("guests", "repeats", 1)
			}
			s.begin()
			a = g.client.rsvp(ctx, g.client.protocol(), o, &s.payment)
			s.end()
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if a.rsvp != "" {
			rsvp = a.rsvp
		}
		if a.verdict != later || a.note != "" {
			g.hear(s, o, a)
		}
		if a.final() {
			return nil
		}
		if time.Now().After(deadline) {
			g.fault("guest %d (%s) was never told what became of %s: %s %s", g.id, s.kind, s.authorization(), a.verdict, a.code)
			return nil
		}
		if err := g.pause(ctx, pause); err != nil {
			return err
		}
		if pause = min(pause*3/2, slowPause); pause == slowPause {
			g.leave() // this one may wait for a minute
		}
	}
}

func (g *guest) pause(ctx context.Context, d time.Duration) error { return sleep(ctx, d) }

// chance returns random numbers of their own for one part of the run.
func (w *world) chance(part uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, part)) }

// bytes returns random bytes of their own for one part of the run.
func (w *world) bytes(part uint64) io.Reader {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], w.seed)
	binary.BigEndian.PutUint64(seed[8:], part)
	return rand.NewChaCha8(seed)
}
