package payments_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// clock stands still until it is moved.
type clock struct{ unix atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.unix.Store(t.UnixNano())
	return c
}

func (c *clock) Now() time.Time           { return time.Unix(0, c.unix.Load()).UTC() }
func (c *clock) Advance(by time.Duration) { c.unix.Add(int64(by)) }

// network is the chain that all tests share: each of them has payers and payees
// of its own. Its time moves by a second a block, and when a test moves it; such a
// test must not run in parallel to others.
type network struct {
	chain    *devnet.Chain
	clock    *clock
	client   *evm.Client
	eth      *ethclient.Client
	gas      *evm.Sender // of every local facilitator
	stranger *evm.Sender // who has nothing to do with a payment
	// New files of a server and of a Host. To make them takes longer than most
	// tests, so it is done once.
	server, host []byte
}

var testnet *network

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	n := &network{clock: newClock(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))}
	n.chain, err = devnet.Start(devnet.Options{Now: n.clock.Now, Lead: 1000 * time.Hour})
	if err != nil {
		return 1, err
	}
	defer n.chain.Close()
	ctx := context.Background()
	if n.client, err = evm.NewClient(ctx, n.chain.RPC(), evm.Options{Finality: 1, Poll: 2 * time.Millisecond,
		Factories: []x402.Address{x402.Address(devnet.DeterministicFactory())}}); err != nil {
		return 1, err
	}
	n.eth = ethclient.NewClient(n.chain.RPC())
	for _, sender := range []**evm.Sender{&n.gas, &n.stranger} {
		key, err := wallet.New(rand.Reader)
		if err != nil {
			return 1, err
		}
		if _, err := n.chain.Fund(ctx, common.Address(key.Address()), 0); err != nil {
			return 1, err
		}
		*sender = evm.NewSender(n.client, key, evm.SenderOptions{})
	}
	if n.server, n.host, err = emptyFiles(ctx); err != nil {
		return 1, err
	}
	testnet = n
	return m.Run(), nil
}

func emptyFiles(ctx context.Context) (server, host []byte, err error) {
	dir, err := os.MkdirTemp("", "payments")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	s, err := store.OpenServer(ctx, filepath.Join(dir, "server.db"), store.Options{})
	if err != nil {
		return nil, nil, err
	}
	h, err := store.OpenHost(ctx, filepath.Join(dir, "host.db"), store.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(s.Close(), h.Close()); err != nil {
		return nil, nil, err
	}
	if server, err = os.ReadFile(filepath.Join(dir, "server.db")); err != nil {
		return nil, nil, err
	}
	host, err = os.ReadFile(filepath.Join(dir, "host.db"))
	return server, host, err
}

func (n *network) head(tb testing.TB) evm.Head {
	tb.Helper()
	head, err := n.client.Head(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return head
}

// advance makes the chain's newest block this much younger.
func (n *network) advance(tb testing.TB, by time.Duration) {
	tb.Helper()
	n.clock.Advance(n.head(tb).Time.Add(by).Sub(n.clock.Now()))
	n.head(tb) // asking for it makes it
}

func (n *network) balance(tb testing.TB, of x402.Address) x402.Amount {
	tb.Helper()
	sum, err := n.client.Balance(tb.Context(), x402.Address(devnet.USDC()), of)
	if err != nil {
		tb.Fatal(err)
	}
	amount, err := sum.Amount()
	if err != nil {
		tb.Fatal(err)
	}
	return amount
}

// guest is somebody with money.
type guest struct{ *wallet.Local }

func newWallet(tb testing.TB) *wallet.Local {
	tb.Helper()
	w, err := wallet.New(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// guest returns a new account with this much USDC, and some gas.
func (n *network) guest(tb testing.TB, usdc x402.Amount) guest {
	tb.Helper()
	g := guest{newWallet(tb)}
	n.fund(tb, g.Address(), usdc)
	return g
}

// fund gives an account this much USDC, and some gas.
func (n *network) fund(tb testing.TB, of x402.Address, usdc x402.Amount) {
	tb.Helper()
	if _, err := n.chain.Fund(tb.Context(), common.Address(of), usdc); err != nil {
		tb.Fatal(err)
	}
}

// send has a call of the token mined.
func send(tb testing.TB, from *evm.Sender, data []byte) common.Hash {
	tb.Helper()
	hash, err := from.Send(tb.Context(), evm.Call{To: x402.Address(devnet.USDC()), Data: data, Gas: 200_000})
	if err != nil {
		tb.Fatal(err)
	}
	testnet.mined(tb.Context(), hash)
	return hash
}

// mined waits for the block of a transaction. The devnet makes it at once.
func (n *network) mined(ctx context.Context, tx common.Hash) {
	for ctx.Err() == nil {
		if _, err := n.eth.TransactionReceipt(ctx, tx); !errors.Is(err, ethereum.NotFound) {
			return
		}
	}
}

// broadcast submits a payment past everybody.
func (n *network) broadcast(tb testing.TB, p x402.Payment) common.Hash {
	tb.Helper()
	data, err := n.client.PackTransfer(p.Payload.Authorization, p.Payload.Signature)
	if err != nil {
		tb.Fatal(err)
	}
	return send(tb, n.stranger, data)
}

// give is an ordinary transfer.
func (n *network) give(tb testing.TB, g guest, to common.Address, amount x402.Amount) common.Hash {
	tb.Helper()
	return send(tb, evm.NewSender(n.client, g, evm.SenderOptions{}), evm.NewFiatToken().PackTransfer(to, big.NewInt(int64(amount))))
}

// spend moves money away.
func (n *network) spend(tb testing.TB, g guest, amount x402.Amount) common.Hash {
	tb.Helper()
	return n.give(tb, g, common.Address{1}, amount)
}

// cancel cancels an authorization of g.
func (n *network) cancel(tb testing.TB, g guest, a x402.Authorization) {
	tb.Helper()
	usdc, name, _ := x402.USDC(x402.BaseSepolia)
	separator := evm.Domain{Domain: name, ChainID: devnet.ChainID, Token: usdc}.Separator()
	digest := crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], crypto.Keccak256(
		crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)")),
		common.LeftPadBytes(a.From[:], 32), a.Nonce[:]))
	sig, err := g.SignHash(tb.Context(), digest)
	if err != nil {
		tb.Fatal(err)
	}
	send(tb, n.stranger, evm.NewFiatToken().PackCancelAuthorization0(common.Address(a.From), a.Nonce,
		sig[64], [32]byte(sig[:32]), [32]byte(sig[32:64])))
}

// debug makes logs of failing tests visible.
func debug(tb testing.TB) slog.Handler {
	return slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
}
