package chat_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// world is our server with its agent on an embedded chain, which outlives
// restarts of the server.
type world struct {
	t      *testing.T
	chain  *devnet.Chain
	client *evm.Client
	gas    *wallet.Local
	dir    string
	log    *journal

	// What a test may change before start.
	model     *chat.Model
	transport func(next http.RoundTripper) http.RoundTripper
	grace     time.Duration

	hosts *host.Hosts
	purse *store.Purse
	agent *chat.Agent
	base  string
	stop  func()
}

// journal is a log that tests may read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &journal{}, grace: time.Minute}
	var err error
	if w.chain, err = devnet.Start(devnet.Options{Lead: time.Hour}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.chain.Close() })
	if w.client, err = evm.NewClient(t.Context(), w.chain.RPC(), evm.Options{Poll: 5 * time.Millisecond, Finality: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	if w.gas, err = wallet.New(rand.Reader); err != nil {
		t.Fatal(err)
	}
	w.fund(t.Context(), w.gas.Address(), 0)
	return w
}

func (w *world) fund(ctx context.Context, to x402.Address, usdc x402.Amount) error {
	_, err := w.chain.Fund(ctx, common.Address(to), usdc)
	return err
}

// refuse is a network on which nobody is there.
type refuse struct{}

func (refuse) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("there is nothing outside")
}

