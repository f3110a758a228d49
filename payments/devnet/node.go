package devnet

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/miner"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/holiman/uint256"
)

// engine is go-ethereum's node without its network: pool, EVM, state and
// JSON-RPC methods, all in memory. It makes a block only when told to, with
// the time it is told; go-ethereum's simulated backend would take the time
// from the system clock.
type engine struct {
	stack *node.Node
	eth   *eth.Ethereum
	rpc   *rpc.Client // every method, also those nobody outside may call
}

func startEngine(g *core.Genesis) (e *engine, err error) {
	stack, err := node.New(&node.Config{
		Name: "concierge-devnet",
		P2P:  p2p.Config{NoDiscovery: true},
		// There are no keys. Without a folder that exists the node would make
		// an empty one, and leave it behind when the process is killed.
		KeyStoreDir: os.TempDir(),
	})
	if err != nil {
		return nil, fmt.Errorf("assemble the node: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stack.Close())
		}
	}()
	backend, err := eth.New(stack, config(g))
	if err != nil {
		return nil, fmt.Errorf("assemble the chain: %w", err)
	}
	logs := filters.NewFilterSystem(backend.APIBackend, filters.Config{})
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(logs)}})
	if err := stack.Start(); err != nil {
		return nil, fmt.Errorf("start the node: %w", err)
	}
	backend.SetSynced()
	e = &engine{stack: stack, eth: backend, rpc: stack.Attach()}
	return e, e.awaitIndex(g.Timestamp + 1)
}

// awaitIndex makes block 1 and waits until the node has seen to its index of
// transactions, which it begins in the background with the first block. Until
// then it answers "indexing is in progress" where "no such transaction" is meant.
func (e *engine) awaitIndex(unix uint64) error {
	if _, err := e.seal(unix); err != nil {
		return err
	}
	deadline := time.After(10 * time.Second)
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for !e.eth.BlockChain().TxIndexDone() {
		select {
		case <-look.C:
		case <-deadline:
			return errors.New("the node's index of transactions is not ready after 10 seconds")
		}
	}
	return nil
}

func config(g *core.Genesis) *ethconfig.Config {
	c := ethconfig.Defaults
	c.Genesis = g
	c.SyncMode = ethconfig.FullSync
	c.LogNoHistory = true // finding logs without an index is fast enough here
	c.Miner.GasCeil = blockGas
	// What the pool takes must also be minable: with the usual minimum tip of
	// 1,000,000 wei one that offers less would be accepted and never mined.
	c.Miner.GasPrice = big.NewInt(1)
	// A facilitator sends hundreds of transactions from one account, and they
	// may overtake each other on the way here.
	c.TxPool.NoLocals = true
	c.TxPool.AccountSlots, c.TxPool.GlobalSlots = 4096, 16384
	c.TxPool.AccountQueue, c.TxPool.GlobalQueue = 4096, 16384
	// Megabytes; the defaults are for a chain on disk.
	c.DatabaseCache, c.TrieCleanCache, c.TrieDirtyCache, c.SnapshotCache = 16, 16, 16, 0
	return &c
}

// head is the newest block's header.
func (e *engine) head() *types.Header { return e.eth.BlockChain().CurrentBlock() }

// seal makes the next block, at the given Unix time, of what is pending, and
// returns how many transactions went in. The time must be after the head's.
// Neither seal nor settle may run twice at a time: the pool's Sync can't.
func (e *engine) seal(unix uint64) (int, error) {
	parent := e.head().Hash()
	block, _, err := e.eth.Miner().BuildTestingPayload(&miner.BuildPayloadArgs{
		Parent:      parent,
		Timestamp:   unix,
		Random:      parent, // prevrandao: anything that changes
		Withdrawals: types.Withdrawals{},
		BeaconRoot:  new(common.Hash),
	}, nil, false, nil)
	if err != nil {
		return 0, fmt.Errorf("build a block: %w", err)
	}
	chain := e.eth.BlockChain()
	if _, err := chain.InsertChain(types.Blocks{block}); err != nil {
		return 0, fmt.Errorf("add a block: %w", err)
	}
	// Nothing here is ever undone.
	chain.SetSafe(block.Header())
	chain.SetFinalized(block.Header())
	return len(block.Transactions()), e.follow(block)
}

// follow waits until the pool has seen a new block. Before that it would offer
// the block's transactions again, and an account that was just given ether
// could not spend it yet.
func (e *engine) follow(block *types.Block) error {
	for {
		if err := e.settle(); err != nil {
			return err
		}
		// The pool may have settled on the head before, when the news of this
		// one was still on its way to it. Whose nonce moved tells.
		if !slices.ContainsFunc(block.Transactions(), e.unseen) {
			return nil
		}
	}
}

// unseen tells whether the pool takes a transaction of the chain for one that
// is still to come.
func (e *engine) unseen(tx *types.Transaction) bool {
	from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx)
	return err == nil && e.eth.TxPool().Nonce(from) <= tx.Nonce()
}

// settle waits for the pool, which sorts new transactions and follows the chain
// in the background, to have done so. One caller at a time: of two at once
// go-ethereum would answer one.
func (e *engine) settle() error {
	if err := e.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("wait for the pool: %w", err)
	}
	return nil
}

// minable returns how many transactions could go into the next block.
func (e *engine) minable() int {
	baseFee := uint256.MustFromBig(eip1559.CalcBaseFee(e.eth.BlockChain().Config(), e.head()))
	_, n := e.eth.TxPool().Pending(txpool.PendingFilter{MinTip: uint256.NewInt(1), BaseFee: baseFee})
	return n
}

// waiting tells whether the pool has this transaction in line for a block: it
// is not mined, and no earlier one of its account is missing.
func (e *engine) waiting(hash common.Hash) bool {
	return e.eth.TxPool().Status(hash) == txpool.TxStatusPending
}

// pooled tells whether the pool has this transaction at all.
func (e *engine) pooled(hash common.Hash) bool {
	return e.eth.TxPool().Status(hash) != txpool.TxStatusUnknown
}

// add puts transactions of our own into the pool, and returns an error or nil
// for each.
func (e *engine) add(txs ...*types.Transaction) []error {
	return e.eth.TxPool().Add(txs, false)
}

func (e *engine) close() error {
	e.rpc.Close()
	return e.stack.Close()
}
