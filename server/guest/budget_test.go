package guest_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// A booker is a process that books events from a wallet and a purse that others
// share. It is this test program, started with its orders in the environment.
const bookerEnv, bookerKeyEnv = "GUEST_TEST_BOOKER", "GUEST_TEST_BOOKER_KEY"

type booker struct {
	Name, URL, Purse string
	Events           []string
	PerDay           x402.Amount
}

// runBooker tries to book every event, all at once, until it is booked, refused
// or over budget.
func runBooker() int {
	var b booker
	if err := json.Unmarshal([]byte(os.Getenv(bookerEnv)), &b); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := b.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (b *booker) run(ctx context.Context) error {
	purse, err := store.OpenPurse(ctx, b.Purse, store.Options{})
	if err != nil {
		return err
	}
	defer purse.Close()
	key, err := wallet.FromEnv(bookerKeyEnv)
	if err != nil {
		return err
	}
	h, err := guest.Dial(ctx, b.URL, guest.Config{Version: "test", Wallet: key, Purse: purse, Transport: named(b.Name),
		Policy: guest.Policy{Network: x402.BaseSepolia, MaxPrice: x402.USD, PerDay: &b.PerDay}})
	if err != nil {
		return err
	}
	defer h.Close()
	errs := make([]error, len(b.Events))
	var wg sync.WaitGroup
	for i, event := range b.Events {
		wg.Go(func() {
			for range 10 {
				if _, errs[i] = h.Book(ctx, guest.Wish{EventID: event}); !errors.Is(errs[i], guest.ErrUnknown) {
					break
				}
			}
			var refused *guest.ToolError // booked already
			if errors.Is(errs[i], store.ErrOverBudget) || errors.As(errs[i], &refused) && refused.Code == "already_booked" {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// named says in each request who sends it.
type named string

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Booker", string(n))
	return http.DefaultTransport.RoundTrip(r)
}

// gate passes requests on to a Host, and kills bookers at their first payment:
// one before it is passed on, another before it is answered.
type gate struct {
	to            string
	before, after string // names of bookers

	mu   sync.Mutex
	dead map[string]chan struct{} // closed when the booker is gone
	kill map[string]func()
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("X-Booker")
	paid := r.Header.Get(x402.HeaderPaymentV2) != ""
	if paid && name == g.before {
		g.end(name)
		return
	}
	out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, g.to, r.Body)
	if err != nil {
		panic(err)
	}
	out.Header = r.Header
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	if paid && name == g.after {
		_, _ = io.Copy(io.Discard, resp.Body)
		g.end(name)
		return
	}
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (g *gate) end(name string) {
	g.mu.Lock()
	kill, dead := g.kill[name], g.dead[name]
	g.mu.Unlock()
	kill()
	<-dead
}

// start starts a booker and returns how to wait for its end.
func (g *gate) start(t *testing.T, b booker, key string) (wait func() error) {
	t.Helper()
	orders, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	var said strings.Builder
	cmd.Stderr = &said
	cmd.Env = append(os.Environ(), bookerEnv+"="+string(orders), bookerKeyEnv+"="+key)
	dead := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.kill[b.Name], g.dead[b.Name] = func() { _ = cmd.Process.Kill() }, dead
	go func() {
		defer close(dead)
		err = cmd.Wait()
	}()
	return func() error {
		<-dead
		if err != nil {
			return fmt.Errorf("%s: %w: %s", b.Name, err, said.String())
		}
		return nil
	}
}

// Three processes book ten events of one wallet at a time; one is killed before
// its payment arrives, one before it hears what became of it, and both come back.
// The budget is spent to the last cent and not a cent more.
func TestBudgetOfProcesses(t *testing.T) {
	p := newPlace(t)
	var secret [32]byte
	rand.Read(secret[:])
	key := hex.EncodeToString(secret[:])
	testlog.Secret(key)
	t.Setenv(bookerKeyEnv, key)
	payer, err := wallet.FromEnv(bookerKeyEnv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.chain.Fund(t.Context(), common.Address(payer.Address()), 10*x402.USD); err != nil {
		t.Fatal(err)
	}
	var events []string
	for i := range 10 {
		events = append(events, p.event(t, fmt.Sprintf("Concert %d", i), "0.25", 0))
	}
	g := &gate{to: p.url, before: "first", after: "second", dead: map[string]chan struct{}{}, kill: map[string]func(){}}
	web := httptest.NewServer(g)
	defer web.Close()
	path := filepath.Join(t.TempDir(), "guest.db")
	start := func(name string) func() error {
		return g.start(t, booker{Name: name, URL: web.URL + "/mcp", Purse: path, Events: events, PerDay: x402.USD}, key)
	}
	if err := start("first")(); err == nil {
		t.Error("the first was not killed")
	}
	second, third, again := start("second"), start("third"), start("first again")
	_ = second() // who may have had nothing left to pay, and then ends well
	anew := start("second again")
	if err := errors.Join(third(), again(), anew()); err != nil {
		t.Error(err)
	}
	if got := p.balance(t, p.payTo); got != x402.USD {
		t.Errorf("the host got $%s", got.USD())
	}
	if got := p.balance(t, payer.Address()); got != 9*x402.USD {
		t.Errorf("the payer has $%s", got.USD())
	}
	books, err := store.OpenPurse(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	if spent, err := books.Spent(t.Context(), payer.Address(), x402.BaseSepolia, ""); err != nil || spent != x402.USD {
		t.Errorf("the purse says $%s, %v", spent.USD(), err)
	}
	if rsvps, err := books.RSVPs(t.Context(), payer.Address(), 0); err != nil || len(rsvps) != 4 {
		t.Errorf("%d RSVPs were kept, %v", len(rsvps), err)
	}
}

// A payment whose answer is lost is sent again by the next process, and is the
// same one.
func TestPaymentSurvivesRestart(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{}
	p.answer = then(required(honest), func(n int, _ call) string {
		if n <= 5 {
			return "lost"
		}
		return rsvp("confirmed", "")
	})
	path := filepath.Join(t.TempDir(), "guest.db")
	url := p.web(t)
	for run, want := range []error{guest.ErrUnknown, nil} {
		purse, err := store.OpenPurse(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := config(t, payer)
		c.Purse = purse
		h := dial(t, url, c)
		if _, err := h.Book(t.Context(), wish); !errors.Is(err, want) {
			t.Errorf("run %d: %v", run+1, err)
		}
		if err := purse.Close(); err != nil {
			t.Error(err)
		}
	}
	payer.must(t, 1)
	calls := p.paidCalls()
	for _, c := range calls {
		if diff := cmp.Diff(calls[0].payment(t), c.payment(t)); diff != "" {
			t.Errorf("another payment was sent: %s", diff)
		}
	}
}

// ledger is a chain that knows which authorizations were used, up to a time.
type ledger struct {
	used map[x402.Bytes32]bool
	head time.Time
	err  error
}

func (l *ledger) Balance(context.Context, x402.Network, x402.Address, x402.Address) (x402.Amount, error) {
	return 0, errors.New("not asked here")
}

func (l *ledger) Used(_ context.Context, _ x402.Network, _, _ x402.Address, nonce x402.Bytes32, after time.Time) (bool, error) {
	if l.err == nil && !l.head.After(after) {
		return false, errors.New("no such block yet")
	}
	return l.used[nonce], l.err
}

// What a Host says it did not take stays counted until the chain says so, too.
func TestRefusedMoneyComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		later time.Duration
		chain func(payer *counter, now time.Time) *ledger // nil: none
		free  bool
	}{
		"at once":             {0, func(_ *counter, now time.Time) *ledger { return &ledger{head: now.Add(time.Hour)} }, false},
		"when it has expired": {time.Hour, func(_ *counter, now time.Time) *ledger { return &ledger{head: now} }, true},
		"the chain is behind": {time.Hour, func(_ *counter, now time.Time) *ledger { return &ledger{head: now.Add(-time.Hour)} }, false},
		"the chain is silent": {time.Hour, func(*counter, time.Time) *ledger { return &ledger{err: errors.New("down")} }, false},
		"there is no chain":   {time.Hour, nil, false},
		"it was taken after all": {time.Hour, func(p *counter, now time.Time) *ledger {
			return &ledger{map[x402.Bytes32]bool{p.all()[0].Nonce: true}, now, nil}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			now, day := time.Now(), 50_000*x402.Amount(1)
			p := &puppet{answer: func(n int, c call) string { return asks(required(honest)) }}
			config := config(t, payer)
			config.Policy = guest.Policy{Network: x402.BaseSepolia, MaxPrice: ceiling, PerDay: &day}
			config.Now = func() time.Time { return now }
			refuse := dial(t, p.web(t), config)
			if _, err := refuse.Book(t.Context(), wish); !errors.Is(err, guest.ErrNotPaid) {
				t.Fatal(err)
			}
			now = now.Add(c.later)
			if c.chain != nil {
				config.Chain = c.chain(payer, now)
			}
			_, err := dial(t, p.web(t), config).Book(t.Context(), wish)
			if free := errors.Is(err, guest.ErrNotPaid); free != c.free || !free && !errors.Is(err, store.ErrOverBudget) {
				t.Errorf("the next booking: %v", err)
			}
			payer.must(t, map[bool]int{false: 1, true: 2}[c.free])
		})
	}
}

// person is an Approver that says what it is told to say.
type person struct {
	*store.Purse
	say   func(store.Approval) (yes, now bool)
	asked []store.Approval
}

func (a *person) Approve(ctx context.Context, q store.Approval) error {
	a.asked = append(a.asked, q)
	yes, now := a.say(q)
	if !now {
		return nil
	}
	_, err := a.Answer(ctx, q.ID, yes)
	return err
}

func TestAsking(t *testing.T) {
	cent := 10_000 * x402.Amount(1)
	for name, c := range map[string]struct {
		say    func(store.Approval) (yes, now bool)
		want   error
		signed int
	}{
		"yes":   {func(store.Approval) (bool, bool) { return true, true }, nil, 1},
		"no":    {func(store.Approval) (bool, bool) { return false, true }, store.ErrDenied, 0},
		"later": {func(store.Approval) (bool, bool) { return true, false }, store.ErrNotApproved, 0},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
			config := config(t, payer)
			who := &person{Purse: config.Purse, say: c.say}
			config.Policy, config.Approver = guest.Policy{Network: x402.BaseSepolia, MaxPrice: ceiling, AskAbove: &cent}, who
			h := dial(t, p.web(t), config)
			_, err := h.Book(t.Context(), wish)
			if !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			payer.must(t, c.signed)
			if len(who.asked) != 1 || who.asked[0].PayTo.String() != payee || who.asked[0].Amount != 50_000 {
				t.Errorf("asked %+v", who.asked)
			}
			if c.want == nil {
				return
			}
			// Whatever was said: a yes later is a yes.
			if _, err := config.Purse.Answer(t.Context(), who.asked[0].ID, true); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Book(t.Context(), wish); err != nil {
				t.Errorf("when it is approved: %v", err)
			}
			payer.must(t, 1)
		})
	}
}
