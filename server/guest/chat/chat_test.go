package chat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest/chat"
)

type shownEvents struct {
	Events []struct {
		N               int
		ID, Title, Host string
	}
}

type shownQuestion struct {
	ID               int64
	USD, Host, About string
	PayTo            x402.Address `json:"pay_to"`
	EventID          string       `json:"event_id"`
	Seats            int
	Expires, Network string
}

type shownReceipt struct {
	Status, USD, Transaction, Title string
	RSVP                            string `json:"rsvp_id"`
	EventID                         string `json:"event_id"`
	Seats                           int
	PayTo                           x402.Address `json:"pay_to"`
	StartsAt                        string       `json:"starts_at"`
	Ticket, Explorer                string
	QR                              []string
	Refund                          *struct{ USD, Status string }
}

type shownFunds struct {
	Address x402.Address
	USD     string
}

// A person who knows nothing of payments finds, books and cancels.
func TestPlainRequests(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	jazz, talk := club.event("Jazz night", "0.05", "Bring a friend"), club.event("Free talk", "0", "About jazz")
	b := w.open("")
	if len(b.past) != 0 {
		t.Errorf("the history of a new conversation: %+v", b.past)
	}
	if m := one(t, b.say("what can you do?"), "text"); !strings.Contains(m.Text, "my rsvps") {
		t.Errorf("help: %q", m.Text)
	}
	if m := one(t, b.say("list events"), "events"); !strings.Contains(m.Text, "no host yet") {
		t.Errorf("without a host: %q", m.Text)
	}
	list := into[shownEvents](t, one(t, b.say("please connect to "+club.url()+"."), "events"))
	if len(list.Events) != 2 || list.Events[0].Title != "Jazz night" && list.Events[1].Title != "Jazz night" {
		t.Fatalf("the list: %+v", list)
	}
	if m := one(t, b.say("tell me about jazz night"), "event"); !strings.Contains(m.Text, "Bring a friend") || !strings.Contains(m.Text, "$0.05") {
		t.Errorf("details: %q", m.Text)
	}
	asked := one(t, b.say("book 2 seats for jazz night"), "approval")
	q := into[shownQuestion](t, asked)
	if q.ID != asked.Approval || q.USD != "0.10" || q.PayTo != club.payTo || q.EventID != jazz || q.Seats != 2 || q.Host != club.url() || q.Expires == "" || asked.State != "asked" {
		t.Errorf("the question: %+v in %+v", q, asked)
	}
	if got := w.balance(club.payTo); got != 0 {
		t.Fatalf("paid before the click: %s", got.USD())
	}
	paid := b.click("approve", asked.Approval)
	none(t, paid, "error")
	got := into[shownReceipt](t, one(t, paid, "receipt"))
	if got.Status != "confirmed" || got.USD != "0.10" || got.PayTo != club.payTo || got.Seats != 2 || got.EventID != jazz || got.RSVP == "" || got.Title != "Jazz night" {
		t.Errorf("the receipt: %+v", got)
	}
	if got := w.balance(club.payTo); got != x402.USD/10 {
		t.Errorf("the host has %s", got.USD())
	}
	if m := one(t, b.say("rsvp to the free talk"), "receipt"); into[shownReceipt](t, m).EventID != talk || into[shownReceipt](t, m).USD != "" {
		t.Errorf("a free one: %+v", m)
	}
	if m := one(t, b.say("my bookings"), "rsvps"); strings.Count(m.Text, "confirmed") != 2 {
		t.Errorf("bookings: %q", m.Text)
	}
	funds := into[shownFunds](t, one(t, b.say("what's in my wallet?"), "wallet"))
	if funds.USD != "9.90" || w.balance(funds.Address) != 99*x402.USD/10 {
		t.Errorf("the wallet: %+v", funds)
	}
	if m := one(t, b.say("how much have I spent"), "spending"); !strings.Contains(m.Text, "$0.10") {
		t.Errorf("spending: %q", m.Text)
	}
	if m := b.say("cancel"); one(t, m, "error").Code != "which" {
		t.Errorf("a bare cancel: %+v", m)
	}
	one(t, b.say("rsvps"), "rsvps")
	if m := one(t, b.say("cancel "+got.RSVP), "receipt"); into[shownReceipt](t, m).Status != "refunded" && into[shownReceipt](t, m).Status != "cancelled" {
		t.Errorf("cancelled: %+v", m)
	}
	if m := one(t, b.say("sdfkjh"), "text"); !strings.Contains(m.Text, "did not understand") {
		t.Errorf("nonsense: %q", m.Text)
	}

	// All of it is there after a reload, also by another process.
	w.restart()
	again := w.open(b.cookie)
	var kept []chat.Message
	for _, m := range b.seen {
		if m.ID != 0 {
			m.State = ""
			kept = append(kept, m)
		}
	}
	for i := range again.past {
		if again.past[i].Type == "approval" && again.past[i].State != "used" {
			t.Errorf("the question is %s", again.past[i].State)
		}
		again.past[i].State = ""
	}
	if diff := cmp.Diff(kept, again.past); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	if m := one(t, again.say("details of 1"), "event"); m.Text == "" {
		t.Error("the last list is forgotten")
	}
}

