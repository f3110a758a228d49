package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/x402"
)

// Transfer is a token transfer that somebody authorized and somebody waits for.
type Transfer struct {
	Token x402.Address
	From  x402.Address
	To    x402.Address
	Value x402.Uint256
	Nonce x402.Bytes32
}

// State is what the chain has made of an authorization.
type State int

const (
	// Unused: nobody has used or cancelled it. It can still be used in any
	// later block whose time is before validBefore.
	Unused State = iota
	// Transferred: it was used by exactly the expected transfer.
	Transferred
	// Spent: it was cancelled, or its nonce was used by another transfer. It
	// can never be used again.
	Spent
)

// Outcome is the chain's answer about an authorization. Head is the block that
// it was given at, with its time if State is Unused; the rest is set otherwise.
type Outcome struct {
	State       State
	Confirmed   bool // it has the number of confirmations that the Client wants
	Final       bool // it is too deep in the chain to be replaced
	Transaction common.Hash
	Block       uint64 // that Transaction is in
	Head        Head
}

// logRange is how many blocks one eth_getLogs asks for; public nodes refuse
// much more.
const logRange = 1000

// Authorization asks the chain what has become of the authorization for t. Its
// use is looked for from block since on, which must be no later than the head
// was when the authorization was last known to be unused.
//
// An error means "not known now", never "unused": also when the node says that
// it is used but does not have the logs of it, or not yet.
func (c *Client) Authorization(ctx context.Context, t Transfer, since uint64) (Outcome, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return Outcome{}, err
	}
	// Asked at the head's own number, a node that lags behind answers with an
	// error instead of with the past.
	used, err := c.authorizationState(ctx, t.Token, t.From, t.Nonce, new(big.Int).SetUint64(head.Number))
	if err != nil {
		return Outcome{}, err
	}
	if !used {
		return Outcome{State: Unused, Head: head}, nil
	}
	log, err := c.findUse(ctx, t, since, head.Number)
	if err != nil {
		return Outcome{}, err
	}
	receipt, err := c.receipt(ctx, log.TxHash)
	if err != nil {
		return Outcome{}, err
	}
	o, ok := c.outcome(receipt, t, head)
	if !ok {
		return Outcome{}, fmt.Errorf("the chain changed while it was asked: transaction %s has another receipt than logs", log.TxHash)
	}
	return o, nil
}

// receipt returns the receipt of a transaction that is in a block. Errors:
// [ethereum.NotFound].
func (c *Client) receipt(ctx context.Context, tx common.Hash) (*types.Receipt, error) {
	receipt, err := c.eth.TransactionReceipt(ctx, tx)
	if err == nil && receipt.BlockNumber == nil { // some nodes show receipts of pending ones
		err = ethereum.NotFound
	}
	if err != nil {
		return nil, fmt.Errorf("ask the chain for a receipt: %w", err)
	}
	return receipt, nil
}

// findUse returns the log of the use or cancellation of an authorization.
func (c *Client) findUse(ctx context.Context, t Transfer, since, head uint64) (*types.Log, error) {
	query := ethereum.FilterQuery{
		Addresses: []common.Address{common.Address(t.Token)},
		Topics: [][]common.Hash{
			{c.eventID("AuthorizationUsed"), c.eventID("AuthorizationCanceled")},
			{common.BytesToHash(t.From[:])}, {common.Hash(t.Nonce)}},
	}
	for from := since; from <= head; from += c.logRange {
		query.FromBlock = new(big.Int).SetUint64(from)
		query.ToBlock = new(big.Int).SetUint64(min(from+c.logRange-1, head))
		logs, err := c.eth.FilterLogs(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("ask the chain for logs: %w", err)
		}
		if len(logs) > 0 {
			return &logs[0], nil
		}
	}
	return nil, fmt.Errorf("the chain says used, but has no log of it since block %d", since)
}

