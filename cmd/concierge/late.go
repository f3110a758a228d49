package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// late is a network that is opened while the server already answers. A desktop
// client waits for the first answer, and most calls need no chain; those that do
// wait for it here. An embedded chain starts when it is first asked, a node is
// connected to at once; an attempt that failed is made again when asked.
type late struct {
	open func() (*settling, error)
	mu   sync.Mutex
	last *attempt
}

type attempt struct {
	done chan struct{}
	side *settling
	err  error
}

func (n *networkFlags) openLate(ctx context.Context, log *slog.Logger) *late {
	l := &late{open: func() (*settling, error) { return n.open(ctx, log) }}
	if n.name != onDevnet || n.rpc != "" {
		l.attempt()
	}
	return l
}

// attempt returns the attempt that is under way or succeeded, else a new one.
func (l *late) attempt() *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != nil {
		select {
		case <-l.last.done:
			if l.last.err == nil {
				return l.last
			}
		default:
			return l.last
		}
	}
	a := &attempt{done: make(chan struct{})}
	l.last = a
	go func() { // close waits for it
		defer close(a.done)
		a.side, a.err = l.open()
	}()
	return a
}

func (l *late) side(ctx context.Context) (*settling, error) {
	a := l.attempt()
	select {
	case <-a.done:
		return a.side, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *late) close() error {
	l.mu.Lock()
	a := l.last
	l.mu.Unlock()
	if a == nil {
		return nil
	}
	<-a.done
	if a.err != nil {
		return nil
	}
	return a.side.close()
}

// Head implements [payments.Chain], as the next seven do.
func (l *late) Head(ctx context.Context) (evm.Head, error) {
	s, err := l.side(ctx)
	if err != nil {
		return evm.Head{}, err
	}
	return s.client.Head(ctx)
}

func (l *late) Balance(ctx context.Context, token, owner x402.Address) (x402.Uint256, error) {
	s, err := l.side(ctx)
	if err != nil {
		return x402.Uint256{}, err
	}
	return s.client.Balance(ctx, token, owner)
}

func (l *late) Authorization(ctx context.Context, t evm.Transfer, since uint64) (evm.Outcome, error) {
	s, err := l.side(ctx)
	if err != nil {
		return evm.Outcome{}, err
	}
	return s.client.Authorization(ctx, t, since)
}

func (l *late) Await(ctx context.Context, tx common.Hash, t evm.Transfer, since uint64) (evm.Outcome, error) {
	s, err := l.side(ctx)
	if err != nil {
		return evm.Outcome{}, err
	}
	return s.client.Await(ctx, tx, t, since)
}

func (l *late) Signed(ctx context.Context, by x402.Address, digest common.Hash, sig x402.Signature) error {
	s, err := l.side(ctx)
	if err != nil {
		return err
	}
	return s.client.Signed(ctx, by, digest, sig)
}

func (l *late) Final(ctx context.Context) (evm.Head, error) {
	s, err := l.side(ctx)
	if err != nil {
		return evm.Head{}, err
	}
	return s.client.Final(ctx)
}

func (l *late) BlockAt(ctx context.Context, t time.Time) (uint64, error) {
	s, err := l.side(ctx)
	if err != nil {
		return 0, err
	}
	return s.client.BlockAt(ctx, t)
}

func (l *late) Movements(ctx context.Context, token, account x402.Address, from, to uint64) ([]evm.Movement, error) {
	s, err := l.side(ctx)
	if err != nil {
		return nil, err
	}
	return s.client.Movements(ctx, token, account, from, to)
}

// Verify implements [payments.Facilitator], as the next one does.
func (l *late) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	s, err := l.side(ctx)
	if err != nil {
		return x402.VerifyResponse{}, err
	}
	return s.facilitator.Verify(ctx, p, r)
}

func (l *late) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	s, err := l.side(ctx)
	if err != nil {
		return x402.SettleResponse{}, fmt.Errorf("%w: %w", payments.ErrNotSettled, err)
	}
	return s.facilitator.Settle(ctx, p, r)
}
