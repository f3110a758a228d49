package facilitator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

const (
	// poolVerify is how long all of a Pool may take for one Verify: a little less
	// than the Cashier waits.
	poolVerify = 9 * time.Second
	// poolSettle is the same for Settle. The Cashier gives a settlement 90 s, of
	// which some are for asking the chain.
	poolSettle = 70 * time.Second

	// avoid is for how long a facilitator that has failed is asked after the
	// others.
	avoid = 30 * time.Second
	// maxTried is how many payments are remembered with who was to settle them.
	maxTried = 10_000

	// How long what is supported is believed, and how soon it is asked again of
	// one that did not answer.
	refreshEvery = time.Minute
	refreshSoon  = 15 * time.Second
)

// ErrUnsupported means that no facilitator of a Pool is known to settle on the
// network.
var ErrUnsupported = errors.New("no facilitator settles on this network")

// Pool is several facilitators that stand in for one another, in the order of
// preference. One that has failed lately comes after those that have not, and
// last comes who was to settle the same payment before: it is asked again only
// because nothing came of that. Safe for concurrent use.
type Pool struct {
	network x402.Network
	now     func() time.Time
	log     *slog.Logger
	adopted chan struct{} // has one when Run is to refresh at once

	mu      sync.Mutex
	members []*member
	tried   recent[try, bool]
}

// try is a payment, by its authorization, that a facilitator was to settle.
type try struct {
	payer, payee x402.Address
	nonce        x402.Bytes32
	by           *member
}

func tryOf(payment x402.Payment, by *member) try {
	a := payment.Payload.Authorization
	return try{a.From, a.To, a.Nonce, by}
}

// member is a facilitator and what is known of it.
type member struct {
	*Client
	supported x402.Supported // as it last said
	mute      bool           // it did not answer when it was last asked for that
	failing   time.Time      // until then, others are asked first
}

// NewPool returns the Pool of these facilitators for payments on one network.
// Nobody is asked to do anything before a [Pool.Refresh].
func NewPool(network x402.Network, clients []*Client, now func() time.Time, log *slog.Logger) *Pool {
	p := &Pool{network: network, now: now, log: log, adopted: make(chan struct{}, 1), tried: recent[try, bool]{size: maxTried}}
	for _, c := range clients {
		p.members = append(p.members, &member{Client: c})
	}
	return p
}

// Adopt has requests from now on made with the credentials of other clients, which are
// of the same facilitators in the same order; else it is an error, and nothing changes.
func (p *Pool) Adopt(clients []*Client) error {
	same := func(m *member, c *Client) bool { return m.url == c.url }
	if !slices.EqualFunc(p.members, clients, same) {
		return errors.New("the credentials are of other facilitators")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range p.members {
		m.credential.Store(clients[i].credential.Load())
		m.failing = time.Time{} // it may have been for the old one
	}
	select {
	case p.adopted <- struct{}{}:
	default: // Run is about to look anyway
	}
	return nil
}

// Refresh asks all facilitators what they support. One that does not answer is
// believed what it said before. The error says who did not answer; it is
// [ErrUnsupported] if all did, and none of them settles on the network.
func (p *Pool) Refresh(ctx context.Context) error {
	errs := make([]error, len(p.members))
	var wg sync.WaitGroup
	for i, m := range p.members {
		wg.Go(func() {
			s, err := m.Supported(ctx)
			p.mu.Lock()
			defer p.mu.Unlock()
			errs[i], m.mute = err, err != nil
			if err != nil {
				m.failing = p.now().Add(avoid)
				return
			}
			m.supported = s
			if !s.Supports(1, p.network) && !s.Supports(2, p.network) {
				p.log.Warn("a facilitator does not settle on this network", "facilitator", m.Host(), "network", string(p.network))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.Ready()
}

// Ready returns nil if a facilitator for the network has answered when it was
// last asked what it supports, else [ErrUnsupported].
func (p *Pool) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if !m.mute && (m.supported.Supports(1, p.network) || m.supported.Supports(2, p.network)) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrUnsupported, p.network)
}

// Run refreshes from time to time, until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	pause := refreshSoon
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.adopted:
		case <-time.After(pause):
		}
		pause = refreshEvery
		if err := p.Refresh(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("facilitators out of reach", "err", err)
			pause = refreshSoon
		}
	}
}

// order returns who may be asked about a payment, best first.
func (p *Pool) order(payment x402.Payment) []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var fine, failing, tried []*member
	for _, m := range p.members {
		before, _ := p.tried.get(tryOf(payment, m))
		switch {
		case !m.supported.Supports(payment.Version, p.network):
		case before:
			tried = append(tried, m)
		case m.failing.After(now):
			failing = append(failing, m)
		default:
			fine = append(fine, m)
		}
	}
	return slices.Concat(fine, failing, tried)
}

// failed has a facilitator asked after the others for a while.
func (p *Pool) failed(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.failing = p.now().Add(avoid)
}

// try remembers who was to settle a payment.
func (p *Pool) try(payment x402.Payment, m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried.put(tryOf(payment, m), true)
}

func (p *Pool) none(version int) error {
	return fmt.Errorf("%w: scheme %s of version %d on %s", ErrUnsupported, x402.SchemeExact, version, p.network)
}

// Verify implements [payments.Facilitator]: the first facilitator that knows an
// answer gives it. Each gets half of the time that is left, the last one all.
func (p *Pool) Verify(ctx context.Context, payment x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, poolVerify)
	defer cancel()
	order := p.order(payment)
	if len(order) == 0 {
		return x402.VerifyResponse{}, p.none(payment.Version)
	}
	var errs []error
	for i, m := range order {
		v, err := verify(ctx, m, payment, r, i == len(order)-1)
		if err == nil {
			return v, nil
		}
		errs = append(errs, err)
		if errors.Is(ctx.Err(), context.Canceled) { // the caller has gone
			break
		}
		p.failed(m)
		p.log.Warn("a facilitator can't verify", "facilitator", m.Host(), "err", err)
		if ctx.Err() != nil {
			break
		}
	}
	return x402.VerifyResponse{}, errors.Join(errs...)
}

func verify(ctx context.Context, m *member, payment x402.Payment, r x402.Requirements, last bool) (x402.VerifyResponse, error) {
	if deadline, ok := ctx.Deadline(); ok && !last {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return m.Verify(ctx, payment, r)
}

// Settle implements [payments.Facilitator]. It asks in the order of Verify, so
// that who has verified is asked first, unless it has failed since. Only when a
// facilitator has certainly not got the payment the next one is asked; a payment
// with an unknown end is the Cashier's, who asks the chain.
func (p *Pool) Settle(ctx context.Context, payment x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, poolSettle)
	defer cancel()
	var errs []error
	for _, m := range p.order(payment) {
		if ctx.Err() != nil {
			break
		}
		s, err := m.Settle(ctx, payment, r)
		if !errors.Is(err, payments.ErrNotSettled) {
			p.try(payment, m)
		}
		if err == nil {
			return s, nil
		}
		p.failed(m)
		p.log.Warn("a facilitator can't settle", "facilitator", m.Host(), "payer", payment.Payload.Authorization.From, "err", err)
		errs = append(errs, err)
		if !errors.Is(err, payments.ErrNotSettled) {
			return x402.SettleResponse{}, err
		}
	}
	if len(errs) == 0 {
		errs = []error{p.none(payment.Version), ctx.Err()}
	}
	return x402.SettleResponse{}, fmt.Errorf("%w: %w", payments.ErrNotSettled, errors.Join(errs...))
}
