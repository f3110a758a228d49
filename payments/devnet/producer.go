package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// freshness is how old the head may be when somebody asks for the time.
	freshness = 2 * time.Second
	// gather is how long a block waits for more transactions to share it.
	// Blocks are what the lead is spent on, so a short wait goes a long way.
	gather = 2 * time.Millisecond
	// pace is the time between two blocks once the lead is used up.
	pace = time.Second
)

// errClosed is what a caller gets who comes after Close.
var errClosed = errors.New("the devnet is closed")

// producer decides when a block is made. It is the only caller of engine.seal.
//
// A block's time is at least a second after its parent's, so a burst of blocks
// runs ahead of the clock, and payments would expire too early. Up to lead
// ahead is accepted, blocks are then made at once; beyond that one per second.
type producer struct {
	engine *engine
	log    *slog.Logger
	lead   time.Duration
	now    func() time.Time
	wait   func(context.Context, time.Duration) error // sleep, except in tests

	wake chan struct{} // holds one token when next is to be served

	mu   sync.Mutex
	next *round
}

// round is one turn of the producer, with everybody who waits for it.
type round struct {
	hasTxs bool // false: somebody only needs a fresh head
	done   chan struct{}
	err    error // readable once done is closed
}

func newProducer(e *engine, log *slog.Logger, lead time.Duration, now func() time.Time) *producer {
	return &producer{engine: e, log: log, lead: lead, now: now, wait: sleep, wake: make(chan struct{}, 1)}
}

// mine returns when these transactions, which are in the pool, have been mined,
// except for those that can't be now: an earlier one is missing, or they offer
// too little. Errors: ctx's, or what kept a block from being made.
func (p *producer) mine(ctx context.Context, txs ...common.Hash) error {
	// One round is enough, unless a block is full or the pool is late to see
	// that a transaction's predecessor is there.
	for range 10 {
		if err := await(ctx, p.join(true)); err != nil {
			return err
		}
		if !slices.ContainsFunc(txs, p.engine.waiting) {
			break
		}
	}
	return nil
}

// refresh sees to it that the head is not older than freshness.
func (p *producer) refresh(ctx context.Context) error {
	if !p.stale() {
		return nil
	}
	return await(ctx, p.join(false))
}

func (p *producer) stale() bool { return p.now().Sub(p.headTime()) > freshness }

func (p *producer) headTime() time.Time { return time.Unix(int64(p.engine.head().Time), 0) } // #nosec G115 -- of a chain of our own

// join enters the caller into the next round, and has it served.
func (p *producer) join(hasTxs bool) *round {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = &round{done: make(chan struct{})}
	}
	p.next.hasTxs = p.next.hasTxs || hasTxs
	select {
	case p.wake <- struct{}{}:
	default: // already awake
	}
	return p.next
}

func await(ctx context.Context, r *round) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run serves rounds until ctx ends.
func (p *producer) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			p.finish(p.take(), errClosed)
			return
		}
		if err := p.wait(ctx, p.delay()); err != nil {
			p.finish(p.take(), errClosed)
			return
		}
		r := p.take()
		p.finish(r, p.serve(r))
	}
}

// take closes the round to newcomers. Their transactions may not be in the
// pool yet when it is sealed.
func (p *producer) take() *round {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.next
	p.next = nil
	return r
}

func (p *producer) finish(r *round, err error) {
	if r != nil {
		r.err = err
		close(r.done)
	}
}

// delay is how long to wait before the next block.
func (p *producer) delay() time.Duration {
	ahead := blockTime(p.now(), p.headTime()).Sub(p.now())
	// At most pace, also when the clock was set back or, in a test, stands still.
	return max(gather, min(ahead-p.lead, pace))
}

// blockTime is the time of a block made now: the clock's, in whole seconds, or
// the first that is allowed after the head.
func blockTime(now, head time.Time) time.Time {
	now = now.Truncate(time.Second)
	if first := head.Add(time.Second); now.Before(first) {
		return first
	}
	return now
}

// serve makes the block that the round needs, if any, and asks for another
// round when it left something over.
func (p *producer) serve(r *round) error {
	if r == nil {
		return nil
	}
	if r.hasTxs {
		if err := p.engine.settle(); err != nil {
			return err
		}
	}
	if !p.stale() && (!r.hasTxs || p.engine.minable() == 0) {
		return nil // mined meanwhile, or waiting for an earlier one
	}
	t := blockTime(p.now(), p.headTime())
	n, err := p.engine.seal(uint64(t.Unix())) // #nosec G115 -- a clock after 1970
	if err != nil {
		p.log.Error("no block could be made", "err", err)
		return fmt.Errorf("make a block: %w", err)
	}
	p.log.Debug("block", "number", p.engine.head().Number, "time", t.Unix(), "transactions", n)
	// After an empty block another would be no better.
	if n > 0 && p.engine.minable() > 0 {
		p.join(true)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
