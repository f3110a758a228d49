package evm

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// freshFees is how long an answer about the price of gas is good for: a block,
// on Base.
const freshFees = 2 * time.Second

// market is what gas costs now: the tip, and a fee cap that survives six full
// blocks of rising base fee, in wei.
type market struct{ tip, feeCap *big.Int }

// now is what a unit of gas would cost in the next block.
func (m market) now() *big.Int {
	return new(big.Int).Rsh(new(big.Int).Add(m.tip, m.feeCap), 1) // feeCap is the tip and two base fees
}

// price asks what gas costs, and refuses what is dearer than the ceiling.
func (s *Sender) price(ctx context.Context) (market, error) {
	if s.priced.IsZero() || s.opts.Now().Sub(s.priced) >= freshFees {
		tip, feeCap, err := s.client.fees(ctx)
		if err != nil {
			return market{}, err
		}
		s.market, s.priced = market{tip, feeCap}, s.opts.Now()
	}
	m, ceiling := s.market, s.opts.MaxGasPrice
	if ceiling == nil || m.feeCap.Cmp(ceiling) <= 0 {
		return m, nil
	}
	if now := m.now(); now.Cmp(ceiling) > 0 {
		return market{}, fmt.Errorf("gas costs %s gwei now, more than the ceiling of %s gwei", gwei(now), gwei(ceiling))
	}
	return market{m.tip, ceiling}, nil
}

// outbid returns the fees of a transaction that replaces tx: those of the
// market, but at least an eighth more than before, which every node accepts as
// a replacement. ok is false if that is above the ceiling, or m is zero.
func (s *Sender) outbid(tx *types.Transaction, m market) (_ market, ok bool) {
	if m.tip == nil {
		return m, false
	}
	m = market{bigger(m.tip, eighthMore(tx.GasTipCap())), bigger(m.feeCap, eighthMore(tx.GasFeeCap()))}
	m.feeCap = bigger(m.feeCap, m.tip)
	return m, s.opts.MaxGasPrice == nil || m.feeCap.Cmp(s.opts.MaxGasPrice) <= 0
}

func eighthMore(n *big.Int) *big.Int {
	more := new(big.Int).Add(n, new(big.Int).Rsh(n, 3))
	return more.Add(more, big.NewInt(1))
}

func bigger(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

// gwei writes wei in gwei, exactly.
func gwei(wei *big.Int) string {
	s := new(big.Rat).SetFrac(wei, big.NewInt(params.GWei)).FloatString(9)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
