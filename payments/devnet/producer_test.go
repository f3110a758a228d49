package devnet

import (
	"context"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// fakeClock moves when told to, and when the producer waits.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (f *fakeClock) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeClock) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeClock) wait(_ context.Context, d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = append(f.waits, d)
	f.now = f.now.Add(d)
	return nil
}

func startFake(t *testing.T, lead time.Duration) (*testChain, *fakeClock) {
	t.Helper()
	clock := &fakeClock{now: testNow()}
	c := startChain(t, Options{Now: clock.Now, Lead: lead})
	c.producer.wait = clock.wait
	return c, clock
}

func (c *testChain) headTime() time.Time { return c.producer.headTime() }

// One payment a block: at once while the head is at most lead ahead, then one
// a second.
func TestLead(t *testing.T) {
	const blocks, lead = 12, 5 * time.Second
	c, clock := startFake(t, lead)
	for i := range blocks {
		if _, err := c.Fund(t.Context(), common.Address{1}, 1); err != nil {
			t.Fatal(err)
		}
		if got := c.engine.head().Number.Int64(); got != int64(i+2) {
			t.Fatalf("block %d after %d payments", got, i+1)
		}
		if ahead := c.headTime().Sub(clock.Now()); ahead > lead {
			t.Errorf("block %d is %v ahead", i+1, ahead)
		}
	}
	long := 0
	for _, w := range clock.waits {
		if w > pace {
			t.Errorf("waited %v for a block", w)
		}
		if w > pace/2 {
			long++
		}
	}
	if want := blocks - int(lead/time.Second); long != want {
		t.Errorf("%d blocks had to wait, want %d: %v", long, want, clock.waits)
	}
}

