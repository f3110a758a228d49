package evm_test

import (
	"encoding/json"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// now is when the tests take place: within the window of the vectors. The
// chain's clock stands still there, so that it makes blocks for transactions
// and for nothing else.
var now = time.Unix(1_750_000_100, 0)

// publicKey is the test key that signed the vectors; everybody knows it.
const publicKey = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"

// vectors are payments signed by other implementations.
func vectors(tb testing.TB) map[string]x402.Payment {
	tb.Helper()
	file, err := os.ReadFile("../x402/testdata/x402-exact-evm.json")
	if err != nil {
		tb.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(file, &raw); err != nil {
		tb.Fatal(err)
	}
	payments := map[string]x402.Payment{}
	for _, name := range []string{"v1a", "v1b", "v2"} {
		if payments[name], err = x402.DecodePayment(raw[name]); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return payments
}

// usdcDomain is the domain of the token on the embedded chain.
func usdcDomain(tb testing.TB) evm.Domain {
	tb.Helper()
	asset, extra, _ := x402.USDC(x402.BaseSepolia)
	d, err := evm.DomainOf(x402.Requirements{Network: x402.BaseSepolia, Asset: asset, Extra: extra})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func publicWallet(tb testing.TB) *account {
	tb.Helper()
	testlog.Secret(publicKey)
	tb.Setenv("PUBLIC_TEST_KEY", publicKey)
	w, err := wallet.FromEnv("PUBLIC_TEST_KEY")
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

type account = wallet.Local

// chain is an embedded chain, a client of it, and an account with gas money
// that sends what a test wants sent.
type chain struct {
	*devnet.Chain
	eth    *ethclient.Client
	client *evm.Client
	token  *evm.FiatToken
	usdc   x402.Address
	random *rand.ChaCha8
	relay  *account
	calls  atomic.Uint64 // made by transferCall
}

func startChain(tb testing.TB, opts evm.Options) *chain {
	tb.Helper()
	log := testlog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	started, err := devnet.Start(devnet.Options{Now: func() time.Time { return now }, Lead: 24 * time.Hour, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := started.Close(); err != nil {
			tb.Error(err)
		}
	})
	c := &chain{Chain: started, eth: ethclient.NewClient(started.RPC()), token: evm.NewFiatToken(),
		usdc: x402.Address(devnet.USDC()), random: rand.NewChaCha8([32]byte{1})}
	c.client = c.connect(tb, opts)
	c.relay = c.funded(tb, 0)
	return c
}

// connect returns another client, in this process.
func (c *chain) connect(tb testing.TB, opts evm.Options) *evm.Client {
	tb.Helper()
	if opts.Poll == 0 {
		opts.Poll = time.Millisecond
	}
	client, err := evm.NewClient(tb.Context(), c.RPC(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func (c *chain) account(tb testing.TB) *account {
	tb.Helper()
	w, err := wallet.New(c.random)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// funded returns a new account with gas money and this much USDC.
func (c *chain) funded(tb testing.TB, usdc x402.Amount) *account {
	tb.Helper()
	w := c.account(tb)
	c.fund(tb, w.Address(), usdc)
	return w
}

func (c *chain) fund(tb testing.TB, to x402.Address, usdc x402.Amount) {
	tb.Helper()
	if _, err := c.Fund(tb.Context(), common.Address(to), usdc); err != nil {
		tb.Fatal(err)
	}
}

// grow adds n blocks.
func (c *chain) grow(tb testing.TB, n int) {
	tb.Helper()
	for range n {
		c.fund(tb, x402.Address{0xee}, 1)
	}
}

func (c *chain) head(tb testing.TB) uint64 {
	tb.Helper()
	n, err := c.eth.BlockNumber(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// authorize returns a fresh authorization, valid for an hour.
func (c *chain) authorize(from *account, to x402.Address, value uint64) x402.Authorization {
	a := x402.Authorization{From: from.Address(), To: to, Value: x402.NewUint256(value),
		ValidBefore: x402.NewUint256(uint64(now.Unix()) + 3600)}
	_, _ = c.random.Read(a.Nonce[:])
	return a
}

// expected is the transfer that a is for.
func (c *chain) expected(a x402.Authorization) evm.Transfer {
	return evm.Transfer{Token: c.usdc, From: a.From, To: a.To, Value: a.Value, Nonce: a.Nonce}
}

// call returns the call data that uses a.
func (c *chain) call(tb testing.TB, payer *account, a x402.Authorization) []byte {
	tb.Helper()
	sig, err := payer.SignHash(tb.Context(), usdcDomain(tb).Digest(a))
	if err != nil {
		tb.Fatal(err)
	}
	data, err := c.client.PackTransfer(a, sig)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// cancelCall returns the call data by which a payer cancels an authorization.
func (c *chain) cancelCall(tb testing.TB, payer *account, nonce x402.Bytes32) []byte {
	tb.Helper()
	from, separator := payer.Address(), usdcDomain(tb).Separator()
	message := crypto.Keccak256(crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)")),
		common.LeftPadBytes(from[:], 32), nonce[:])
	sig, err := payer.SignHash(tb.Context(), crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], message))
	if err != nil {
		tb.Fatal(err)
	}
	return c.token.PackCancelAuthorization(common.Address(from), nonce, sig)
}

// send has a transaction mined, without the help of what is tested here, and
// returns its receipt. It may fail on the chain.
func (c *chain) send(tb testing.TB, from *account, to x402.Address, data []byte) *types.Receipt {
	tb.Helper()
	nonce, err := c.eth.PendingNonceAt(tb.Context(), common.Address(from.Address()))
	if err != nil {
		tb.Fatal(err)
	}
	tx := types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(devnet.ChainID), Nonce: nonce, To: (*common.Address)(&to),
		Data: data, Gas: 1_000_000, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(params.GWei)})
	signer := types.LatestSignerForChainID(tx.ChainId())
	sig, err := from.SignHash(tb.Context(), signer.Hash(tx))
	if err != nil {
		tb.Fatal(err)
	}
	sig[64] -= 27
	if tx, err = tx.WithSignature(signer, sig); err != nil {
		tb.Fatal(err)
	}
	if err := c.eth.SendTransaction(tb.Context(), tx); err != nil {
		tb.Fatal(err)
	}
	receipt, err := c.eth.TransactionReceipt(tb.Context(), tx.Hash())
	if err != nil {
		tb.Fatal(err)
	}
	return receipt
}

// settle has the relay use an authorization, and wants it to work.
func (c *chain) settle(tb testing.TB, payer *account, a x402.Authorization) *types.Receipt {
	tb.Helper()
	receipt := c.send(tb, c.relay, c.usdc, c.call(tb, payer, a))
	if receipt.Status != types.ReceiptStatusSuccessful {
		tb.Fatal("the transfer failed")
	}
	return receipt
}
