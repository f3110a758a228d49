package server_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/testlog"
)

// A payment that comes when a limit is reached is not lost: it is repeated
// unchanged and books once, and what it booked is told again, also when the
// answer was refused the first time.
func TestPaymentOverLimit(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05"})
	d := &door{Server: server.New(server.Config{Hosts: w.hosts, Version: "test", Log: testlog.New(), Network: x402.BaseSepolia,
		Limits: server.Limits{User: 0.01, Tool: 0.01}})}
	d.SetHoldBack(0)
	payment, err := x402.Header(sign(t, w.wallet(x402.USD), w.quote(o.URL, map[string]any{"event_id": event}), 2))
	if err != nil {
		t.Fatal(err)
	}
	pay := func(path, body string) *httptest.ResponseRecorder {
		r := request(aGuest, "POST", path, "", body)
		r.Header.Set(x402.HeaderPaymentV2, payment)
		got := httptest.NewRecorder()
		d.ServeHTTP(got, r)
		return got
	}
	rest, mcp := "/api/users/"+o.User+"/events/"+event+"/rsvps", "/mcp/users/"+o.User
	for _, step := range []struct {
		name   string
		before int // requests that use up the limit of the Host
		path   string
		later  time.Duration
		status int
		says   string
	}{
		{"over the limit", 1, rest, 0, 429, "over_limit"},
		{"later", 0, rest, 100 * time.Second, 201, "confirmed"},
		{"again, over the limit", 0, mcp, 0, 429, "over_limit"},
		{"again, later", 0, mcp, 100 * time.Second, 200, "confirmed"},
	} {
		for range step.before {
			d.ask("192.0.2.7", "POST", mcp, "", `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		}
		w.later(step.later)
		body := `{}`
		if step.path == mcp {
			body = rsvpTo(event)
		}
		if got := pay(step.path, body); got.Code != step.status || !strings.Contains(got.Body.String(), step.says) {
			t.Errorf("%s: %d %s", step.name, got.Code, got.Body)
		}
	}
	if w.balance(o.Wallet) != 50_000 || w.revenue(o) != "50000" {
		t.Errorf("the wallet has %s, the revenue is %s", w.balance(o.Wallet), w.revenue(o))
	}
}
