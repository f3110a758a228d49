package devnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"github.com/events-concierge/concierge/payments/x402"
)

// faucet gives money away. Its account may mint USDC and owns a lot of ether.
type faucet struct {
	key      *ecdsa.PrivateKey
	account  common.Address
	token    abi.ABI
	signer   types.Signer
	engine   *engine
	node     *ethclient.Client
	producer *producer

	sending sync.Mutex
	nonce   uint64 // of the next transaction; nobody else has the key
}

func newFaucet(key *ecdsa.PrivateKey, e *engine, p *producer) (*faucet, error) {
	token, err := abi.JSON(strings.NewReader(fiatTokenABI))
	if err != nil {
		return nil, fmt.Errorf("embedded ABI of the token: %w", err)
	}
	return &faucet{
		key: key, account: crypto.PubkeyToAddress(key.PublicKey), token: token,
		signer: types.LatestSignerForChainID(big.NewInt(ChainID)),
		engine: e, node: ethclient.NewClient(e.rpc), producer: p,
	}, nil
}

// Fund gives an account USDC, and 1 ETH for gas when it has less than half of
// one. It returns the hash of the transaction that minted, once that is mined.
// With no USDC the hash is that of the ether's transaction, or zero when none
// was needed. A contract that takes no ether gets none; that is no error.
//
// When ctx ends first the transactions are mined all the same.
func (c *Chain) Fund(ctx context.Context, to common.Address, usdc x402.Amount) (common.Hash, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return common.Hash{}, err
	}
	defer leave()
	return c.faucet.give(ctx, to, usdc)
}

func (f *faucet) give(ctx context.Context, to common.Address, usdc x402.Amount) (common.Hash, error) {
	if usdc < 0 || to == (common.Address{}) {
		return common.Hash{}, errors.New("the faucet gives amounts of at least 0 to addresses other than 0")
	}
	txs, err := f.send(to, usdc)
	if err != nil || len(txs) == 0 {
		return common.Hash{}, err
	}
	var hashes []common.Hash
	for _, tx := range txs {
		hashes = append(hashes, tx.Hash())
	}
	first := hashes[0]
	if err := f.producer.mine(ctx, hashes...); err != nil {
		return first, fmt.Errorf("wait for the faucet's transaction %s: %w", first, err)
	}
	receipt, err := f.node.TransactionReceipt(ctx, first)
	if err != nil {
		return first, fmt.Errorf("ask for the faucet's transaction %s: %w", first, err)
	}
	if usdc > 0 && receipt.Status != types.ReceiptStatusSuccessful {
		return first, fmt.Errorf("the token refused to mint: transaction %s", first)
	}
	return first, nil
}

// send puts what is needed into the pool: the mint first, then the ether.
func (f *faucet) send(to common.Address, usdc x402.Amount) ([]*types.Transaction, error) {
	f.sending.Lock()
	defer f.sending.Unlock()
	state, err := f.engine.eth.BlockChain().State()
	if err != nil {
		return nil, fmt.Errorf("read the chain's state: %w", err)
	}
	var wanted []*types.DynamicFeeTx
	if usdc > 0 {
		data, err := f.token.Pack("mint", to, big.NewInt(int64(usdc)))
		if err != nil {
			return nil, fmt.Errorf("encode the mint: %w", err)
		}
		token := USDC()
		wanted = append(wanted, &types.DynamicFeeTx{To: &token, Data: data})
	}
	if half := new(big.Int).Rsh(ether(1), 1); state.GetBalance(to).ToBig().Cmp(half) < 0 {
		wanted = append(wanted, &types.DynamicFeeTx{To: &to, Value: ether(1)})
	}
	var txs []*types.Transaction
	for _, w := range wanted {
		w.ChainID, w.Nonce, w.Gas = big.NewInt(ChainID), f.nonce+uint64(len(txs)), 100_000
		w.GasTipCap, w.GasFeeCap = big.NewInt(1), big.NewInt(1000*params.GWei)
		tx, err := types.SignNewTx(f.key, f.signer, w)
		if err != nil {
			return nil, fmt.Errorf("sign for the faucet: %w", err)
		}
		txs = append(txs, tx)
	}
	// Together: one that comes while the pool sorts the other would be left in
	// the pool's queue, for the next block.
	for _, err := range f.engine.add(txs...) {
		if err != nil {
			return nil, fmt.Errorf("send from the faucet: %w", err)
		}
		f.nonce++
	}
	return txs, nil
}
