package server_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// The main job, with both generations of the protocol.
func TestPaidBooking(t *testing.T) {
	w := newWorld(t)
	for _, protocol := range []string{"2025-06-18", "2026-07-28"} {
		t.Run(protocol, func(t *testing.T) {
			o := w.register("owner-" + protocol + "@example.org")
			cheap := w.event(o, map[string]any{"price": "0.05", "capacity": 10})
			dear := w.event(o, map[string]any{"price": "2.50"})
			purse := w.wallet(10 * x402.USD)
			g := w.guest(o, purse, protocol)
			if _, spoken, err := g.Server(t.Context()); err != nil || spoken != protocol {
				t.Fatalf("speaks %q, %v", spoken, err)
			}
			events, _, err := g.Events(t.Context(), "", "")
			if err != nil || len(events) != 2 {
				t.Fatalf("%d events, %v", len(events), err)
			}
			for event, price := range map[string]x402.Amount{cheap: 50_000, dear: 2_500_000} {
				booked, err := g.Book(t.Context(), guest.Wish{EventID: event, Name: "Ada", Email: event + "@example.org"})
				if err != nil {
					t.Fatal(err)
				}
				r := booked.RSVP
				if booked.Paid != price || booked.PayTo != o.Wallet || r.Status != "confirmed" || r.Payer != purse.Address().String() ||
					r.Amount != price.String() || len(r.Transaction) != 66 || booked.Receipt == nil || booked.Receipt.Transaction != r.Transaction {
					t.Errorf("%+v", booked)
				}
			}
			if got := w.balance(o.Wallet); got != 2_550_000 || w.revenue(o) != "2550000" {
				t.Errorf("balance %s, revenue %s", got, w.revenue(o))
			}
			if got := w.balance(purse.Address()); got != 10*x402.USD-2_550_000 {
				t.Errorf("the guest has %s left", got.USD())
			}
		})
	}
	if log := w.logged(); strings.Contains(log, "@example.org") || strings.Contains(log, "ec_") {
		t.Error("an email or a token is in the log")
	}
}

// 200 guests, 10 seats: 10 confirmed, exactly 10 transfers.
func TestNeverOversold(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05", "capacity": 10})
	const guests = 200
	hosts := make([]*guest.Host, guests)
	var ready sync.WaitGroup
	for i := range hosts {
		ready.Go(func() { hosts[i] = w.guest(o, w.wallet(x402.USD), "") })
	}
	ready.Wait()
	outcomes := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, h := range hosts {
		wg.Go(func() {
			booked, err := h.Book(t.Context(), guest.Wish{EventID: event})
			outcome := booked.RSVP.Status
			var refusal *guest.ToolError
			if errors.As(err, &refusal) {
				outcome = refusal.Code
			} else if err != nil {
				outcome = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	wg.Wait()
	if fmt.Sprint(outcomes) != "map[confirmed:10 event_full:190]" {
		t.Errorf("outcomes: %v", outcomes)
	}
	if got := w.balance(o.Wallet); got != 500_000 || w.revenue(o) != "500000" {
		t.Errorf("balance %s, revenue %s: want ten times 50000", got, w.revenue(o))
	}
}
