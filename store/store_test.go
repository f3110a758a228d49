package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// start is when tests begin.
var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// clock stands still until it is moved.
type clock struct{ since atomic.Int64 }

func (c *clock) Now() time.Time           { return start.Add(time.Duration(c.since.Load())) }
func (c *clock) Advance(by time.Duration) { c.since.Add(int64(by)) }

// host is an open Host with what tests need around it.
type host struct {
	*store.Host
	path  string
	clock *clock
}

// MustOpen opens a Host on a new file, and closes it with the test.
func MustOpen(tb testing.TB) *host {
	tb.Helper()
	return reopen(tb, &host{path: filepath.Join(tb.TempDir(), "host.db"), clock: &clock{}})
}

// reopen opens one more Host on the same file and clock.
func reopen(tb testing.TB, h *host) *host {
	tb.Helper()
	opened, err := store.OpenHost(tb.Context(), h.path, store.Options{Now: h.clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := opened.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &host{opened, h.path, h.clock}
}

// event adds an event that starts in a day; change may alter it.
func (h *host) event(tb testing.TB, id string, change func(*store.Event)) store.Event {
	tb.Helper()
	e := store.Event{
		ID: id, Title: "Tea", Description: "With cake", TimeZone: "Europe/Berlin", Location: "The garden",
		StartsAt: start.Add(24 * time.Hour),
	}
	if change != nil {
		change(&e)
	}
	e, err := h.CreateEvent(tb.Context(), e)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// priced makes an event with this many seats at a dollar each.
func priced(capacity int) func(*store.Event) {
	return func(e *store.Event) { e.Capacity, e.Price = capacity, x402.USD }
}

// seats makes a free event with this many seats.
func seats(capacity int) func(*store.Event) {
	return func(e *store.Event) { e.Capacity = capacity }
}

// cancel cancels an event.
func (h *host) cancel(tb testing.TB, id string) {
	tb.Helper()
	if _, err := h.CancelEvent(tb.Context(), id, h.cleared(tb)); err != nil {
		tb.Fatal(err)
	}
}

func (h *host) cleared(tb testing.TB) int64 {
	tb.Helper()
	n, err := h.Cleared(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// taken returns the seats taken at an event.
func (h *host) taken(tb testing.TB, id string) int {
	tb.Helper()
	e, err := h.Event(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return e.SeatsTaken
}

// rawDB opens a file without the store.
func rawDB(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=10000"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// raw runs SQL on a file without the store.
func raw(tb testing.TB, path, query string, args ...any) {
	tb.Helper()
	db := rawDB(tb, path)
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		tb.Fatal(err)
	}
}

func address(n int) (a x402.Address) {
	binary.BigEndian.PutUint64(a[12:], uint64(n))
	return a
}

func hash(n int) (b x402.Bytes32) {
	binary.BigEndian.PutUint64(b[24:], uint64(n))
	return b
}

// moved is the transfer of money in transaction n, for good.
func moved(n int) payments.Settlement {
	return payments.Settlement{Transaction: hash(n), Block: uint64(n), Final: true}
}

// booking is number n, by a guest of that number.
func booking(eventID string, n, seats int) payments.Booking {
	return payments.Booking{
		RSVPID: fmt.Sprintf("rsvp-%d", n), EventID: eventID, Seats: seats,
		Name: fmt.Sprintf("Guest %d", n), Email: fmt.Sprintf("guest%d@example.com", n),
	}
}

// paid is the payment for booking n, by a payer of that number.
func paid(n, seats int) payments.Payment {
	usdc, _, _ := x402.USDC(x402.BaseSepolia)
	return payments.Payment{
		ID: fmt.Sprintf("pay-%d", n), X402Version: 2, Network: x402.BaseSepolia, Asset: usdc,
		Payer: address(n + 1), PayTo: address(1 << 40), Amount: x402.USD * x402.Amount(seats), Nonce: hash(n),
		ValidAfter: start.Add(-time.Minute), ValidBefore: start.Add(5 * time.Minute),
		Signature: x402.Signature{1, 2, 3, byte(n)}, Since: 1000 + uint64(n),
	}
}

// hold books n seats with payment n.
func (h *host) hold(tb testing.TB, eventID string, n, seats int) {
	tb.Helper()
	if err := h.Hold(tb.Context(), paid(n, seats), booking(eventID, n, seats)); err != nil {
		tb.Fatal(err)
	}
}
