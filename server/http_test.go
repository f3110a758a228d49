package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

func TestRegister(t *testing.T) {
	w := newWorld(t)
	const to = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
	for _, test := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"new", `{"email": "Ada@Example.org "}`, 201, ""},
		{"again, in lower case", `{"email": "ada@example.org"}`, 409, "user_exists"},
		{"with a wallet", `{"email": "bo@example.org", "wallet_address": "` + to + `"}`, 201, ""},
		{"a wallet with a typing mistake", `{"email": "cy@example.org", "wallet_address": "0x209693bC6afc0C5328bA36FaF03C514EF312287C"}`, 400, "invalid_argument"},
		{"nobody's wallet", `{"email": "cy@example.org", "wallet_address": "0x0000000000000000000000000000000000000000"}`, 400, "invalid_argument"},
		{"no email", `{}`, 400, "invalid_argument"},
		{"not an email", `{"email": "ada"}`, 400, "invalid_argument"},
		{"unknown field", `{"mail": "ada@example.org"}`, 400, "invalid_argument"},
		{"not JSON", `email=ada`, 400, "invalid_argument"},
		{"too large", `{"email": "` + strings.Repeat("a", 2<<20) + `"}`, 413, "too_large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, raw := w.raw("POST", "/api/users", "", test.body)
			var got struct {
				Code, User string
				Token      string `json:"owner_token"`
				Wallet     string `json:"wallet_address"`
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatalf("%v in %s", err, raw)
			}
			if status != test.status || got.Code != test.code {
				t.Fatalf("%d %s", status, raw)
			}
			if status == 201 && (len(got.Token) < 43 || len(got.User) != 26 || !strings.HasPrefix(got.Wallet, "0x")) {
				t.Errorf("%s", raw)
			}
			if strings.Contains(test.name, "with a wallet") && got.Wallet != to {
				t.Errorf("wallet %s", got.Wallet)
			}
		})
	}
}

// The credential of each request says who calls; a wrong one never makes a
// guest of its bearer.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	a, b := w.register("a@example.org"), w.register("b@example.org")
	newEvent := map[string]any{"title": "T", "starts_at": "2030-01-01T00:00:00Z"}
	for _, test := range []struct {
		name, authorization string
		status              int
		listed              int
		created             bool
	}{
		{"guest", "", 200, 5, false},
		{"owner", "Bearer " + a.Token, 200, 11, true},
		{"owner, in lower case", "bearer " + a.Token, 200, 11, true},
		{"the owner of another host", "Bearer " + b.Token, 401, 0, false},
		{"one letter off", "Bearer " + a.Token[:len(a.Token)-1] + "~", 401, 0, false},
		{"an empty token", "Bearer ", 401, 0, false},
		{"another scheme", "Basic " + a.Token, 401, 0, false},
		{"no scheme", a.Token, 401, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.authorization != "" {
				headers = []string{"Authorization", test.authorization}
			}
			got := w.call(a.URL, "create_event", newEvent, nil, headers...)
			if got.status != test.status {
				t.Fatalf("status %d", got.status)
			}
			if created := got.status == 200 && !got.isError; created != test.created {
				t.Errorf("created: %v: %s", created, got.text)
			}
			if test.status == 200 && !test.created && got.code != "not_allowed" {
				t.Errorf("code %q", got.code)
			}
			token := strings.TrimSpace(test.authorization[min(len(test.authorization), len("Bearer ")):])
			if test.status == 200 {
				var list struct{ Result struct{ Tools []any } }
				w.do("POST", "/mcp/users/"+a.User, token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, &list)
				if len(list.Result.Tools) != test.listed {
					t.Errorf("%d tools are listed", len(list.Result.Tools))
				}
			}
		})
	}
	for _, path := range []string{"/events", "/revenue"} {
		method := map[string]string{"/events": "POST", "/revenue": "GET"}[path]
		for name, token := range map[string]string{"nobody": "", "the wrong one": b.Token} {
			if status := w.do(method, "/api/users/"+a.User+path, token, nil, nil); status != 401 {
				t.Errorf("%s %s as %s: %d", method, path, name, status)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"title": "Under the roof", "price": "0.05", "capacity": 2})
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/healthz", "", 200, `"ok"`},
		{"GET", "/readyz", "", 200, `"ready"`},
		{"GET", "/mcp/info", "", 200, `"eip155:84532"`},
		{"GET", "/api/users/" + o.User + "/events", "", 200, "Under the roof"},
		{"GET", "/api/users/" + o.User + "/events?query=ROOF&limit=1", "", 200, event},
		{"GET", "/api/users/" + o.User + "/events?query=cellar", "", 200, `"events":[]`},
		{"GET", "/api/users/" + o.User + "/events?limit=x", "", 400, "invalid_argument"},
		{"GET", "/api/users/" + o.User + "/events?limit=101", "", 400, "invalid_argument"},
		{"GET", "/api/users/" + o.User + "/events?cursor=x", "", 400, "invalid_argument"},
		{"GET", "/api/users/" + o.User + "/events/" + event, "", 200, `"seats_left":2`},
		{"GET", "/api/users/" + o.User + "/events/evt_none", "", 404, "event_not_found"},
		{"GET", "/api/users/nobody/events", "", 404, "user_not_found"},
		{"POST", "/mcp/users/nobody", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 404, "user_not_found"},
		{"POST", "/mcp/users/x", `{}`, 404, "user_not_found"},
		{"POST", "/mcp/users/..%2f..%2fserver", `{}`, 404, "user_not_found"},
		{"GET", "/nothing", "", 404, "not_found"},
		{"GET", "/mcp/users/", "", 404, "not_found"},
		{"PUT", "/api/users", "{}", 404, "not_found"},
		{"GET", "/mcp/users/" + o.User, "", 405, ""},
		{"POST", "/mcp/users/" + o.User, strings.Repeat(" ", 2<<20), 413, "too_large"},
		{"POST", "/mcp/users/" + o.User, "{", 400, "not valid json"},
		{"POST", "/devnet", `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`, 200, "0x14a34"},
	} {
		t.Run(test.method+" "+test.path[:min(40, len(test.path))], func(t *testing.T) {
			var body any
			if test.body != "" {
				body = test.body
			}
			status, raw := w.raw(test.method, test.path, "", body)
			if status != test.status || !strings.Contains(string(raw), test.says) {
				t.Errorf("%d %.300s", status, raw)
			}
		})
	}
}

