package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/events-concierge/concierge/payments/x402"
)

// Key signs hashes for an ordinary account. Package wallet has them.
type Key interface {
	Address() x402.Address
	SignHash(ctx context.Context, digest common.Hash) (x402.Signature, error)
}

// ErrNotSent is wrapped when the transaction did not leave this process, or the
// node answered that it does not take it. Any other error of Send leaves open
// whether it did.
var ErrNotSent = errors.New("transaction not taken by the node")

// recheck is how often the node is asked whether it counts as the Sender does.
// Should it have lost a transaction, all that come after would wait for it
// forever.
const recheck = 30 * time.Second

// Sender puts transactions of one account on the chain, one nonce at a time.
// Nobody else may send for that account while it does.
type Sender struct {
	client *Client
	key    Key

	turn   chan struct{} // holds a token while somebody sends; guards the rest
	nonce  uint64
	synced bool      // nonce is known to be the next one
	asked  time.Time // when the node was last asked for it,
	answer uint64    // and what it said
}

// NewSender returns the Sender of key's account.
func NewSender(client *Client, key Key) *Sender {
	return &Sender{client: client, key: key, turn: make(chan struct{}, 1)}
}

// Address returns the account that pays for gas.
func (s *Sender) Address() x402.Address { return s.key.Address() }

// Send signs and submits a call of a contract and returns its hash at once; it
// does not wait for a block. With an error other than [ErrNotSent] the
// transaction may be on its way all the same; its hash is then given too.
func (s *Sender) Send(ctx context.Context, to x402.Address, data []byte, gas uint64) (common.Hash, error) {
	tip, feeCap, err := s.client.fees(ctx)
	if err != nil {
		return common.Hash{}, notSent(err)
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return common.Hash{}, notSent(ctx.Err())
	}
	for attempt := 1; ; attempt++ {
		hash, err := s.send(ctx, &types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(s.client.chainID), To: (*common.Address)(&to),
			Gas: gas, GasTipCap: tip, GasFeeCap: feeCap, Data: data,
		})
		// A refusal may only mean that this account sent from elsewhere too and
		// the nonce had moved on; it is read anew for one more try.
		if attempt == 2 || !errors.Is(err, ErrNotSent) {
			return hash, err
		}
	}
}

func notSent(err error) error { return fmt.Errorf("%w: %w", ErrNotSent, err) }

// send signs with the next nonce and submits; the caller has the turn.
func (s *Sender) send(ctx context.Context, call *types.DynamicFeeTx) (common.Hash, error) {
	if err := s.sync(ctx); err != nil {
		return common.Hash{}, notSent(fmt.Errorf("nonce: %w", err))
	}
	call.Nonce = s.nonce
	tx, err := s.sign(ctx, call)
	if err != nil {
		return common.Hash{}, notSent(err)
	}
	// Once the request is on its way nobody knows whether it arrives.
	if err := ctx.Err(); err != nil {
		return common.Hash{}, notSent(err)
	}
	err = s.client.eth.SendTransaction(ctx, tx)
	if err == nil {
		s.nonce++
		return tx.Hash(), nil
	}
	s.synced = false // ask the node: it may have taken it, or know better
	var answer rpc.Error
	switch {
	case !errors.As(err, &answer):
	case known(answer):
		return tx.Hash(), nil // an earlier, unanswered try had arrived
	case refused(answer):
		return common.Hash{}, notSent(err)
	}
	return tx.Hash(), fmt.Errorf("submit transaction: %w", err)
}

// sync asks the node for the next nonce where ours may be wrong.
func (s *Sender) sync(ctx context.Context) error {
	if s.synced && time.Since(s.asked) < recheck {
		return nil
	}
	pending, err := s.client.eth.PendingNonceAt(ctx, common.Address(s.key.Address()))
	if err != nil {
		return err
	}
	// A lower count may be that of one node of many, which has not heard of the
	// last transactions yet. That passes; a loss does not.
	if !s.synced || pending > s.nonce || pending == s.answer {
		s.nonce = pending
	}
	s.synced, s.asked, s.answer = true, time.Now(), pending
	return nil
}

// known recognizes the words in which nodes say that they have this very
// transaction already.
func known(answer rpc.Error) bool {
	text := strings.ToLower(answer.Error())
	return strings.Contains(text, "already known") || strings.Contains(text, "alreadyknown") ||
		strings.Contains(text, "already imported")
}

// refused reports whether an answer to eth_sendRawTransaction says that the
// transaction was not taken. Others, such as an internal error or the timeout
// of a node behind this one, may come after it was.
func refused(answer rpc.Error) bool {
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
