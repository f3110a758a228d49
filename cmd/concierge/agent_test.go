package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/events-concierge/concierge/server/testlog"
)

// agentTab is a browser's tab at a server's agent.
type agentTab struct {
	t      *testing.T
	conn   *websocket.Conn
	cookie string
}

// agentMessage is what comes from it.
type agentMessage struct {
	Type, Text, Code string
	Approval         int64
	Data             json.RawMessage
	Messages         []agentMessage
}

func openTab(t *testing.T, p *program, cookie string) *agentTab {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/agent",
		&websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {cookie}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	for _, c := range resp.Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return &agentTab{t, conn, cookie}
}

// until returns the first message of a type.
func (a *agentTab) until(kind string) agentMessage {
	a.t.Helper()
	for {
		_, raw, err := a.conn.Read(a.t.Context())
		if err != nil {
			a.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var m agentMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			a.t.Fatal(err)
		}
		if m.Type == kind {
			return m
		}
		if m.Type == "error" {
			a.t.Fatalf("waiting for %s: %+v", kind, m)
		}
	}
}

func (a *agentTab) send(m map[string]any) {
	a.t.Helper()
	raw, err := json.Marshal(m)
	if err == nil {
		err = a.conn.Write(a.t.Context(), websocket.MessageText, raw)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// A stranger books at the agent of a server, without anything of their own.
func TestServeAgent(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	data := t.TempDir()
	args := []string{"serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url, "--agent-max-price", "0.20"}
	web := start(t, args...)
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	for title, price := range map[string]string{"An evening": "0.05", "A gala": "0.50"} {
		post(t, web.url+"/api/users/"+user["user"].(string)+"/events", user["owner_token"].(string),
			map[string]any{"title": title, "price": price, "starts_at": "2030-01-01T00:00:00Z"})
	}
	b := openTab(t, web, "")
	say := func(text string) { b.send(map[string]any{"type": "say", "text": text}) }
	say("connect to " + web.url + "/mcp/users/" + user["user"].(string))
	if m := b.until("events"); !strings.Contains(m.Text, "An evening") {
		t.Errorf("%+v", m)
	}
	b.until("done")
	say("book 2 seats for an evening")
	question := b.until("approval").Approval
	b.until("done")
	b.send(map[string]any{"type": "approve", "approval": question})
	if m := b.until("receipt"); !strings.Contains(m.Text, "Paid $0.10 to "+user["wallet_address"].(string)) {
		t.Errorf("%+v", m)
	}
	b.until("done")
	say("wallet")
	if m := b.until("wallet"); !strings.Contains(m.Text, "$9.90") {
		t.Errorf("%+v", m)
	}
	b.until("done")
	for _, elsewhere := range []string{chain.url, "http://169.254.169.254/latest", web.url + "/api/users"} {
		say(elsewhere)
		b.until("said")
		if _, raw, err := b.conn.Read(t.Context()); err != nil || !strings.Contains(string(raw), "Connecting") {
			t.Errorf("%s, %v", raw, err)
		}
		if _, raw, err := b.conn.Read(t.Context()); err != nil || !strings.Contains(string(raw), `"error"`) {
			t.Errorf("%s is a host: %s, %v", elsewhere, raw, err)
		}
		b.until("done")
	}
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}
	if _, _, err := b.conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ended with %v", err)
	}
	web = start(t, args...)
	receipts := 0
	for _, m := range openTab(t, web, b.cookie).until("history").Messages {
		if m.Type == "receipt" {
			receipts++
		}
	}
	if receipts != 1 {
		t.Errorf("%d receipts after a restart", receipts)
	}
	if log := web.stderr.String(); strings.Contains(log, strings.TrimPrefix(b.cookie, "concierge_agent=")) {
		t.Error("a visitor's token is in the log")
	}
}

func TestNamesOf(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	got := strings.Join(namesOf(l, &url.URL{Scheme: "https", Host: "events.example.org"}), " ")
	for _, want := range []string{"127.0.0.1:" + port, "localhost:" + port, "events.example.org"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

// With a key in the environment a language model answers, at the address there.
func TestServeModel(t *testing.T) {
	var asked struct{ Model string }
	var key string
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("Authorization")
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("%s: %v", r.URL, err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"choices":[{"delta":{"content":"I am a model."},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	defer model.Close()
	testlog.Secret("sk-of-the-test")
	t.Setenv(envModelKey, "sk-of-the-test")
	t.Setenv(envModelURL, model.URL+"/v1")
	t.Setenv(envModel, "small")
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	b := openTab(t, web, "")
	b.send(map[string]any{"type": "say", "text": "Who are you?"})
	if m := b.until("text"); m.Text != "I am a model." || asked.Model != "small" || key != "Bearer sk-of-the-test" {
		t.Errorf("%+v by %+v with %q", m, asked, key)
	}
	b.until("done")
	web.stop()
	if strings.Contains(web.stderr.String(), "sk-of-the-test") {
		t.Error("the key is in the log")
	}
	t.Setenv(envModelURL, "localhost")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0", "--data", t.TempDir()}, strings.NewReader(""), &out, &errOut); code != 2 || !strings.Contains(errOut.String(), envModelURL) {
		t.Errorf("an address that is none: code %d, %s", code, &errOut)
	}
}
