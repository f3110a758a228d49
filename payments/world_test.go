package payments_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// world is a server's data directory, and a clock. Processes come and go.
type world struct {
	dir   string
	clock *clock

	mu      sync.Mutex
	wallets map[string]*wallet.Local // by user
	said    bytes.Buffer             // all logs, and errors that callers were told
	secrets []string
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{dir: tb.TempDir(), clock: newClock(testnet.head(tb).Time), wallets: map[string]*wallet.Local{}}
	for name, content := range map[string][]byte{"server": testnet.server, "ada": testnet.host, "bob": testnet.host, "carol": testnet.host} {
		if err := os.WriteFile(filepath.Join(w.dir, name+".db"), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		for _, secret := range w.secrets {
			if strings.Contains(strings.ToLower(w.said.String()), strings.ToLower(secret)) {
				tb.Errorf("a log or an error has %q, which nobody should read there", secret)
			}
		}
	})
	return w
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(b)
}

func (w *world) secret(s ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, s...)
	testlog.Secret(s...)
}

// wallet returns where a user's guests pay to.
func (w *world) wallet(tb testing.TB, user string) x402.Address {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wallets[user] == nil {
		w.wallets[user] = newWallet(tb)
	}
	return w.wallets[user].Address()
}

// share gives two users one wallet.
func (w *world) share(tb testing.TB, one, other string) {
	tb.Helper()
	w.wallet(tb, one)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wallets[other] = w.wallets[one]
}

// process is a running server.
type process struct {
	*payments.Cashier
	*between
	world  *world
	server *store.Server

	mu    sync.Mutex
	hosts map[string]*store.Host
}

