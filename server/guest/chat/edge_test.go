package chat_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/testlog"
)

// A browser is known by a cookie that no script and no other site can use; a
// plain GET is told what this is.
func TestTheDoor(t *testing.T) {
	w := newWorld(t).start()
	resp, err := http.Get(w.base + "/agent")
	if err != nil {
		t.Fatal(err)
	}
	var problem struct{ Code string }
	err = json.NewDecoder(resp.Body).Decode(&problem)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusUpgradeRequired || problem.Code != "websocket_only" || len(resp.Cookies()) != 0 {
		t.Errorf("a plain GET: %s, %+v, %v", resp.Status, problem, err)
	}
	for _, c := range []struct {
		origin, cookie string
		status         int
	}{
		{"", "", http.StatusSwitchingProtocols},
		{w.base, "", http.StatusSwitchingProtocols},
		{"https://page.example.org", "", http.StatusSwitchingProtocols},
		{"https://evil.example.org", "", http.StatusForbidden},
		{"null", "", http.StatusForbidden},
		{"", "concierge_agent=chosen-by-an-attacker", http.StatusSwitchingProtocols},
	} {
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		if c.cookie != "" {
			header.Set("Cookie", c.cookie)
		}
		conn, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.base, "http")+"/agent", &websocket.DialOptions{HTTPHeader: header})
		if resp == nil || resp.StatusCode != c.status {
			t.Errorf("%+v: %v, %v", c, resp, err)
			continue
		}
		if err != nil {
			continue
		}
		set := resp.Header.Get("Set-Cookie")
		for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/agent"} {
			if !strings.Contains(set, want) {
				t.Errorf("%+v: the cookie is %q", c, set)
			}
		}
		if strings.Contains(set, "attacker") || strings.Contains(set, "Secure") {
			t.Errorf("%+v: the cookie is %q", c, set)
		}
		conn.CloseNow()
	}
}

// What no client should send is refused, or ends the connection.
func TestBadMessages(t *testing.T) {
	w := newWorld(t).start()
	b := w.open("")
	for _, bad := range []string{"hello", `{"type":"say"}`, `{"type":"approve","approval":"1"}`} {
		if err := b.conn.Write(t.Context(), websocket.MessageText, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		if m := one(t, b.until("error"), "error"); m.Code != "invalid_message" {
			t.Errorf("%s: %+v", bad, m)
		}
	}
	if got := kinds(b.say("help")); got != "said text done" {
		t.Errorf("afterwards: %s", got)
	}
	ends := func(b *tab, kind websocket.MessageType, message string, want websocket.StatusCode) {
		t.Helper()
		_ = b.conn.Write(t.Context(), kind, []byte(message))
		for {
			if _, err := b.read(); err != nil {
				if got := websocket.CloseStatus(err); got != want {
					t.Errorf("ended with %v: %v", got, err)
				}
				return
			}
		}
	}
	ends(b, websocket.MessageBinary, `{"type":"cancel"}`, websocket.StatusUnsupportedData)
	ends(w.open(""), websocket.MessageText, strings.Repeat("a", 9000), websocket.StatusMessageTooBig)
}

// elsewhere serves the same agent to clients that seem to come from an address.
func (w *world) elsewhere(t *testing.T, address string, c server.Config) string {
	t.Helper()
	c.Hosts, c.Version, c.Agent, c.Log = w.hosts, "test", w.agent, testlog.New()
	web := server.New(c)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		web.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/agent"
}

// One address can neither say too much nor take all places.
func TestOneAddress(t *testing.T) {
	w := newWorld(t).start()
	url := w.elsewhere(t, "192.0.2.1:443", server.Config{Limits: server.DefaultLimits()})
	var conns []*websocket.Conn
	for n := 1; ; n++ {
		conn, resp, err := websocket.Dial(t.Context(), url, nil)
		if err != nil {
			if resp == nil || resp.StatusCode != http.StatusTooManyRequests || n != 65 {
				t.Errorf("connection %d: %v, %v", n, resp, err)
			}
			break
		}
		t.Cleanup(func() { conn.CloseNow() })
		conns = append(conns, conn)
	}
	b := &tab{t: t, conn: conns[0]}
	b.until("history")
	for range 60 { // of which 20 may come at once
		b.send(map[string]any{"type": "cancel"})
	}
	if m := one(t, b.until("error"), "error"); m.Code != "over_limit" {
		t.Errorf("%+v", m)
	}
}

// Where people come by https, the cookie goes nowhere else.
func TestSecureCookie(t *testing.T) {
	w := newWorld(t).start()
	at := w.elsewhere(t, "127.0.0.1:1", server.Config{PublicURL: &url.URL{Scheme: "https", Host: "events.example.org"}})
	for origin, want := range map[string]int{"https://events.example.org": http.StatusSwitchingProtocols, "https://events.example.org.evil": http.StatusForbidden} {
		conn, resp, err := websocket.Dial(t.Context(), at, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if resp == nil || resp.StatusCode != want {
			t.Fatalf("%s: %v, %v", origin, resp, err)
		}
		if err == nil {
			conn.CloseNow()
			if set := resp.Header.Get("Set-Cookie"); !strings.Contains(set, "; Secure") {
				t.Errorf("the cookie is %q", set)
			}
		}
	}
}

// A conversation is open in so many places and no more.
func TestTooManyTabs(t *testing.T) {
	w := newWorld(t).start()
	first := w.open("")
	first.say("help")
	for range 7 {
		w.open(first.cookie)
	}
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.base, "http")+"/agent", &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {first.cookie}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("the ninth: %v", err)
	}
}
