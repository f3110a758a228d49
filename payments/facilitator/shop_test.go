package facilitator_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// fault is what the way to a facilitator does with a request; next is the
// facilitator.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// stand is an honest facilitator, and the way to it.
type stand struct {
	web *httptest.Server

	mu     sync.Mutex
	faults map[string]fault // by operation
	asked  []string
}

func (s *stand) fault(op string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[op] = f
}

func (s *stand) calls() (asked []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, s.asked = s.asked, nil
	return asked
}

func newStand(tb testing.TB) *stand {
	tb.Helper()
	honest := serve(tb)
	s := &stand{faults: map[string]fault{}}
	s.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := strings.TrimPrefix(r.URL.Path, "/p4th/")
		s.mu.Lock()
		f := s.faults[op]
		if op != "supported" {
			s.asked = append(s.asked, op)
		}
		s.mu.Unlock()
		if f == nil {
			f = func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }
		}
		f(w, r, http.StripPrefix("/p4th", honest))
	}))
	tb.Cleanup(s.web.Close)
	return s
}

// shop is a Cashier with the books of one Host, that has its payments settled
// by two facilitators, and sells seats.
type shop struct {
	*payments.Cashier
	pool   *facilitator.Pool
	stands [2]*stand
	server *store.Server
	host   *store.Host
	payTo  x402.Address
	rec    *record

	mu    sync.Mutex
	clock time.Time
}

func (s *shop) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *shop) advance(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(by)
}

// impatient is a chain that does not wait for a transaction that there is not.
type impatient struct{ payments.Chain }

func (c impatient) Await(ctx context.Context, tx common.Hash, t evm.Transfer, since uint64) (evm.Outcome, error) {
	if tx.Hex() == hash() {
		return evm.Outcome{}, context.DeadlineExceeded
	}
	return c.Chain.Await(ctx, tx, t, since)
}

func openShop(tb testing.TB) *shop {
	tb.Helper()
	dir := tb.TempDir()
	s := &shop{rec: newRecord(tb), payTo: newWallet(tb).Address(), clock: time.Now()}
	var err error
	options := store.Options{Now: s.now}
	if s.server, err = store.OpenServer(tb.Context(), filepath.Join(dir, "server.db"), options); err != nil {
		tb.Fatal(err)
	}
	if s.host, err = store.OpenHost(tb.Context(), filepath.Join(dir, "ada.db"), options); err != nil {
		tb.Fatal(err)
	}
	var clients []*facilitator.Client
	for i := range s.stands {
		s.stands[i] = newStand(tb)
		clients = append(clients, connect(tb, s.stands[i].web.URL, s.rec))
	}
	log := s.rec.logger(tb)
	s.pool = facilitator.NewPool(x402.BaseSepolia, clients, s.now, log)
	if err := s.pool.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	_, domain, _ := x402.USDC(x402.BaseSepolia)
	s.Cashier = payments.New(payments.Config{
		Network: x402.BaseSepolia, Asset: usdc(), Domain: domain, Log: log, Now: s.now,
		Facilitator: s.pool, Chain: impatient{testnet.client}, Claims: s.server.Claims(), Debtors: s.server,
		Ledger: func(context.Context, string) (payments.Ledger, func(), error) { return s.host, func() {}, nil },
	})
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), s.host.Close(), s.server.Close()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func newID(tb testing.TB) string {
	tb.Helper()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		tb.Fatal(err)
	}
	return hex.EncodeToString(id[:])
}

// event adds an event with some seats.
func (s *shop) event(tb testing.TB, seats int) string {
	tb.Helper()
	id := newID(tb)
	if _, err := s.host.CreateEvent(tb.Context(), store.Event{ID: id, Title: id, TimeZone: "UTC", Capacity: seats, Price: price,
		StartsAt: s.now().Add(1000 * time.Hour)}); err != nil {
		tb.Fatal(err)
	}
	return id
}

// order is one seat at an event, with its payment by a guest.
func (s *shop) order(tb testing.TB, event string, guest *wallet.Local, version int) (payments.Order, x402.Payment) {
	tb.Helper()
	o := payments.Order{User: "ada", PayTo: s.payTo, Amount: price, Resource: x402.Resource{URL: "mcp://tool/rsvp_to_event?event=" + event},
		Booking: payments.Booking{RSVPID: newID(tb), EventID: event, Seats: 1, Name: "Ada Lovelace"}}
	p := pays(tb, guest, version, s.Quote(o).Accepts[0])
	s.rec.secret(signatureOf(p), "Ada Lovelace")
	return o, p
}

// call is what a Host does with a paid call.
func (s *shop) call(ctx context.Context, tb testing.TB, o payments.Order, p x402.Payment) string {
	o.Booking.RSVPID = newID(tb)
	paid, ok, err := s.Repeat(ctx, o.User, o.Booking, p)
	if !ok && err == nil {
		paid, err = s.Pay(ctx, o, p)
	}
	fmt.Fprintln(s.rec, err)
	switch {
	case err == nil:
		return string(paid.State)
	case errors.Is(err, payments.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, payments.ErrUndecided):
		return "undecided"
	case errors.Is(err, payments.ErrAlreadyUsed):
		return "used"
	case errors.Is(err, store.ErrEventFull):
		return "full"
	}
	if refused := (*payments.Refused)(nil); errors.As(err, &refused) {
		return "refused"
	}
	return err.Error()
}

// settle lets the reconciler pass until nothing is settling any more.
func (s *shop) settle(tb testing.TB) {
	tb.Helper()
	for range 10 {
		s.advance(40 * time.Second) // what nobody is at work on may be submitted again
		if err := s.Reconcile(context.Background()); err != nil {
			tb.Error(err)
		}
		revenue, err := s.host.Revenue(context.Background(), "")
		if err != nil {
			tb.Fatal(err)
		}
		if revenue.Pending == 0 {
			return
		}
	}
	tb.Error("payments are settling still")
}

// seats returns how many seats are taken.
func (s *shop) seats(tb testing.TB, event string) int {
	tb.Helper()
	e, err := s.host.Event(context.Background(), event)
	if err != nil {
		tb.Fatal(err)
	}
	return e.SeatsTaken
}

// Faults. Those named after hand the request on to the facilitator first.

func drop(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func say(status int, body string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func after(f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		f(w, r, nil)
	}
}

// half of what the facilitator says, or some of it changed.
func edited(edit func(string) string) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		_, _ = io.WriteString(w, edit(answer.Body.String()))
	}
}

func truncated(w http.ResponseWriter, r *http.Request, next http.Handler) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	w.Header().Set("Content-Length", fmt.Sprint(answer.Body.Len()))
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
}

func redirected(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
}

func twice(w http.ResponseWriter, r *http.Request, next http.Handler) {
	raw, _ := io.ReadAll(r.Body)
	again := r.Clone(r.Context())
	again.Body, r.Body = io.NopCloser(bytes.NewReader(raw)), io.NopCloser(bytes.NewReader(raw))
	var both sync.WaitGroup
	both.Go(func() { next.ServeHTTP(httptest.NewRecorder(), again) })
	next.ServeHTTP(w, r)
	both.Wait()
}
