package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// recheck is how often the node is asked whether the account has sent from
// elsewhere.
const recheck = 30 * time.Second

// begin opens the outbox for a new transaction: it is affordable, its nonce is
// known, and nothing that the node may not have is before it.
func (s *Sender) begin(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	if end, err = s.outbox.open(ctx); err != nil {
		return nil, err
	}
	if _, err = s.price(ctx); err == nil {
		err = s.sync(ctx)
	}
	if err == nil {
		err = s.confirm(ctx)
	}
	if err != nil {
		end()
	}
	return end, err
}

// sync asks the node for the next nonce where ours may be too low. Ours is
// never too high: up to it, every nonce is [Sender.Tend]'s concern. And the node
// may be one of many that has not heard of the last transactions yet.
func (s *Sender) sync(ctx context.Context) error {
	if now := s.opts.Now(); !s.synced || now.Sub(s.asked) >= recheck {
		pending, err := s.client.eth.PendingNonceAt(ctx, common.Address(s.Address()))
		if err != nil {
			return fmt.Errorf("nonce: %w", err)
		}
		if pending > s.outbox.Next {
			s.outbox.Next = pending
			if err := s.outbox.save(); err != nil {
				return err
			}
		}
		s.synced, s.asked = true, now
	}
	if len(s.outbox.Sent) < maxSent/2 {
		return nil
	}
	if _, err := s.forget(ctx); err != nil {
		return err
	}
	if n := len(s.outbox.Sent); n >= maxSent {
		return fmt.Errorf("%d transactions of the gas account %s wait for a block", n, s.Address())
	}
	return nil
}

// forget drops what is in blocks, and returns the first nonce that is not.
func (s *Sender) forget(ctx context.Context) (mined uint64, err error) {
	mined, err = s.client.eth.NonceAt(ctx, common.Address(s.Address()), nil)
	if err != nil {
		return 0, fmt.Errorf("nonce: %w", err)
	}
	s.outbox.drop(mined)
	return mined, nil
}

// confirm submits again what the node may not have. Behind it, nothing would be
// mined.
func (s *Sender) confirm(ctx context.Context) error {
	for _, e := range s.outbox.Sent {
		if e.Taken {
			continue
		}
		if err := s.resend(ctx, e, market{}); err != nil {
			return err
		}
		if !e.Taken {
			return errors.New("the node does not say whether it has the transaction before this one")
		}
	}
	return nil
}

// unsent finishes those of a batch whose calls are on their way already, and
// returns the others.
func (s *Sender) unsent(ctx context.Context, batch []*request) []*request {
	known := func(r *request) bool { return s.outbox.find(r.id) != nil }
	if !slices.ContainsFunc(batch, known) {
		return batch
	}
	if _, err := s.forget(ctx); err != nil {
		finish(batch, common.Hash{}, notSent(err))
		return nil
	}
	return slices.DeleteFunc(batch, func(r *request) bool {
		e := s.outbox.find(r.id)
		if e != nil {
			r.finish(e.tx.Hash(), nil)
		}
		return e != nil
	})
}

// submit signs one transaction for a batch, with the next nonce, and submits it.
func (s *Sender) submit(ctx context.Context, batch []*request) (common.Hash, error) {
	call, err := s.compose(batch)
	if err == nil && batch[0].alone && !call.Fixed {
		call.Gas, err = s.estimate(ctx, call)
	}
	if err != nil {
		return common.Hash{}, notSent(err)
	}
	for attempt := 1; ; attempt++ {
		hash, err := s.try(ctx, batch, call)
		// A refusal may only mean that this account sent from elsewhere too and
		// the nonce had moved on; it is read anew for one more try.
		if attempt == 2 || !errors.Is(err, ErrNotSent) {
			return hash, err
		}
		if err := s.sync(ctx); err != nil {
			return common.Hash{}, notSent(err)
		}
	}
}

