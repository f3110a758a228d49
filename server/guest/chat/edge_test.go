package chat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
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