// outcome judges a receipt by its logs. Its status proves nothing: the token's
// log right after AuthorizationUsed must be the expected Transfer. The pair
// counts, for one transaction may carry several payments of one payer. ok is
// false if the authorization was neither used nor cancelled there.
func (c *Client) outcome(receipt *types.Receipt, t Transfer, head Head) (o Outcome, ok bool) {
	block := receipt.BlockNumber.Uint64()
	o = Outcome{State: Spent, Transaction: receipt.TxHash, Block: block, Head: head,
		Confirmed: head.Number+1 >= block+c.confirmations, Final: head.Number+1 >= block+c.finality}
	for _, log := range receipt.Logs {
		if log.Address != common.Address(t.Token) {
			continue
		}
		if ok { // the log before was AuthorizationUsed of our nonce
			if c.isTransfer(log, t) {
				o.State = Transferred
			}
			return o, true
		}
		if c.isEnd(log, "AuthorizationCanceled", t) {
			return o, true
		}
		ok = c.isEnd(log, "AuthorizationUsed", t)
	}
	return o, ok
}

// isEnd reports whether a log is the named event of t's authorization.
func (c *Client) isEnd(log *types.Log, event string, t Transfer) bool {
	return slices.Equal(log.Topics, []common.Hash{c.eventID(event), common.BytesToHash(t.From[:]), common.Hash(t.Nonce)})
}

func (c *Client) isTransfer(log *types.Log, t Transfer) bool {
	e, err := c.token.UnpackTransferEvent(log)
	return err == nil && e.From == common.Address(t.From) && e.To == common.Address(t.To) &&
		e.Value != nil && e.Value.Cmp(t.Value.ToBig()) == 0
}

// Await waits until transaction tx has its confirmations and tells what it
// made of the authorization; when it made nothing of it (it reverted, or
// carries other logs) [Client.Authorization] answers. What the node can't answer
// it is asked again. Await ends with ctx's error, and the node's last if it had
// one, when the transaction stays away.
func (c *Client) Await(ctx context.Context, tx common.Hash, t Transfer, since uint64) (Outcome, error) {
	timer := time.NewTicker(c.poll)
	defer timer.Stop()
	var last error // of the node
	for {
		o, err := c.look(ctx, tx, t, since)
		if err == nil {
			return o, nil
		}
		if !errors.Is(err, errNotYet) && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return Outcome{}, errors.Join(ctx.Err(), last)
		case <-timer.C:
		}
	}
}

// errNotYet means that a transaction has to be awaited longer.
var errNotYet = errors.New("not on the chain yet, or not deep enough")

// look is one look of [Client.Await]. Errors: [errNotYet].
func (c *Client) look(ctx context.Context, tx common.Hash, t Transfer, since uint64) (Outcome, error) {
	receipt, err := c.receipt(ctx, tx)
	if errors.Is(err, ethereum.NotFound) {
		return Outcome{}, errNotYet
	}
	if err != nil {
		return Outcome{}, err
	}
	o, err := c.judge(ctx, receipt, t, since)
	switch {
	case err != nil:
		return Outcome{}, err
	case o.Confirmed:
		return o, nil
	// Unused before the transaction's own block is the word of a node that lags
	// behind: it does not know of a use that the transaction met.
	case o.State == Unused && o.Head.Number >= receipt.BlockNumber.Uint64():
		return o, nil
	}
	return Outcome{}, errNotYet
}

func (c *Client) judge(ctx context.Context, receipt *types.Receipt, t Transfer, since uint64) (Outcome, error) {
	head := Head{Number: receipt.BlockNumber.Uint64()}
	if c.confirmations > 1 {
		var err error
		if head, err = c.Head(ctx); err != nil {
			return Outcome{}, err
		}
	}
	if o, ok := c.outcome(receipt, t, head); ok {
		return o, nil
	}
	return c.Authorization(ctx, t, since)
}

// eventID returns the first topic of an event of the token.
func (c *Client) eventID(name string) common.Hash { return c.events[name].ID }
