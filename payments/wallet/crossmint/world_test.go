package crossmint_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/wallet/crossminttest"
	"github.com/events-concierge/concierge/payments/x402"
)

const key = "sk_staging_5ecret"

// world is Crossmint with a chain to its wallets, and a client.
type world struct {
	chain  *devnet.Chain
	client *evm.Client
	server http.Handler // Crossmint
	config crossmint.Config

	mu    sync.Mutex
	asked []*http.Request
}

// fault comes between Crossmint and its client.
type fault func(crossmint http.Handler) http.Handler

// newWorld starts it, with a fault or none.
func newWorld(t *testing.T, between fault) *world {
	t.Helper()
	chain, err := devnet.Start(devnet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chain.Close() })
	w := &world{chain: chain}
	if w.client, err = evm.NewClient(t.Context(), chain.RPC(), evm.Options{Finality: 1, Poll: 5 * time.Millisecond,
		Factories: []x402.Address{x402.Address(devnet.DeterministicFactory())}}); err != nil {
		t.Fatal(err)
	}
	w.server = crossminttest.New(crossminttest.Options{Key: key, Chain: ethclient.NewClient(chain.RPC()),
		Creation: creation(t), Factory: devnet.DeterministicFactory(), Polls: 2})
	front := w.server
	if between != nil {
		front = between(front)
	}
	listener := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r)
		w.mu.Unlock()
		front.ServeHTTP(rw, r)
	}))
	t.Cleanup(listener.Close)
	w.config = crossmint.Config{Key: key, Network: x402.BaseSepolia, URL: listener.URL, Patience: time.Hour,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	return w
}

func creation(t *testing.T) []byte {
	t.Helper()
	file, err := os.ReadFile("../../devnet/contracts/build/OwnerWallet.bin")
	if err != nil {
		t.Fatal(err)
	}
	code, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// open returns an owner's wallet.
func (w *world) open(t *testing.T, owner string) (*crossmint.Wallet, error) {
	t.Helper()
	c, err := crossmint.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	return c.Wallet(t.Context(), owner)
}

func (w *world) mustOpen(t *testing.T, owner string) *crossmint.Wallet {
	t.Helper()
	opened, err := w.open(t, owner)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// requests returns how many of a method there were whose path ends so.
func (w *world) requests(method, suffix string) (all []*http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.asked {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			all = append(all, r)
		}
	}
	return all
}

// payment is one that a wallet may sign: 10 cents to somebody.
func payment(t *testing.T, from x402.Address) (x402.Requirements, x402.Authorization) {
	t.Helper()
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	payTo, err := x402.ParseAddress("0x209693Bc6afc0C5328bA36FaF03C514EF312287C")
	if err != nil {
		t.Fatal(err)
	}
	r := x402.Requirements{Scheme: x402.SchemeExact, Network: x402.BaseSepolia, Amount: x402.NewUint256(100_000), Asset: asset,
		PayTo: payTo, MaxTimeoutSeconds: 300, Extra: domain}
	a := x402.Authorization{From: from, To: payTo, Value: r.Amount, ValidAfter: x402.NewUint256(1), ValidBefore: x402.NewUint256(math.MaxUint32)}
	if _, err := rand.Read(a.Nonce[:]); err != nil {
		t.Fatal(err)
	}
	return r, a
}

// takes has the chain judge a signature as a facilitator would.
func (w *world) takes(t *testing.T, r x402.Requirements, a x402.Authorization, s x402.Signature) {
	t.Helper()
	domain, err := evm.DomainOf(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.client.Signed(t.Context(), a.From, domain.Digest(a), s); err != nil {
		t.Errorf("the chain does not take it: %v", err)
	}
}

// deploy puts on the chain what a signature says how to.
func (w *world) deploy(t *testing.T, s x402.Signature) {
	t.Helper()
	_, call, err := evm.Unwrap(s)
	if err != nil || call == nil {
		t.Fatalf("it does not say how: %v", err)
	}
	gas, err := wallet.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.chain.Fund(t.Context(), common.Address(gas.Address()), 0); err != nil {
		t.Fatal(err)
	}
	call.Gas = 2_000_000
	hash, err := evm.NewSender(w.client, gas, evm.SenderOptions{}).Send(t.Context(), *call)
	if err != nil {
		t.Fatal(err)
	}
	for eth := ethclient.NewClient(w.chain.RPC()); t.Context().Err() == nil; {
		if receipt, err := eth.TransactionReceipt(t.Context(), hash); err == nil {
			if receipt.Status != 1 {
				t.Fatal("it is not deployed")
			}
			return
		}
	}
}

// edited changes answers of Crossmint before they are sent.
func edited(edit func(r *http.Request, answer map[string]any)) fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kept := httptest.NewRecorder()
			next.ServeHTTP(kept, r)
			var answer map[string]any
			_ = json.Unmarshal(kept.Body.Bytes(), &answer) // it is the fake's own
			edit(r, answer)
			w.WriteHeader(kept.Code)
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
}