// A web page that points its own name at this machine is refused.
func TestForeignHost(t *testing.T) {
	w := newWorld(t)
	for name, status := range map[string]int{"evil.example.com": 403, "localhost:1": 200, "127.0.0.1": 200, "[::1]:8402": 200} {
		req, err := http.NewRequest("GET", w.base+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = name
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	for origin, allowed := range map[string]string{"https://page.example.org": "https://page.example.org", "https://evil.example.com": ""} {
		req, err := http.NewRequest("OPTIONS", w.base+"/mcp/users/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		req.Header.Set("Access-Control-Request-Headers", "content-type,mcp-protocol-version,payment-signature,x-payment")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != allowed {
			t.Errorf("%s: allowed %q", origin, got)
		}
	}
}

// slow holds settlements back until the test lets them go.
type slow struct {
	payments.Facilitator
	begun, release chan struct{}
}

func (s *slow) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	s.begun <- struct{}{}
	<-s.release
	return s.Facilitator.Settle(ctx, p, r)
}

func slowWorld(t *testing.T) (*world, *slow) {
	s := &slow{begun: make(chan struct{}), release: make(chan struct{})}
	return newWorld(t, func(f payments.Facilitator) payments.Facilitator { s.Facilitator = f; return s }), s
}

// A call in flight when the server is told to stop still gets its answer.
func TestGracefulShutdown(t *testing.T) {
	w, s := slowWorld(t)
	o := w.register("owner@example.org")
	arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"})}
	payment := sign(t, w.wallet(x402.USD), w.quote(o.URL, arguments), 2)
	answered := make(chan answer, 1)
	go func() { answered <- w.call(o.URL, "rsvp_to_event", arguments, &payment) }()
	<-s.begun
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	for { // until it takes no new connections
		c, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(s.release)
	if a := <-answered; a.isError || !strings.Contains(a.text, `"status":"confirmed"`) {
		t.Errorf("%+v", a)
	}
	<-stopped
}

// Ids of stateless requests are alike; a stranger's notice must not cancel this
// client's call.
func TestStrangersCancel(t *testing.T) {
	w, s := slowWorld(t)
	o := w.register("owner@example.org")
	arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"})}
	payment := sign(t, w.wallet(x402.USD), w.quote(o.URL, arguments), 2)
	answered := make(chan answer, 1)
	go func() { answered <- w.call(o.URL, "rsvp_to_event", arguments, &payment) }()
	<-s.begun
	for _, method := range []string{"notifications/cancelled", `notifications\/cancelled`} {
		status := w.do("POST", "/mcp/users/"+o.User, "", fmt.Sprintf(`{"jsonrpc":"2.0","method":"%s","params":{"requestId":1}}`, method), nil)
		if status != http.StatusAccepted {
			t.Errorf("%s: %d", method, status)
		}
	}
	close(s.release)
	if a := <-answered; a.isError || !strings.Contains(a.text, `"status":"confirmed"`) {
		t.Errorf("%+v", a)
	}
}

// A guest that hangs up while its payment settles finds its RSVP by asking again
// with the same payment.
func TestGuestHangsUp(t *testing.T) {
	w, s := slowWorld(t)
	o := w.register("owner@example.org")
	wish := guest.Wish{EventID: w.event(o, map[string]any{"price": "0.05"})}
	ctx, hangUp := context.WithCancel(t.Context())
	payment := sign(t, w.wallet(x402.USD), w.quote(o.URL, wish), 2)
	value, err := x402.Header(payment)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", o.URL, strings.NewReader(fmt.Sprintf(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":%q}}}`, wish.EventID)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(x402.HeaderPaymentV2, value)
	gone := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		gone <- err
	}()
	<-s.begun
	hangUp()
	<-gone
	close(s.release)
	if a := w.call(o.URL, "rsvp_to_event", wish, &payment); a.isError || !strings.Contains(a.text, `"status":"confirmed"`) {
		t.Errorf("%+v", a)
	}
	if w.balance(o.Wallet) != 50_000 {
		t.Errorf("balance %s", w.balance(o.Wallet))
	}
}
