package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// world is a running server on an embedded chain.
type world struct {
	t      *testing.T
	chain  *devnet.Chain
	client *evm.Client
	hosts  *host.Hosts
	base   string
	skew   atomic.Int64 // how far all clocks are ahead, in nanoseconds
	log    *bytes.Buffer

	metrics *metrics.Metrics
	web     *server.Server
	looks   atomic.Int64          // of /readyz at the chain
	outage  atomic.Pointer[error] // why the chain is out of reach, for /readyz
	logMu   sync.Mutex
	stop    func()
}

func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(b)
}

func (w *world) logged() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

// now is the time of the server and of the chain.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// later makes it so much later.
func (w *world) later(d time.Duration) { w.skew.Add(int64(d)) }

// metricsToken lets who is elsewhere read the metrics.
const metricsToken = "a-token-that-reads-metrics"

func (w *world) lookAtChain(context.Context) error {
	w.looks.Add(1)
	if why := w.outage.Load(); why != nil {
		return *why
	}
	return nil
}

// settle lets a test come between the server and its facilitator.
type settle func(payments.Facilitator) payments.Facilitator

func newWorld(t *testing.T, between ...settle) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}}
	w.metrics = metrics.New("test", "none", w.now)
	log := testlog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	// Tests pay faster than a block a second.
	if w.chain, err = devnet.Start(devnet.Options{Lead: time.Hour, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.chain.Close() })
	if w.client, err = evm.NewClient(t.Context(), w.chain.RPC(), evm.Options{Poll: 5 * time.Millisecond, Finality: 1,
		Factories: []x402.Address{x402.Address(devnet.DeterministicFactory())}}); err != nil {
		t.Fatal(err)
	}
	gas := w.wallet(0)
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	var facilitator payments.Facilitator = payments.NewLocal(w.client, evm.NewSender(w.client, gas, evm.SenderOptions{}), []x402.Address{asset}, w.now, log)
	for _, b := range between {
		facilitator = b(facilitator)
	}
	if w.hosts, err = host.Open(t.Context(), host.Config{Dir: t.TempDir(), Network: "devnet", Log: log, Now: w.now, Payments: payments.Config{
		Network: x402.BaseSepolia, Asset: asset, Domain: domain, Facilitator: facilitator, Chain: w.client, Observe: w.metrics.Payment}, Opened: w.metrics.Opened}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.base = "http://" + listener.Addr().String()
	web := server.New(server.Config{Hosts: w.hosts, Version: "test", Log: log, Network: x402.BaseSepolia, Asset: asset,
		Devnet: w.chain.Handler(), Origins: []string{"https://page.example.org"},
		Metrics: w.metrics, MetricsToken: metricsToken, Checks: []server.Check{{Name: "chain", Code: "payment_unavailable", Detail: "No payments.", Look: w.lookAtChain}}})
	w.web = web
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- web.Serve(ctx, listener, time.Minute) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := w.hosts.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// wallet returns a new wallet with so much USDC, and gas money.
func (w *world) wallet(usdc x402.Amount) *wallet.Local {
	w.t.Helper()
	l, err := wallet.New(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.chain.Fund(w.t.Context(), common.Address(l.Address()), usdc); err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) balance(of x402.Address) x402.Amount {
	w.t.Helper()
	asset, _, _ := x402.USDC(x402.BaseSepolia)
	n, err := w.client.Balance(w.t.Context(), asset, of)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := n.Amount()
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// owner is a registered user.
type owner struct {
	User   string       `json:"user"`
	URL    string       `json:"mcp_url"`
	Token  string       `json:"owner_token"`
	Wallet x402.Address `json:"wallet_address"`
}

func (w *world) register(email string) owner {
	w.t.Helper()
	var o owner
	if status := w.do("POST", "/api/users", "", map[string]string{"email": email}, &o); status != http.StatusCreated {
		w.t.Fatalf("register: %d", status)
	}
	return o
}

func (w *world) event(o owner, fields map[string]any) string {
	w.t.Helper()
	all := map[string]any{"title": "An evening", "starts_at": time.Now().Add(48 * time.Hour).Format(time.RFC3339)}
	for k, v := range fields {
		all[k] = v
	}
	var e struct{ ID string }
	if status := w.do("POST", "/api/users/"+o.User+"/events", o.Token, all, &e); status != http.StatusCreated {
		w.t.Fatalf("create event: %d", status)
	}
	return e.ID
}

// do makes a request and decodes its answer into out, if that is not nil.
func (w *world) do(method, path, token string, body, out any) int {
	w.t.Helper()
	status, raw := w.raw(method, path, token, body)
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return status
}

func (w *world) raw(method, path, token string, body any) (int, []byte) {
	w.t.Helper()
	var sent io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		sent = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		sent = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, sent)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, raw
}

func (w *world) guest(o owner, purse wallet.Signer, protocol string) *guest.Host {
	w.t.Helper()
	c := guest.Config{Version: "test", Protocol: protocol, Wallet: purse, Purse: w.purse(),
		Policy: guest.Policy{Network: x402.BaseSepolia, MaxPrice: 100 * x402.USD}}
	h, err := guest.Dial(w.t.Context(), o.URL, c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
}

// purse returns the books of a new Guest.
func (w *world) purse() *store.Purse {
	w.t.Helper()
	p, err := store.OpenPurse(context.Background(), filepath.Join(w.t.TempDir(), "guest.db"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Close() })
	return p
}

func (w *world) revenue(o owner) (settled string) {
	w.t.Helper()
	var r struct{ Settled struct{ Amount string } }
	if status := w.do("GET", "/api/users/"+o.User+"/revenue", o.Token, nil, &r); status != http.StatusOK {
		w.t.Fatalf("revenue: %d", status)
	}
	return r.Settled.Amount
}