// start opens the files with a Cashier over them. Several processes may run.
func (w *world) start(tb testing.TB, changes ...func(*payments.Config)) *process {
	tb.Helper()
	server, err := store.OpenServer(tb.Context(), filepath.Join(w.dir, "server.db"), store.Options{Now: w.clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	usdc, domain, _ := x402.USDC(x402.BaseSepolia)
	log := testlog.New(debug(tb), slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := &process{world: w, server: server, hosts: map[string]*store.Host{}, between: &between{
		claims: server.Claims(), debtors: server, chain: testnet.client,
		facilitator: payments.NewLocal(testnet.client, testnet.gas, []x402.Address{usdc}, w.clock.Now, log),
	}}
	config := payments.Config{
		Network: x402.BaseSepolia, Asset: usdc, Domain: domain, Log: log, Now: w.clock.Now,
		Facilitator: facilitatorBetween{p.between}, Chain: chainBetween{p.between}, Claims: claimsBetween{p.between},
		Debtors: debtorsBetween{p.between}, Ledger: p.ledger, Wallet: p.wallet,
	}
	for _, change := range changes {
		change(&config)
	}
	p.Cashier = payments.New(config)
	tb.Cleanup(func() { p.stop(tb) })
	return p
}

// stop waits for what is under way and closes the files.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := p.Close(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		err = errors.Join(err, h.Close())
	}
	if err := errors.Join(err, p.server.Close()); err != nil {
		tb.Error(err)
	}
}

func (p *process) ledger(ctx context.Context, user string) (payments.Ledger, func(), error) {
	l, err := through(ctx, p.between, openLedger, func() (payments.Ledger, error) { return p.host(ctx, user) })
	return ledgerBetween{p.between, l}, func() {}, err
}

func (p *process) wallet(ctx context.Context, user string) (payments.Signer, error) {
	return through(ctx, p.between, openWallet, func() (payments.Signer, error) {
		p.world.mu.Lock()
		defer p.world.mu.Unlock()
		if w := p.world.wallets[user]; w != nil {
			return w, nil
		}
		return nil, payments.ErrNoWallet
	})
}

func (p *process) host(ctx context.Context, user string) (*store.Host, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hosts[user]; h != nil {
		return h, nil
	}
	h, err := store.OpenHost(ctx, filepath.Join(p.world.dir, user+".db"), store.Options{Now: p.world.clock.Now})
	if err == nil {
		p.hosts[user] = h
	}
	return h, err
}

// books returns a Host's file, past everything that a test has put between.
func (p *process) books(tb testing.TB, user string) *store.Host {
	tb.Helper()
	h, err := p.host(context.Background(), user)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

const price = 2_500_000 // of one seat at every event

// event adds an event to a user's Host.
func (p *process) event(tb testing.TB, user, id string, capacity int) {
	tb.Helper()
	_, err := p.books(tb, user).CreateEvent(tb.Context(), store.Event{
		ID: id, Title: id, TimeZone: "UTC", Capacity: capacity, Price: price, StartsAt: p.world.clock.Now().Add(1000 * time.Hour)})
	if err != nil {
		tb.Fatal(err)
	}
}

func newID(tb testing.TB) string {
	tb.Helper()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		tb.Fatal(err)
	}
	return hex.EncodeToString(id[:])
}

// order is one seat for g.
func (w *world) order(tb testing.TB, user, event string, g guest) payments.Order {
	tb.Helper()
	email := fmt.Sprintf("%x@example.com", g.Address())
	w.secret(email, "Ada Lovelace")
	return payments.Order{
		User: user, PayTo: w.wallet(tb, user), Amount: price,
		Resource: x402.Resource{URL: "mcp://tool/rsvp_to_event?event=" + event, Description: "1 seat(s)"},
		Booking:  payments.Booking{RSVPID: newID(tb), EventID: event, Seats: 1, Name: "Ada Lovelace", Email: email},
	}
}

// pays signs what an order costs: a payment of version 2, good for an hour.
// Changes are made before it is signed.
func (p *process) pays(tb testing.TB, g guest, o payments.Order, changes ...func(*x402.Payment)) x402.Payment {
	tb.Helper()
	quote := p.Quote(o)
	early, late := p.world.clock.Now(), testnet.head(tb).Time // whichever that is
	if late.Before(early) {
		early, late = late, early
	}
	payment := x402.Payment{
		Version: 2, Scheme: x402.SchemeExact, Network: quote.Accepts[0].Network,
		Accepted: &quote.Accepts[0], Resource: &quote.Resource,
		Payload: x402.Payload{Authorization: x402.Authorization{
			From: g.Address(), To: o.PayTo, Value: quote.Accepts[0].Amount,
			ValidAfter: unix(early.Add(-10 * time.Minute)), ValidBefore: unix(late.Add(time.Hour)),
		}},
	}
	if _, err := rand.Read(payment.Payload.Authorization.Nonce[:]); err != nil {
		tb.Fatal(err)
	}
	for _, change := range changes {
		change(&payment)
	}
	if payment.Payload.Signature == nil {
		payment.Payload.Signature = sign(tb, g, quote.Accepts[0], payment.Payload.Authorization)
	}
	p.world.secret(hex.EncodeToString(payment.Payload.Signature))
	return payment
}

// sign signs whatever it is given, as no wallet of this project would.
func sign(tb testing.TB, key evm.Key, r x402.Requirements, a x402.Authorization) x402.Signature {
	tb.Helper()
	domain, err := evm.DomainOf(r)
	if err != nil {
		tb.Fatal(err)
	}
	sig, err := key.SignHash(tb.Context(), domain.Digest(a))
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}

func unix(t time.Time) x402.Uint256 { return x402.NewUint256(uint64(t.Unix())) }

// window changes when a payment is good, in seconds of the newest block.
func window(tb testing.TB, after, before time.Duration) func(*x402.Payment) {
	return func(p *x402.Payment) {
		head := testnet.head(tb).Time
		p.Payload.Authorization.ValidAfter, p.Payload.Authorization.ValidBefore = unix(head.Add(after)), unix(head.Add(before))
	}
}

// version1 makes it a payment of version 1.
func version1(p *x402.Payment) { p.Version, p.Accepted, p.Resource = 1, nil, nil }

// call is what a Host does with a paid call.
func (p *process) call(ctx context.Context, o payments.Order, payment x402.Payment) (paid payments.Payment, err error) {
	defer func() {
		if err != nil {
			fmt.Fprintln(p.world, err)
		}
		paid.Booked = false // it tells of the call, not of the payment
	}()
	paid, ok, err := p.Repeat(ctx, o.User, o.Booking, payment)
	if ok || err != nil {
		return paid, err
	}
	return p.Pay(ctx, o, payment)
}

// again is the same order in another call.
func again(tb testing.TB, o payments.Order) payments.Order {
	tb.Helper()
	o.Booking.RSVPID = newID(tb)
	return o
}

func (p *process) reconcile(tb testing.TB) {
	tb.Helper()
	if err := p.Reconcile(context.Background()); err != nil {
		tb.Error(err)
	}
}

// users are all who have been asked for.
func (w *world) users() map[string]x402.Address {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]x402.Address{}
	for user, wallet := range w.wallets {
		all[user] = wallet.Address()
	}
	return all
}
