package facilitator_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// network is the chain that all tests share; each has payers and payees of its
// own. Its time follows the real one.
type network struct {
	chain  *devnet.Chain
	client *evm.Client
	gas    *evm.Sender // of every honest facilitator
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
	n := &network{}
	if n.chain, err = devnet.Start(devnet.Options{Lead: 1000 * time.Hour}); err != nil {
		return 1, err
	}
	defer n.chain.Close()
	ctx := context.Background()
	if n.client, err = evm.NewClient(ctx, n.chain.RPC(), evm.Options{Poll: 2 * time.Millisecond, Finality: 1}); err != nil {
		return 1, err
	}
	key, err := wallet.New(rand.Reader)
	if err != nil {
		return 1, err
	}
	if _, err := n.chain.Fund(ctx, common.Address(key.Address()), 0); err != nil {
		return 1, err
	}
	n.gas = evm.NewSender(n.client, key, evm.SenderOptions{})
	testnet = n
	return m.Run(), nil
}

func usdc() x402.Address {
	asset, _, _ := x402.USDC(x402.BaseSepolia)
	return asset
}

// local is an honest facilitator.
func (n *network) local(log *slog.Logger) *payments.Local {
	return payments.NewLocal(n.client, n.gas, []x402.Address{usdc()}, time.Now, log)
}

func newWallet(tb testing.TB) *wallet.Local {
	tb.Helper()
	w, err := wallet.New(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// payer returns somebody with money.
func (n *network) payer(tb testing.TB, usdc x402.Amount) *wallet.Local {
	tb.Helper()
	w := newWallet(tb)
	if _, err := n.chain.Fund(tb.Context(), common.Address(w.Address()), usdc); err != nil {
		tb.Fatal(err)
	}
	return w
}

const price = 2_500_000

func (n *network) balance(tb testing.TB, of x402.Address) x402.Amount {
	tb.Helper()
	sum, err := n.client.Balance(tb.Context(), usdc(), of)
	if err != nil {
		tb.Fatal(err)
	}
	amount, err := sum.Amount()
	if err != nil {
		tb.Fatal(err)
	}
	return amount
}

// requirements asks for the price, to be paid to somebody.
func requirements(payTo x402.Address) x402.Requirements {
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	return x402.Requirements{Scheme: x402.SchemeExact, Network: x402.BaseSepolia, Amount: x402.NewUint256(price),
		Asset: asset, PayTo: payTo, MaxTimeoutSeconds: 300, Extra: domain}
}

// pays signs what r asks for, good for half a day around the chain's time and ours.
func pays(tb testing.TB, from *wallet.Local, version int, r x402.Requirements) x402.Payment {
	tb.Helper()
	head, err := testnet.client.Head(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	early, late := head.Time, time.Now()
	if late.Before(early) {
		early, late = late, early
	}
	p := x402.Payment{Version: version, Scheme: r.Scheme, Network: r.Network, Payload: x402.Payload{Authorization: x402.Authorization{
		From: from.Address(), To: r.PayTo, Value: r.Amount,
		ValidAfter: x402.NewUint256(uint64(early.Add(-10 * time.Minute).Unix())), ValidBefore: x402.NewUint256(uint64(late.Add(12 * time.Hour).Unix())),
	}}}
	if version == 2 {
		p.Accepted = &r
	}
	if _, err := rand.Read(p.Payload.Authorization.Nonce[:]); err != nil {
		tb.Fatal(err)
	}
	domain, err := evm.DomainOf(r)
	if err != nil {
		tb.Fatal(err)
	}
	if p.Payload.Signature, err = from.SignHash(tb.Context(), domain.Digest(p.Payload.Authorization)); err != nil {
		tb.Fatal(err)
	}
	return p
}

// sale is a payment with what it is for.
type sale struct {
	from    *wallet.Local
	payment x402.Payment
	r       x402.Requirements
}

// sale makes a payment that would settle.
func (n *network) sale(tb testing.TB, version int) sale {
	tb.Helper()
	r, from := requirements(newWallet(tb).Address()), n.payer(tb, price)
	return sale{from, pays(tb, from, version, r), r}
}

func (s sale) request() x402.FacilitatorRequest {
	return x402.FacilitatorRequest{Payment: s.payment, Requirements: s.r}
}

// paid reports whether the money has moved.
func (s sale) paid(tb testing.TB) bool {
	tb.Helper()
	return testnet.balance(tb, s.r.PayTo) == price
}

// record is what was logged, and told to callers. Nothing secret may be in it.
type record struct {
	mu      sync.Mutex
	said    bytes.Buffer
	secrets []string
}

func newRecord(tb testing.TB) *record {
	r := &record{}
	tb.Cleanup(func() {
		said := strings.ToLower(r.String())
		for _, secret := range r.secrets {
			if strings.Contains(said, strings.ToLower(secret)) {
				tb.Errorf("a log or an error has %q, which nobody should read there:\n%s", secret, said)
			}
		}
	})
	return r
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func (r *record) secret(s ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, s...)
	testlog.Secret(s...)
}

func (r *record) logger(tb testing.TB) *slog.Logger {
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	return testlog.New(slog.NewTextHandler(tb.Output(), debug), slog.NewJSONHandler(r, debug))
}

// signatureOf is a secret: who has it can submit the payment.
func signatureOf(p x402.Payment) string { return hex.EncodeToString(p.Payload.Signature) }

// hash is one of a transaction that there is not.
func hash() string { return crypto.Keccak256Hash([]byte("nothing")).Hex() }
