package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/tools"
)

// books is an owner's revenue.
func (w *world) books(o owner) (r tools.Revenue) {
	w.t.Helper()
	if status := w.do("GET", "/api/users/"+o.User+"/revenue", o.Token, nil, &r); status != http.StatusOK {
		w.t.Fatalf("revenue: %d", status)
	}
	return r
}

// agree checks that what an owner's books have received and kept, and that
// alone, is in the wallet.
func (w *world) agree(o owner, settled, refunded, owed string) {
	w.t.Helper()
	r := w.books(o)
	if r.Settled.USD != settled || r.Refunded.USD != refunded || r.Owed.USD != owed || r.Pending.USD != "0.00" {
		w.t.Errorf("%+v, want $%s settled, $%s refunded, $%s owed", r, settled, refunded, owed)
	}
	kept, err := x402.ParseUSD(settled)
	if err != nil {
		w.t.Fatal(err)
	}
	due, err := x402.ParseUSD(owed)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := w.balance(o.Wallet); got != kept+due {
		w.t.Errorf("the wallet has $%s", got.USD())
	}
}

// rsvp calls a tool that answers with an RSVP.
func (w *world) rsvp(o owner, tool, id string, headers ...string) (r tools.RSVP, code string) {
	w.t.Helper()
	got := w.call(o.URL, tool, map[string]any{"rsvp_id": id}, nil, headers...)
	if !got.isError {
		if err := json.Unmarshal([]byte(got.text), &r); err != nil {
			w.t.Fatal(err)
		}
	}
	return r, got.code
}

// A guest cancels and has the money back, from the Host's own wallet, which
// needs no gas for it.
func TestCancelPaidRSVP(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "2.50", "capacity": 1})
	purse := w.wallet(10 * x402.USD)
	g := w.guest(o, purse, "")
	booked, err := g.Book(t.Context(), guest.Wish{EventID: event})
	if err != nil {
		t.Fatal(err)
	}
	w.agree(o, "2.50", "0.00", "0.00")
	for range 2 { // cancelled again, it is the same
		r, code := w.rsvp(o, "cancel_rsvp", booked.RSVP.ID)
		if code != "" || r.Status != "refunded" || r.Refund == nil || r.Refund.Status != "settled" || r.Refund.USD != "2.50" ||
			r.Refund.To != purse.Address().String() || len(r.Refund.Transaction) != 66 || r.Transaction != booked.RSVP.Transaction {
			t.Fatalf("%s: %+v, refund %+v", code, r, r.Refund)
		}
		if got := w.balance(purse.Address()); got != 10*x402.USD {
			t.Errorf("the guest has $%s", got.USD())
		}
		w.agree(o, "0.00", "2.50", "0.00")
	}
	if _, err := g.Book(t.Context(), guest.Wish{EventID: event}); err != nil { // the seat is free again
		t.Error(err)
	}
	w.agree(o, "2.50", "2.50", "0.00")
}

// Everybody gets the money back when the event is cancelled.
func TestCancelPaidEvent(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	bearer := []string{"Authorization", "Bearer " + o.Token}
	event, other := w.event(o, map[string]any{"price": "2.50"}), w.event(o, map[string]any{"price": "1"})
	const guests = 5
	for range guests {
		purse := w.wallet(10 * x402.USD)
		g := w.guest(o, purse, "")
		for _, id := range []string{event, other} {
			if _, err := g.Book(t.Context(), guest.Wish{EventID: id}); err != nil {
				t.Fatal(err)
			}
		}
		defer func() {
			if got := w.balance(purse.Address()); got != 9*x402.USD {
				t.Errorf("a guest has $%s", got.USD())
			}
		}()
	}
	if got := w.call(o.URL, "cancel_event", map[string]any{"event_id": event}, nil, bearer...); got.isError || !strings.Contains(got.text, `"status":"cancelled"`) {
		t.Fatalf("%s", got.text)
	}
	w.agree(o, "5.00", "0.00", "12.50")
	open := w.books(o).Refunds
	if len(open) != guests || open[0].Status != "owed" || open[0].Amount != "2500000" || open[0].RSVPID == "" {
		t.Errorf("%d refunds are open: %+v", len(open), open)
	}
	for range 2 {
		if err := w.hosts.Cashier.Reconcile(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.agree(o, "5.00", "12.50", "0.00")
	if open := w.books(o).Refunds; len(open) > 0 {
		t.Errorf("%+v", open)
	}
	for _, tool := range []string{"update_event", "cancel_event"} {
		if got := w.call(o.URL, tool, map[string]any{"event_id": event}, nil, bearer...); got.isError != (tool == "update_event") {
			t.Errorf("%s: %s", tool, got.text)
		}
	}
}

// Of a Host whose wallet is elsewhere it is said what it owes, and to whom.
func TestRefundFromElsewhere(t *testing.T) {
	w := newWorld(t)
	var o owner
	if status := w.do("POST", "/api/users", "", map[string]any{"email": "owner@example.org", "wallet_address": w.wallet(0).Address()}, &o); status != http.StatusCreated {
		t.Fatal(status)
	}
	purse := w.wallet(10 * x402.USD)
	booked, err := w.guest(o, purse, "").Book(t.Context(), guest.Wish{EventID: w.event(o, map[string]any{"price": "2.50"})})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := w.rsvp(o, "cancel_rsvp", booked.RSVP.ID)
	if r.Status != "cancelled" || r.Refund == nil || r.Refund.Status != "owed" || r.Refund.Reason != "wallet_not_held" {
		t.Errorf("%+v, refund %+v", r, r.Refund)
	}
	w.agree(o, "0.00", "0.00", "2.50")
	if open := w.books(o).Refunds; len(open) != 1 || open[0].To != purse.Address().String() || open[0].Reason != "wallet_not_held" || open[0].RSVPID != r.ID {
		t.Errorf("%+v", open)
	}
}

// A price that changes touches who has not booked: who was quoted the old one is
// asked for the new one, and pays nothing by the old.
func TestPriceChanges(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "2.50"})
	early, late := w.guest(o, w.wallet(10*x402.USD), ""), w.wallet(10*x402.USD)
	booked, err := early.Book(t.Context(), guest.Wish{EventID: event})
	if err != nil {
		t.Fatal(err)
	}
	payment := sign(t, late, w.quote(o.URL, map[string]any{"event_id": event}), 2)
	if got := w.call(o.URL, "update_event", map[string]any{"event_id": event, "price": "3"}, nil, "Authorization", "Bearer "+o.Token); got.isError {
		t.Fatal(got.text)
	}
	got := w.call(o.URL, "rsvp_to_event", map[string]any{"event_id": event}, &payment)
	required, err := x402.DecodeRequired([]byte(got.text))
	if err != nil || !got.isError || got.code != "payment_invalid" || required.Accepts[0].Amount != x402.NewUint256(3_000_000) {
		t.Errorf("%v: %s", err, got.text)
	}
	w.agree(o, "2.50", "0.00", "0.00")
	if r, _ := w.rsvp(o, "cancel_rsvp", booked.RSVP.ID); r.Refund == nil || r.Refund.USD != "2.50" {
		t.Errorf("%+v", r.Refund)
	}
}