func (s *Sender) try(ctx context.Context, batch []*request, call Call) (common.Hash, error) {
	m, err := s.price(ctx)
	if err != nil {
		return common.Hash{}, notSent(err)
	}
	tx, err := s.sign(ctx, &types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(s.client.chainID), Nonce: s.outbox.Next, To: (*common.Address)(&call.To),
		Gas: call.Gas, GasTipCap: m.tip, GasFeeCap: m.feeCap, Data: call.Data,
	})
	if err != nil {
		return common.Hash{}, notSent(err)
	}
	e := &entry{At: s.opts.Now()}
	for _, r := range batch {
		e.Sends = append(e.Sends, r.id)
	}
	if err := e.set(tx); err != nil {
		return common.Hash{}, notSent(err)
	}
	// Once the request is on its way nobody knows whether it arrives.
	if !slices.ContainsFunc(batch, func(r *request) bool { return r.ctx.Err() == nil }) {
		return common.Hash{}, notSent(batch[0].ctx.Err())
	}
	s.outbox.push(e)
	if err := s.outbox.save(); err != nil {
		s.outbox.pop()
		return common.Hash{}, notSent(err)
	}
	fate, err := s.broadcast(ctx, tx)
	s.synced = fate == taken // else ask the node: it may know better
	switch fate {
	case refused, stale, outbidden:
		s.outbox.pop()
		if lost := s.outbox.save(); lost != nil { // it would be submitted again
			return tx.Hash(), errors.Join(err, lost)
		}
		return common.Hash{}, notSent(err)
	case unknown:
		return tx.Hash(), fmt.Errorf("submit transaction: %w", err)
	}
	e.Taken = true
	if err := s.outbox.save(); err != nil {
		s.opts.Log.Warn("a transaction on its way is not noted", "tx", tx.Hash(), "err", err)
	}
	return tx.Hash(), nil
}

// fate is what came of a submission.
type fate int

const (
	unknown   fate = iota // it may have been taken or not
	taken                 // the node has it
	refused               // the node does not take it
	stale                 // … for its nonce is used in a block
	outbidden             // … for another of the same nonce, or the market, pays more
)

// broadcast gives a transaction to the node. The error is nil if it was taken.
func (s *Sender) broadcast(ctx context.Context, tx *types.Transaction) (fate, error) {
	err := s.client.eth.SendTransaction(ctx, tx)
	if err == nil {
		return taken, nil
	}
	var answer rpc.Error
	if !errors.As(err, &answer) {
		return unknown, err
	}
	says := func(words ...string) bool {
		text := strings.ToLower(answer.Error())
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case says("already known", "alreadyknown", "already imported"):
		return taken, nil // an earlier, unanswered try had arrived
	case !isRefusal(answer):
		return unknown, err
	case says("nonce too low", "nonce is too low", "oldnonce"):
		return stale, err
	case says("underpriced"):
		return outbidden, err
	case says("insufficient funds"):
		err = fmt.Errorf("the gas account %s needs ETH: %w", s.Address(), err)
	}
	return refused, err
}

// isRefusal reports whether an answer to eth_sendRawTransaction says that the
// transaction was not taken. Others, such as an internal error or the timeout
// of a node behind this one, may come after it was.
func isRefusal(answer rpc.Error) bool {
	switch answer.ErrorCode() {
	case -32700, -32600, -32601, -32602: // JSON-RPC: the call was not carried out
		return true
	case -32000, -32003: // EIP-1474: invalid input, transaction rejected
		text := strings.ToLower(answer.Error())
		return !strings.Contains(text, "timeout") && !strings.Contains(text, "timed out")
	}
	return false
}

func (s *Sender) sign(ctx context.Context, inner types.TxData) (*types.Transaction, error) {
	tx := types.NewTx(inner)
	signer := types.LatestSignerForChainID(tx.ChainId())
	sig, err := s.key.SignHash(ctx, signer.Hash(tx))
	if err != nil {
		return nil, err
	}
	raw := append([]byte(nil), sig...)
	raw[64] -= 27 // transactions carry the parity itself
	return tx.WithSignature(signer, raw)
}
