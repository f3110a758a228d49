package chat_test

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	_ "modernc.org/sqlite"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest/chat"
)

// road is a way to Hosts on which a test may stand.
type road struct {
	next http.RoundTripper
	paid func(next http.RoundTripper, r *http.Request) (*http.Response, error) // carries what pays
}

func (o *road) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(x402.HeaderPaymentV2) == "" && r.Header.Get(x402.HeaderPaymentV1) == "" {
		return o.next.RoundTrip(r)
	}
	return o.paid(o.next, r)
}

// gate holds payments back until it is opened, and says when one is there.
type gate struct{ there, open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 10), make(chan struct{})} }

func (g *gate) way(next http.RoundTripper) http.RoundTripper {
	return &road{next, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		g.there <- struct{}{}
		<-g.open
		return next.RoundTrip(r)
	}}
}

// toBePaid has a visitor asked about $0.05.
func toBePaid(t *testing.T, w *world) (*place, *tab, int64) {
	t.Helper()
	club := w.place()
	club.event("Jazz night", "0.05", "")
	b := w.open("")
	b.say(club.url())
	return club, b, one(t, b.say("book jazz"), "approval").Approval
}

// once fails unless the Host was paid exactly once.
func once(t *testing.T, w *world, club *place) {
	t.Helper()
	if got := w.balance(club.payTo); got != x402.USD/20 {
		t.Errorf("the host has $%s", got.USD())
	}
}

// Who reloads the page while the money moves finds the receipt.
func TestReloadWhilePaying(t *testing.T) {
	g := newGate()
	w := newWorld(t)
	w.transport = g.way
	w.start()
	club, b, question := toBePaid(t, w)
	b.send(map[string]any{"type": "approve", "approval": question})
	<-g.there
	b.send(map[string]any{"type": "cancel"}) // too late
	b.conn.CloseNow()
	again := w.open(b.cookie)
	if !again.busy {
		t.Error("nothing seems to be under way")
	}
	close(g.open)
	one(t, again.until("done"), "receipt")
	once(t, w, club)
}

// A server that is stopped ends its connections, and finishes what was clicked.
func TestStopWhilePaying(t *testing.T) {
	g := newGate()
	w := newWorld(t)
	w.transport = g.way
	w.start()
	club, b, question := toBePaid(t, w)
	b.send(map[string]any{"type": "approve", "approval": question})
	<-g.there
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.stop()
	}()
	for {
		if _, err := b.read(); err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the connection ended with %v", err)
			}
			break
		}
	}
	close(g.open)
	<-stopped
	w.start()
	again := w.open(b.cookie)
	one(t, again.past, "receipt")
	if again.busy {
		t.Error("it is paid once more")
	}
	once(t, w, club)
}

// A server that had to end in the middle of a payment goes on with that payment.
func TestKilledWhilePaying(t *testing.T) {
	there := make(chan struct{}, 10)
	w := newWorld(t)
	w.grace = 50 * time.Millisecond
	w.transport = func(next http.RoundTripper) http.RoundTripper {
		return &road{next, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r) // it is taken, and the answer is lost
			if err == nil {
				resp.Body.Close()
			}
			there <- struct{}{}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
	}
	w.start()
	club, b, question := toBePaid(t, w)
	b.send(map[string]any{"type": "approve", "approval": question})
	<-there
	w.stop()
	w.transport, w.grace = nil, time.Minute
	w.start()
	again := w.open(b.cookie)
	none(t, again.past, "receipt")
	got := again.until("done")
	if r := into[shownReceipt](t, one(t, got, "receipt")); r.Status != "confirmed" || r.USD != "0.05" {
		t.Errorf("%+v", r)
	}
	once(t, w, club)
	if third := w.open(b.cookie); third.busy {
		t.Error("it is paid once more")
	}
}