// start starts the server.
func (w *world) start() *world {
	w.t.Helper()
	log := testlog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	var err error
	if w.hosts, err = host.Open(w.t.Context(), host.Config{Dir: w.dir, Network: "devnet", Log: log, Payments: payments.Config{
		Network: x402.BaseSepolia, Asset: asset, Domain: domain, Chain: w.client,
		Facilitator: payments.NewLocal(w.client, evm.NewSender(w.client, w.gas, evm.SenderOptions{}), []x402.Address{asset}, time.Now, log)}}); err != nil {
		w.t.Fatal(err)
	}
	chats, err := store.OpenChats(w.t.Context(), filepath.Join(w.dir, "agent.db"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.purse, err = store.OpenPurse(w.t.Context(), filepath.Join(w.dir, "agent-purse.db"), store.Options{}); err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.base = "http://" + listener.Addr().String()
	own := &server.Own{Next: refuse{}, Names: []string{listener.Addr().String(), "host.test"}}
	var transport http.RoundTripper = own
	if w.transport != nil {
		transport = w.transport(own)
	}
	perDay := 50 * x402.USD
	w.agent = chat.New(chat.Config{Chats: chats, Purse: w.purse, Policy: guest.Policy{Network: x402.BaseSepolia, MaxPrice: 25 * x402.USD, PerDay: &perDay},
		Passphrase: w.hosts.VisitorPassphrase, Transport: transport, Model: w.model, Version: "test", Log: log, Chain: onChain{w.client}, Explorer: "https://explorer.example.org/tx/",
		Fund: func(ctx context.Context, to x402.Address) error { return w.fund(ctx, to, 10*x402.USD) },
		// Who waits in these tests waits for nothing.
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	web := server.New(server.Config{Hosts: w.hosts, Version: "test", Log: log, Network: x402.BaseSepolia, Asset: asset, Agent: w.agent,
		Origins: []string{"https://page.example.org"}})
	own.Handler = web
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- web.Serve(ctx, listener, w.grace) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil && w.grace > time.Second {
			w.t.Errorf("serve: %v", err)
		}
		for _, err := range []error{w.hosts.Close(context.Background()), chats.Close(), w.purse.Close()} {
			if err != nil {
				w.t.Errorf("close: %v", err)
			}
		}
	})
	w.t.Cleanup(w.stop)
	return w
}

// restart stops the server and starts it again, on another port.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// onChain is [guest.Chain].
type onChain struct{ client *evm.Client }

func (c onChain) Used(ctx context.Context, _ x402.Network, asset, payer x402.Address, nonce x402.Bytes32, _ time.Time) (bool, error) {
	return c.client.AuthorizationUsed(ctx, asset, payer, nonce)
}

func (c onChain) Balance(ctx context.Context, _ x402.Network, asset, owner x402.Address) (x402.Amount, error) {
	n, err := c.client.Balance(ctx, asset, owner)
	if err != nil {
		return 0, err
	}
	return n.Amount()
}

func (w *world) balance(of x402.Address) x402.Amount {
	w.t.Helper()
	asset, _, _ := x402.USDC(x402.BaseSepolia)
	a, err := onChain{w.client}.Balance(w.t.Context(), x402.BaseSepolia, asset, of)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// place is a user's Host.
type place struct {
	w           *world
	user, token string
	payTo       x402.Address
}

func (w *world) place() *place {
	w.t.Helper()
	user, token, err := w.hosts.Register(w.t.Context(), host.Registration{Email: rand.Text() + "@example.org"})
	if err != nil {
		w.t.Fatal(err)
	}
	return &place{w, user.ID, token, user.WalletAddress}
}

// url is where guests find it, whatever the server's port.
func (p *place) url() string { return "http://host.test/mcp/users/" + p.user }

// event adds an event and returns its id.
func (p *place) event(title, price, description string) string {
	p.w.t.Helper()
	body, err := json.Marshal(map[string]any{"title": title, "price": price, "description": description, "capacity": 10,
		"starts_at": time.Now().AddDate(0, 1, 0).UTC().Format(time.RFC3339)})
	if err != nil {
		p.w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.w.t.Context(), "POST", p.w.base+"/api/users/"+p.user+"/events", bytes.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var e struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.ID == "" {
		p.w.t.Fatalf("create an event: %s, %v", resp.Status, err)
	}
	return e.ID
}

// tab is a browser's tab at the agent.
type tab struct {
	t      *testing.T
	conn   *websocket.Conn
	cookie string
	seen   []chat.Message // all but the history
	past   []chat.Message // the history
	busy   bool
}

// open opens a tab of a browser with this cookie; "" is a new one.
func (w *world) open(cookie string) *tab {
	w.t.Helper()
	b := &tab{t: w.t, cookie: cookie}
	header := http.Header{}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	conn, resp, err := websocket.Dial(w.t.Context(), "ws"+strings.TrimPrefix(w.base, "http")+"/agent", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	b.conn = conn
	w.t.Cleanup(func() { conn.CloseNow() })
	for _, c := range resp.Cookies() {
		b.cookie = c.Name + "=" + c.Value
	}
	m, err := b.read()
	if err != nil || m.Type != "history" {
		w.t.Fatalf("first comes %+v, %v", m, err)
	}
	b.past, b.busy = m.Messages, m.Busy
	return b
}

func (b *tab) read() (m chat.Message, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute) // a broken test should end some day
	defer cancel()
	_, raw, err := b.conn.Read(ctx)
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	return m, err
}

func (b *tab) send(v any) {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err == nil {
		err = b.conn.Write(b.t.Context(), websocket.MessageText, raw)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// until reads until a message of a type comes, and returns what came, and it last.
func (b *tab) until(kind string) []chat.Message {
	b.t.Helper()
	var all []chat.Message
	for {
		m, err := b.read()
		if err != nil {
			b.t.Fatalf("waiting for %s: %v, after %s", kind, err, kinds(all))
		}
		all = append(all, m)
		b.seen = append(b.seen, m)
		if m.Type == kind {
			return all
		}
	}
}

// say says something and returns all of the answer.
func (b *tab) say(text string) []chat.Message {
	b.t.Helper()
	b.send(map[string]any{"type": "say", "text": text})
	return b.until("done")
}

// click answers a question and returns what comes of it.
func (b *tab) click(answer string, approval int64) []chat.Message {
	b.t.Helper()
	b.send(map[string]any{"type": answer, "approval": approval})
	if answer == "approve" {
		return b.until("done")
	}
	return b.until("answered")
}

func kinds(all []chat.Message) string {
	var names []string
	for _, m := range all {
		names = append(names, m.Type)
	}
	return strings.Join(names, " ")
}

// one returns the only message of a type.
func one(t *testing.T, all []chat.Message, kind string) chat.Message {
	t.Helper()
	var found []chat.Message
	for _, m := range all {
		if m.Type == kind {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d messages of type %s in %+v", len(found), kind, all)
	}
	return found[0]
}

// none fails if there is a message of a type.
func none(t *testing.T, all []chat.Message, kind string) {
	t.Helper()
	for _, m := range all {
		if m.Type == kind {
			t.Errorf("there is %+v", m)
		}
	}
}

// into decodes what a message shows.
func into[T any](t *testing.T, m chat.Message) (v T) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &v); err != nil {
		t.Fatalf("%v in %+v", err, m)
	}
	return v
}
