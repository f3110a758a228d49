package devnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// testChain is a Chain with what most tests need around it.
type testChain struct {
	*Chain
	eth   *ethclient.Client
	token abi.ABI
}

// startChain begins a chain that ends with the test. Unless the test sets a
// Lead it may make as many blocks as it likes.
func startChain(tb testing.TB, opts Options) *testChain {
	tb.Helper()
	if opts.Lead == 0 {
		opts.Lead = 24 * time.Hour
	}
	if opts.Log == nil {
		opts.Log = testlog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	c, err := Start(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	token, err := abi.JSON(strings.NewReader(fiatTokenABI))
	if err != nil {
		tb.Fatal(err)
	}
	return &testChain{c, ethclient.NewClient(c.RPC()), token}
}

type account struct {
	key  *ecdsa.PrivateKey
	addr common.Address
}

func newAccount(tb testing.TB) account {
	tb.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	return account{key, crypto.PubkeyToAddress(key.PublicKey)}
}

// funded returns a new account with ether and this much USDC.
func (c *testChain) funded(tb testing.TB, usdc x402.Amount) account {
	tb.Helper()
	a := newAccount(tb)
	if _, err := c.Fund(tb.Context(), a.addr, usdc); err != nil {
		tb.Fatal(err)
	}
	return a
}

// sign returns a transaction with plenty of gas.
func sign(tb testing.TB, from account, nonce uint64, to *common.Address, data []byte) *types.Transaction {
	tb.Helper()
	tx, err := types.SignNewTx(from.key, types.LatestSignerForChainID(big.NewInt(ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(ChainID), Nonce: nonce, To: to, Data: data, Gas: 1_000_000,
		GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(params.GWei),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return tx
}

// send has a transaction mined and returns its receipt.
func (c *testChain) send(tb testing.TB, from account, to *common.Address, data []byte) *types.Receipt {
	tb.Helper()
	nonce, err := c.eth.PendingNonceAt(tb.Context(), from.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tx := sign(tb, from, nonce, to, data)
	if err := c.eth.SendTransaction(tb.Context(), tx); err != nil {
		tb.Fatal(err)
	}
	receipt, err := c.eth.TransactionReceipt(tb.Context(), tx.Hash())
	if err != nil {
		tb.Fatal(err)
	}
	return receipt
}

// sendToken is send for a method of the token, and wants it to succeed.
func (c *testChain) sendToken(tb testing.TB, from account, method string, args ...any) *types.Receipt {
	tb.Helper()
	token := USDC()
	receipt := c.send(tb, from, &token, c.pack(tb, method, args...))
	if receipt.Status != types.ReceiptStatusSuccessful {
		_, reason := c.call(tb, from.addr, method, args...)
		tb.Fatalf("%s failed; now it says %q", method, reason)
	}
	return receipt
}

func (c *testChain) pack(tb testing.TB, method string, args ...any) []byte {
	tb.Helper()
	data, err := c.token.Pack(method, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// call asks the token without a transaction; reason is why it reverted.
func (c *testChain) call(tb testing.TB, from common.Address, method string, args ...any) (out []any, reason string) {
	tb.Helper()
	token := USDC()
	raw, err := c.eth.CallContract(tb.Context(), ethereum.CallMsg{From: from, To: &token, Data: c.pack(tb, method, args...)}, nil)
	if err != nil {
		return nil, revertReason(tb, err)
	}
	if out, err = c.token.Unpack(method, raw); err != nil {
		tb.Fatal(err)
	}
	return out, ""
}

func revertReason(tb testing.TB, err error) string {
	tb.Helper()
	var withData rpc.DataError
	if !errors.As(err, &withData) {
		tb.Fatalf("not a revert: %v", err)
	}
	data, _ := withData.ErrorData().(string)
	reason, err := abi.UnpackRevert(common.FromHex(data))
	if err != nil {
		tb.Fatalf("revert data %q: %v", data, err)
	}
	return reason
}

func (c *testChain) balance(tb testing.TB, of common.Address) int64 {
	tb.Helper()
	out, reason := c.call(tb, of, "balanceOf", of)
	if reason != "" {
		tb.Fatal(reason)
	}
	return out[0].(*big.Int).Int64()
}

func TestFund(t *testing.T) {
	c := startChain(t, Options{})
	a := c.funded(t, 2_500_000)
	if got := c.balance(t, a.addr); got != 2_500_000 {
		t.Errorf("balance %d", got)
	}
	wei, err := c.eth.BalanceAt(t.Context(), a.addr, nil)
	if err != nil || wei.Cmp(ether(1)) != 0 {
		t.Errorf("ether %v, %v", wei, err)
	}
	if _, err := c.Fund(t.Context(), a.addr, 1); err != nil {
		t.Fatal(err)
	}
	if again, _ := c.eth.BalanceAt(t.Context(), a.addr, nil); again.Cmp(wei) != 0 {
		t.Errorf("ether was added to a full account: %v", again)
	}
	hash, err := c.Fund(t.Context(), a.addr, 0)
	if err != nil || hash != (common.Hash{}) {
		t.Errorf("nothing to give: %v, %v", hash, err)
	}
	if _, err := c.Fund(t.Context(), common.Address{}, 1); err == nil {
		t.Error("the zero address was funded")
	}
	if _, err := c.Fund(t.Context(), a.addr, -1); err == nil {
		t.Error("a negative amount was given")
	}
	if got := c.balance(t, a.addr); got != 2_500_001 {
		t.Errorf("balance %d", got)
	}
}

func TestFundGasOnly(t *testing.T) {
	c := startChain(t, Options{})
	a := newAccount(t)
	hash, err := c.Fund(t.Context(), a.addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.eth.TransactionReceipt(t.Context(), hash); err != nil || r.Status != 1 {
		t.Errorf("receipt %v, %v", r, err)
	}
	if wei, _ := c.eth.BalanceAt(t.Context(), a.addr, nil); wei.Cmp(ether(1)) != 0 {
		t.Errorf("ether %v", wei)
	}
}

func TestClosed(t *testing.T) {
	c := startChain(t, Options{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := c.eth.BlockNumber(context.Background()); err == nil {
		t.Error("a closed chain answered")
	}
	if _, err := c.Fund(context.Background(), common.Address{1}, 1); !errors.Is(err, errClosed) {
		t.Errorf("Fund: %v", err)
	}
}

// Close must not leave a caller hanging who waits for a block.
func TestCloseUnderWay(t *testing.T) {
	c := startChain(t, Options{})
	c.producer.wait = func(ctx context.Context, _ time.Duration) error {
		<-ctx.Done() // the block never comes
		return ctx.Err()
	}
	funded := make(chan error)
	go func() {
		_, err := c.Fund(context.Background(), common.Address{1}, 1)
		funded <- err
	}()
	for { // until the faucet's transactions are in the pool
		if n, _ := c.engine.eth.TxPool().Stats(); n == 2 {
			break
		}
		runtime.Gosched()
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-funded; err == nil {
		t.Error("Fund succeeded without a block")
	}
}

func TestTenAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			c, err := Start(Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Fund(t.Context(), common.Address{1}, 1); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The chain must not leave goroutines behind. Some of go-ethereum's end a
// moment after Close (its peer database within a second), so the count is
// given time to fall.
func TestNoLeak(t *testing.T) {
	run := func() {
		c, err := Start(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fund(t.Context(), common.Address{1}, 1); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	run() // go-ethereum's process-wide helpers start with the first
	before := runtime.NumGoroutine()
	for range 5 {
		run()
	}
	deadline, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