// With a clock that stands still (or was set back) there is a block a second.
func TestClockStandsStill(t *testing.T) {
	c, clock := startFake(t, time.Second)
	c.producer.wait = func(ctx context.Context, d time.Duration) error {
		defer clock.advance(-d)
		return clock.wait(ctx, d)
	}
	for range 6 {
		if _, err := c.Fund(t.Context(), common.Address{1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if last := clock.waits[len(clock.waits)-1]; last != pace {
		t.Errorf("the last block waited %v", last)
	}
	if got := c.headTime().Sub(testNow()); got != 6*time.Second {
		t.Errorf("the head is %v ahead", got)
	}
}

// Whoever asks finds the chain's time close to the clock's; nobody asks, and
// nothing happens.
func TestFreshHead(t *testing.T) {
	for method, args := range map[string][]any{
		"eth_blockNumber":      nil,
		"eth_getBlockByNumber": {"latest", false},
		"eth_call":             {map[string]any{"to": USDC(), "data": "0x06fdde03"}, "latest"},
		"eth_estimateGas":      {map[string]any{"to": common.Address{1}}},
	} {
		t.Run(method, func(t *testing.T) {
			c, clock := startFake(t, 5*time.Second)
			ask := func() {
				t.Helper()
				var out any
				if err := c.RPC().CallContext(t.Context(), &out, method, args...); err != nil {
					t.Fatal(err)
				}
			}
			number := func() uint64 { return c.engine.head().Number.Uint64() - 1 }
			ask()
			clock.advance(freshness)
			ask()
			if number() != 0 {
				t.Errorf("%d blocks although the head was fresh", number())
			}
			clock.advance(time.Hour)
			if number() != 0 {
				t.Errorf("%d blocks although nobody asked", number())
			}
			ask()
			if number() != 1 {
				t.Errorf("%d blocks, want one", number())
			}
			if age := clock.Now().Sub(c.headTime()); age < 0 || age >= time.Second {
				t.Errorf("the head is %v old", age)
			}
			ask()
			if number() != 1 {
				t.Errorf("%d blocks, want one still", number())
			}
		})
	}
}

func TestBlockTime(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for _, tt := range []struct {
		name            string
		now, head, want int64 // milliseconds
	}{
		{"clock ahead", 9_900, 5_000, 9_000},
		{"same second", 5_900, 5_000, 6_000},
		{"next second", 6_000, 5_000, 6_000},
		{"clock behind", 3_000, 5_000, 6_000},
	} {
		if got := blockTime(at(tt.now), at(tt.head)); !got.Equal(at(tt.want)) {
			t.Errorf("%s: %d, want %d", tt.name, got.UnixMilli(), tt.want)
		}
	}
}

// sendAll sends transactions at the same moment and returns their receipts.
func (c *testChain) sendAll(tb testing.TB, txs []*types.Transaction) []*types.Receipt {
	tb.Helper()
	var all sync.WaitGroup
	begin, errs := make(chan struct{}), make([]error, len(txs))
	for i, tx := range txs {
		all.Go(func() {
			<-begin
			errs[i] = c.eth.SendTransaction(tb.Context(), tx)
		})
	}
	close(begin)
	all.Wait()
	receipts := make([]*types.Receipt, len(txs))
	for i, tx := range txs {
		if errs[i] != nil {
			tb.Fatal(errs[i])
		}
		var err error
		// A transaction that overtook an earlier one came back before it was
		// mined, but all have now been sent.
		if receipts[i], err = c.eth.TransactionReceipt(tb.Context(), tx.Hash()); err != nil {
			tb.Fatal(err)
		}
	}
	return receipts
}

// 100 settlements of one facilitator at once: all mined, in few blocks.
func TestShareBlocks(t *testing.T) {
	c, payer, facilitator, a := fixture(t)
	token := USDC()
	var txs []*types.Transaction
	for i := range 100 {
		a.nonce, a.value = [32]byte{31: byte(i)}, 1
		data := c.pack(t, transferBytes, a.args(a.signed(t, payer, "TransferWithAuthorization"))...)
		txs = append(txs, sign(t, facilitator, uint64(i), &token, data))
	}
	blocks := map[string]int{}
	for _, r := range c.sendAll(t, txs) {
		if r.Status != types.ReceiptStatusSuccessful {
			t.Error("a transfer failed")
		}
		blocks[r.BlockNumber.String()]++
	}
	t.Logf("transactions by block: %v", blocks)
	if len(blocks) > 25 {
		t.Errorf("100 transactions took %d blocks", len(blocks))
	}
	if got := c.balance(t, a.to); got != 100 {
		t.Errorf("balance %d", got)
	}
}

// Faucet calls that come together share blocks too, and mind their nonces.
func TestFaucetConcurrent(t *testing.T) {
	c := startChain(t, Options{})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if _, err := c.Fund(t.Context(), common.Address{0: 7, 19: byte(i)}, 1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 50 {
		if got := c.balance(t, common.Address{0: 7, 19: byte(i)}); got != 1 {
			t.Errorf("account %d has %d", i, got)
		}
	}
	if n := c.engine.head().Number.Uint64(); n > 25 {
		t.Errorf("50 calls took %d blocks", n)
	}
}

// A transaction behind a gap in the nonces is mined with the one that fills it.
func TestNonceGap(t *testing.T) {
	c := startChain(t, Options{})
	a := c.funded(t, 0)
	first, second := sign(t, a, 0, &common.Address{1}, nil), sign(t, a, 1, &common.Address{1}, nil)
	if err := c.eth.SendTransaction(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, pending, err := c.eth.TransactionByHash(t.Context(), second.Hash()); err != nil || !pending {
		t.Errorf("behind the gap: pending %v, %v", pending, err)
	}
	if err := c.eth.SendTransaction(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, tx := range []*types.Transaction{first, second} {
		if r, err := c.eth.TransactionReceipt(t.Context(), tx.Hash()); err != nil || r.Status != 1 {
			t.Errorf("nonce %d: %v, %v", tx.Nonce(), r, err)
		}
	}
}

// What does not fit into one block goes into the next, with nobody asking.
func TestFullBlock(t *testing.T) {
	c := startChain(t, Options{})
	a := c.funded(t, 0)
	var batch []rpc.BatchElem
	var hashes []common.Hash
	for nonce := range uint64(3) {
		tx, err := types.SignNewTx(a.key, types.LatestSignerForChainID(big.NewInt(ChainID)), &types.DynamicFeeTx{
			ChainID: big.NewInt(ChainID), Nonce: nonce, Gas: blockGas - 1, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(params.GWei),
			Data: []byte{0xfe}, // creates nothing: INVALID burns all the gas
		})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, rpc.BatchElem{Method: "eth_sendRawTransaction", Args: []any{hexutil.Encode(raw)}, Result: new(any)})
		hashes = append(hashes, tx.Hash())
	}
	if err := c.RPC().BatchCallContext(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for i, hash := range hashes {
		if batch[i].Error != nil {
			t.Fatal(batch[i].Error)
		}
		// Rounds are served in their order: this one comes after the block that
		// the one before asked for.
		if i > 0 {
			if err := c.producer.mine(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := c.eth.TransactionReceipt(t.Context(), hash); err != nil || r.GasUsed != blockGas-1 {
			t.Errorf("transaction %d: %v, %v", i, r, err)
		}
	}
	if n := c.engine.head().Number.Int64(); n != 5 { // the first, and the funding
		t.Errorf("at block %d", n)
	}
}

// Old states are forgotten, old blocks, receipts and logs are not.
func TestHistory(t *testing.T) {
	c := startChain(t, Options{})
	first, err := c.Fund(t.Context(), common.Address{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 150 {
		if _, err := c.Fund(t.Context(), common.Address{1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	head := c.engine.head().Number
	at := func(back int64) *big.Int { return new(big.Int).Sub(head, big.NewInt(back)) }
	if wei, err := c.eth.BalanceAt(t.Context(), common.Address{1}, at(100)); err != nil || wei.Cmp(ether(1)) != 0 {
		t.Errorf("100 blocks ago: %v, %v", wei, err)
	}
	if _, err := c.eth.BalanceAt(t.Context(), common.Address{1}, at(140)); err == nil {
		t.Error("140 blocks ago: still known; the package's documentation says otherwise")
	}
	if r, err := c.eth.TransactionReceipt(t.Context(), first); err != nil || r.BlockNumber.Int64() != 2 {
		t.Errorf("first receipt: %v, %v", r, err)
	}
	logs, err := c.eth.FilterLogs(t.Context(), ethereum.FilterQuery{FromBlock: big.NewInt(0),
		Addresses: []common.Address{USDC()}, Topics: [][]common.Hash{{c.token.Events["Transfer"].ID}}})
	if err != nil || len(logs) != 151 {
		t.Errorf("%d logs, %v", len(logs), err)
	}
}
