package evm

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/x402"
)

// Movement is a transfer that an authorization made.
type Movement struct {
	Transfer
	Transaction common.Hash
	Block       uint64 // that Transaction is in
}

// Final returns the newest block that is too deep in the chain to be replaced; it
// has no number if there is none yet.
func (c *Client) Final(ctx context.Context) (Head, error) {
	head, err := c.Head(ctx)
	if err != nil || head.Number+1 < c.finality {
		return Head{}, err
	}
	return c.block(ctx, head.Number+1-c.finality)
}

func (c *Client) block(ctx context.Context, number uint64) (Head, error) {
	h, err := c.eth.HeaderByNumber(ctx, new(big.Int).SetUint64(number))
	if err != nil {
		return Head{}, fmt.Errorf("ask the chain for block %d: %w", number, err)
	}
	return Head{Number: number, Time: time.Unix(int64(h.Time), 0)}, nil // #nosec G115 -- a node that lies about the time lies as well within the range
}

// BlockAt returns the first block of time t or later, or the head if there is
// none.
func (c *Client) BlockAt(ctx context.Context, t time.Time) (uint64, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	from, to := uint64(0), head.Number
	for from < to {
		middle := from + (to-from)/2
		b, err := c.block(ctx, middle)
		if err != nil {
			return 0, err
		}
		if b.Time.Before(t) {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, nil
}

// Movements returns the transfers of a token from and to an account that were
// made by authorizations, in the blocks from one to another, both included, in the
// chain's order. It asks for a receipt of each transaction that has one.
func (c *Client) Movements(ctx context.Context, token, account x402.Address, from, to uint64) ([]Movement, error) {
	whose := []common.Hash{common.BytesToHash(account[:])}
	seen := map[common.Hash]bool{}
	var transactions []types.Log // one log of each
	for ; from <= to; from += c.logRange {
		for _, topics := range [][][]common.Hash{
			{{c.eventID("Transfer")}, whose},
			{{c.eventID("Transfer")}, nil, whose},
		} {
			logs, err := c.eth.FilterLogs(ctx, ethereum.FilterQuery{
				Addresses: []common.Address{common.Address(token)}, Topics: topics,
				FromBlock: new(big.Int).SetUint64(from), ToBlock: new(big.Int).SetUint64(min(from+c.logRange-1, to))})
			if err != nil {
				return nil, fmt.Errorf("ask the chain for logs: %w", err)
			}
			for _, l := range logs {
				if !seen[l.TxHash] {
					seen[l.TxHash] = true
					transactions = append(transactions, l)
				}
			}
		}
	}
	slices.SortFunc(transactions, func(a, b types.Log) int {
		return cmp.Or(cmp.Compare(a.BlockNumber, b.BlockNumber), cmp.Compare(a.TxIndex, b.TxIndex))
	})
	var all []Movement
	for _, t := range transactions {
		receipt, err := c.receipt(ctx, t.TxHash)
		if err != nil {
			return nil, err
		}
		all = append(all, c.movements(receipt, token, account)...)
	}
	return all, nil
}

// movements finds what [Client.outcome] would accept: a Transfer right behind the
// AuthorizationUsed of who pays.
func (c *Client) movements(receipt *types.Receipt, token, account x402.Address) (all []Movement) {
	var before *types.Log // of the token
	for _, log := range receipt.Logs {
		if log.Address != common.Address(token) {
			continue
		}
		used := before
		before = log
		e, err := c.token.UnpackTransferEvent(log)
		if err != nil || e.Value == nil || (x402.Address(e.From) != account && x402.Address(e.To) != account) ||
			used == nil || len(used.Topics) != 3 || used.Topics[0] != c.eventID("AuthorizationUsed") ||
			used.Topics[1] != common.BytesToHash(e.From[:]) {
			continue
		}
		m := Movement{Transaction: receipt.TxHash, Block: receipt.BlockNumber.Uint64(), Transfer: Transfer{
			Token: token, From: x402.Address(e.From), To: x402.Address(e.To), Nonce: x402.Bytes32(used.Topics[2])}}
		if m.Value.SetFromBig(e.Value) { // it overflows
			continue
		}
		all = append(all, m)
	}
	return all
}
