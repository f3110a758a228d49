package evm

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// Run tends at once, and then every interval until ctx ends.
func (s *Sender) Run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := s.Tend(ctx); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("look after the gas account's transactions", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Tend looks once after the transactions that are not in a block. What has
// waited for longer than the Sender's patience is submitted again: the first in
// line, which the others wait for, with a higher fee, up to the ceiling, the
// others so when the market has risen. A nonce in the line of which nobody knows
// what it was for is used up by a transaction that does nothing.
//
// So whatever was lost, the line moves on as soon as gas costs less than the
// ceiling and there is ether to pay for it.
func (s *Sender) Tend(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	end, err := s.outbox.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	if s.synced && len(s.outbox.Sent) == 0 {
		return nil
	}
	if err := s.sync(ctx); err != nil {
		return err
	}
	mined, err := s.forget(ctx)
	if err != nil {
		return err
	}
	if err := s.outbox.cover(mined, s.opts.Now()); err != nil {
		return err
	}
	return errors.Join(s.hurry(ctx), s.outbox.save())
}

// hurry submits again what has waited for too long.
func (s *Sender) hurry(ctx context.Context) error {
	for i, e := range s.outbox.Sent {
		if e.Taken && s.opts.Now().Sub(e.At) < s.opts.Patience {
			continue
		}
		m, err := s.price(ctx)
		if err != nil {
			s.opts.Log.Warn("a transaction waits, and its fee can't be raised", "tx", e.tx.Hash(), "err", err)
			m = market{}
		} else if i > 0 && m.feeCap.Cmp(e.tx.GasFeeCap()) <= 0 {
			m = market{} // good enough, once it is first
		}
		if err := s.resend(ctx, e, m); err != nil {
			return err
		}
	}
	return nil
}

// resend submits a transaction again, for the fees of m or, when that is zero or
// too little more, as it is. The error is of the key, or ctx's.
func (s *Sender) resend(ctx context.Context, e *entry, m market) error {
	tx := e.tx
	if bid, ok := s.outbid(tx, m); ok {
		var err error
		if tx, err = s.sign(ctx, &types.DynamicFeeTx{ChainID: tx.ChainId(), Nonce: tx.Nonce(), To: tx.To(),
			Gas: tx.Gas(), GasTipCap: bid.tip, GasFeeCap: bid.feeCap, Data: tx.Data()}); err != nil {
			return err
		}
	}
	if tx.GasFeeCap().Sign() == 0 {
		return nil // not signed yet; later
	}
	e.At = s.opts.Now()
	log := s.opts.Log.With("tx", tx.Hash(), "nonce", tx.Nonce(), "gwei", gwei(tx.GasFeeCap()))
	fate, err := s.broadcast(ctx, tx)
	switch fate {
	case taken:
		log.Info("transaction submitted again", "before", e.tx.Hash())
	case outbidden: // by one of which nothing is known; the next bid is higher
		e.At = time.Time{}
	case stale:
		tx = e.tx
	case refused:
		log.Warn("transaction not taken again", "err", err)
		if tx = e.tx; !e.Taken {
			// Perhaps no node will ever have it, and then none of those behind it
			// would be mined.
			tx, e.Sends, e.At = s.outbox.nothing(tx.Nonce()), nil, time.Time{}
		}
	case unknown:
		log.Warn("transaction submitted again, without an answer", "err", err)
	}
	e.Taken = e.Taken || fate != unknown
	return e.set(tx)
}
