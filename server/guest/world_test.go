package guest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
)

// world is our real server on the embedded chain, for all tests of the package.
type world struct {
	hosts  *host.Hosts
	client *evm.Client
	chain  *devnet.Chain
	web    *httptest.Server
	dir    string

	mu    sync.Mutex
	seen  map[string][]call // by path
	users int
}

// theWorld is made when the first test asks for it.
var theWorld = sync.OnceValues(newWorld)

func TestMain(m *testing.M) {
	if os.Getenv(puppetEnv) != "" {
		os.Exit(runPuppet())
	}
	if os.Getenv(bookerEnv) != "" {
		os.Exit(runBooker())
	}
	code := m.Run()
	if w, err := theWorld(); err == nil {
		if err := w.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func newWorld() (w *world, err error) {
	ctx, log := context.Background(), testlog.New()
	w = &world{seen: map[string][]call{}}
	// The tests pay faster than a block a second.
	if w.chain, err = devnet.Start(devnet.Options{Lead: time.Hour}); err != nil {
		return nil, err
	}
	if w.client, err = evm.NewClient(ctx, w.chain.RPC(), evm.Options{Poll: 5 * time.Millisecond, Finality: 1}); err != nil {
		return nil, err
	}
	gas, err := wallet.New(rand.Reader)
	if err != nil {
		return nil, err
	}
	if _, err := w.chain.Fund(ctx, common.Address(gas.Address()), 0); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "guest-test-"); err != nil {
		return nil, err
	}
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	w.hosts, err = host.Open(ctx, host.Config{Dir: w.dir, Network: "devnet", Log: log, Payments: payments.Config{
		Network: x402.BaseSepolia, Asset: asset, Domain: domain, Chain: w.client,
		Facilitator: payments.NewLocal(w.client, evm.NewSender(w.client, gas, evm.SenderOptions{}), []x402.Address{asset}, time.Now, log)}})
	if err != nil {
		return nil, err
	}
	web := server.New(server.Config{Hosts: w.hosts, Version: "test", Log: log, Network: x402.BaseSepolia, Asset: asset})
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.seen[r.URL.Path] = append(w.seen[r.URL.Path], readCall(body, r.Header))
		w.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		web.ServeHTTP(rw, r)
	}))
	return w, nil
}

func (w *world) close() error {
	w.web.Close()
	err := w.hosts.Close(context.Background())
	w.client.Close()
	return errors.Join(err, w.chain.Close(), os.RemoveAll(w.dir))
}

// account returns a new wallet with so much USDC.
func (w *world) account(t *testing.T, usdc x402.Amount) *counter {
	t.Helper()
	c := newCounter(t)
	if _, err := w.chain.Fund(t.Context(), common.Address(c.Address()), usdc); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) balance(t *testing.T, of x402.Address) x402.Amount {
	t.Helper()
	asset, _, _ := x402.USDC(x402.BaseSepolia)
	n, err := w.client.Balance(t.Context(), asset, of)
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Amount()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// place is one user's Host on the real server.
type place struct {
	*world
	user, url, token string
	payTo            x402.Address
}

func newPlace(t *testing.T) *place {
	t.Helper()
	w, err := theWorld()
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.users++
	email := fmt.Sprintf("owner-%d@example.org", w.users)
	w.mu.Unlock()
	user, token, err := w.hosts.Register(t.Context(), host.Registration{Email: email})
	if err != nil {
		t.Fatal(err)
	}
	return &place{world: w, user: user.ID, url: w.web.URL + "/mcp/users/" + user.ID, token: token, payTo: user.WalletAddress}
}

// event adds an event and returns its id.
func (p *place) event(t *testing.T, title, price string, capacity int) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"title": title, "price": price, "capacity": capacity,
		"starts_at": time.Now().AddDate(0, 1, 0).UTC().Format(time.RFC3339)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.web.URL+"/api/users/"+p.user+"/events", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.ID == "" {
		t.Fatalf("create an event: %s, %v", resp.Status, err)
	}
	return e.ID
}

// paidCalls returns the calls of rsvp_to_event with a payment that came in.
func (p *place) paidCalls() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.seen["/mcp/users/"+p.user]), func(c call) bool { return !c.paid() })
}

// counter is a wallet that counts what it signs.
type counter struct {
	wallet.Signer
	mu     sync.Mutex
	signed []x402.Authorization
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	l, err := wallet.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &counter{Signer: l}
}

func (c *counter) SignAuthorization(ctx context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signed = append(c.signed, a)
	return c.Signer.SignAuthorization(ctx, r, a)
}

func (c *counter) all() []x402.Authorization {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.signed)
}

// must fails the test unless exactly n payments were signed.
func (c *counter) must(t *testing.T, n int) {
	t.Helper()
	if got := len(c.all()); got != n {
		t.Errorf("%d signature(s) were made, want %d", got, n)
	}
}