// Without the click nothing is signed; a no is a no, and may become a yes.
func TestOnlyTheClickPays(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	club.event("Jazz night", "0.05", "")
	b := w.open("")
	b.say(club.url())
	first := one(t, b.say("book 1"), "approval").Approval
	if again := one(t, b.say("book 1, I approve it, yes"), "approval").Approval; again != first {
		t.Errorf("another question: %d, %d", first, again)
	}
	if m := one(t, b.click("deny", first), "answered"); m.State != "denied" {
		t.Errorf("%+v", m)
	}
	if m := one(t, b.say("book 1"), "approval"); m.State != "denied" || !strings.Contains(m.Text, "said no") {
		t.Errorf("%+v", m)
	}
	if w.balance(club.payTo) != 0 {
		t.Fatal("it was paid")
	}
	b.send(map[string]any{"type": "approve", "approval": first + 1000})
	if m := one(t, b.until("error"), "error"); m.Code != "no_approval" {
		t.Errorf("%+v", m)
	}
	one(t, b.click("approve", first), "receipt")
	b.send(map[string]any{"type": "approve", "approval": first}) // a second click
	if m := one(t, b.until("answered"), "answered"); m.State != "used" {
		t.Errorf("%+v", m)
	}
	if got := w.balance(club.payTo); got != x402.USD/20 {
		t.Errorf("the host has %s", got.USD())
	}
}

// What is one visitor's is no other's: their words, wallet, questions, bookings.
func TestVisitorsApart(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	club.event("Jazz night", "0.05", "")
	club.event("Free talk", "0", "")
	ada, bob := w.open(""), w.open("")
	for _, b := range []*tab{ada, bob} {
		b.say(club.url())
		b.say("rsvp to the free talk")
	}
	asked := one(t, ada.say("book jazz night"), "approval").Approval
	bob.send(map[string]any{"type": "approve", "approval": asked})
	if m := one(t, bob.until("error"), "error"); m.Code != "no_approval" {
		t.Errorf("%+v", m)
	}
	bob.send(map[string]any{"type": "deny", "approval": asked})
	if m := one(t, bob.until("error"), "error"); m.Code != "no_approval" {
		t.Errorf("%+v", m)
	}
	one(t, ada.click("approve", asked), "receipt")
	if m := one(t, bob.say("my rsvps"), "rsvps"); strings.Count(m.Text, "\n") != 0 || strings.Contains(m.Text, "Jazz") {
		t.Errorf("bob sees %q", m.Text)
	}
	of := func(b *tab) shownFunds { return into[shownFunds](t, one(t, b.say("wallet"), "wallet")) }
	if a, b := of(ada), of(bob); a.Address == b.Address || a.USD != "9.95" || b.USD != "10.00" {
		t.Errorf("wallets: %+v, %+v", a, b)
	}
	if strings.Contains(ada.cookie, bob.cookie) || strings.Contains(w.log.String(), strings.TrimPrefix(ada.cookie, "concierge_agent=")) {
		t.Error("a token is known to others")
	}
}

// Several tabs of one browser see the same conversation.
func TestTabs(t *testing.T) {
	w := newWorld(t).start()
	a := w.open("")
	b := w.open(a.cookie)
	a.say("help")
	if got := kinds(b.until("done")); got != "said text done" {
		t.Errorf("the other tab sees %s", got)
	}
	b.say("hosts")
	if got := kinds(a.until("done")); got != "said hosts done" {
		t.Errorf("the other tab sees %s", got)
	}
}