// A click of which only the answer was kept is followed when somebody comes.
func TestKilledBeforePaying(t *testing.T) {
	w := newWorld(t).start()
	club, b, question := toBePaid(t, w)
	w.stop()
	w.start()
	if _, err := w.purse.Answer(t.Context(), question, true); err != nil {
		t.Fatal(err)
	}
	again := w.open(b.cookie)
	one(t, again.until("done"), "receipt")
	once(t, w, club)
}

// A payment of which only the conversation was not told is not made again.
func TestKilledAfterPaying(t *testing.T) {
	w := newWorld(t).start()
	club, b, question := toBePaid(t, w)
	paid := into[shownReceipt](t, one(t, b.click("approve", question), "receipt"))
	w.stop()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "agent.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`DELETE FROM messages WHERE kind = 'receipt'`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	w.start()
	again := w.open(b.cookie)
	if r := into[shownReceipt](t, one(t, again.until("done"), "receipt")); r.Status != "paid" || r.RSVP != paid.RSVP || r.USD != "0.05" {
		t.Errorf("%+v", r)
	}
	once(t, w, club)
}

// A Host out of reach after the click leaves nothing paid, and the person knows.
func TestHostGoneAfterTheClick(t *testing.T) {
	w := newWorld(t)
	gone := false
	w.transport = func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if gone {
				return refuse{}.RoundTrip(r)
			}
			return next.RoundTrip(r)
		})
	}
	w.start()
	club, b, question := toBePaid(t, w)
	gone = true
	got := b.click("approve", question)
	none(t, got, "receipt")
	if m := one(t, got, "error"); m.Code != "not_paid" || m.Approval != question {
		t.Errorf("%+v", m)
	}
	if w.balance(club.payTo) != 0 {
		t.Error("it was paid")
	}
}

// A Host that asks for more after the click gets nothing: the yes was to another
// amount.
func TestDearerAfterTheClick(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	jazz := club.event("Jazz night", "0.05", "")
	b := w.open("")
	b.say(club.url())
	question := one(t, b.say("book jazz"), "approval").Approval
	club.update(jazz, "0.50")
	got := b.click("approve", question)
	none(t, got, "receipt")
	if m := one(t, got, "error"); m.Code != "changed" || m.Approval != question {
		t.Errorf("%+v", m)
	}
	dearer := one(t, got, "approval")
	if q := into[shownQuestion](t, dearer); q.USD != "0.50" || q.ID == question {
		t.Errorf("%+v", q)
	}
	if got := w.balance(club.payTo); got != 0 {
		t.Errorf("the host has $%s", got.USD())
	}
	one(t, b.click("approve", dearer.Approval), "receipt")
	if got := w.balance(club.payTo); got != x402.USD/2 {
		t.Errorf("the host has $%s", got.USD())
	}
}

// update changes an event's price.
func (p *place) update(event, price string) {
	p.w.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"update_event","arguments":{"event_id":%q,"price":%q}}}`, event, price)
	r, err := http.NewRequestWithContext(p.w.t.Context(), "POST", p.w.base+"/mcp/users/"+p.user, strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(answer), price) {
		p.w.t.Fatalf("%s, %v", answer, err)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Two questions, clicked at once, are paid one after the other.
func TestTwoClicks(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	club.event("Jazz night", "0.05", "")
	club.event("Rock night", "0.07", "")
	b := w.open("")
	b.say(club.url())
	first, second := one(t, b.say("book jazz"), "approval").Approval, one(t, b.say("book rock"), "approval").Approval
	b.send(map[string]any{"type": "approve", "approval": first})
	b.send(map[string]any{"type": "approve", "approval": second})
	var got []chat.Message
	for n := 0; n < 2; {
		m := b.until("receipt")
		got = append(got, m...)
		n++
	}
	none(t, got, "error")
	if have := w.balance(club.payTo); have != 12*x402.USD/100 {
		t.Errorf("the host has $%s", have.USD())
	}
}
