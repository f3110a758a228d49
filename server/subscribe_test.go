package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/tools"
)

// listenTo opens a stream of notices as a client without a library would; filter is
// JSON.
func (w *world) listenTo(o owner, token, id, filter string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, o.URL, strings.NewReader(fmt.Sprintf(
		`{"jsonrpc":"2.0","id":%s,"method":"subscriptions/listen","params":{"notifications":%s,
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, id, filter)))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"} {
		r.Header.Set(name, value)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// notice is a message of a stream.
type notice struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Meta          map[string]json.RawMessage `json:"_meta"`
		URI           string
		Notifications json.RawMessage
	}
	Result struct {
		Type string                     `json:"resultType"`
		Meta map[string]json.RawMessage `json:"_meta"`
	}
}

const subscriptionID = "io.modelcontextprotocol/subscriptionId"

// next returns the next message of a stream, false at its end.
func next(t *testing.T, lines *bufio.Scanner) (n notice, ok bool) {
	t.Helper()
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		if err := json.Unmarshal([]byte(data), &n); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		return n, true
	}
	return n, false
}

// A stream begins with what it will tell of, goes on with what changes, whoever
// changes it, and ends with its answer when the server stops.
func TestListen(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"capacity": 5})
	uri := "event://" + o.User + "/" + event
	resp := w.listenTo(o, "", `"seven"`, fmt.Sprintf(`{"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":[%q,"event://none/none"]}`, uri))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatal(resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	first, _ := next(t, lines)
	if first.Method != "notifications/subscriptions/acknowledged" || string(first.Params.Meta[subscriptionID]) != `"seven"` ||
		string(first.Params.Notifications) != fmt.Sprintf(`{"resourcesListChanged":true,"resourceSubscriptions":[%q]}`, uri) {
		t.Errorf("%+v, %s", first, first.Params.Notifications)
	}

	if status := w.do("POST", "/api/users/"+o.User+"/events/"+event+"/rsvps", "", map[string]any{}, nil); status != http.StatusCreated {
		t.Fatal(status)
	}
	if n, _ := next(t, lines); n.Method != "notifications/resources/updated" || n.Params.URI != uri || string(n.Params.Meta[subscriptionID]) != `"seven"` {
		t.Errorf("%+v", n)
	}

	// Another process, with the same directory.
	other, err := host.Open(t.Context(), host.Config{Dir: w.hosts.Dir, Network: "devnet", Log: w.hosts.Log})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	h, err := other.Host(t.Context(), o.User)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Another", StartsAt: time.Now().Add(time.Hour).Format(time.RFC3339)}); err != nil {
		t.Fatal(err)
	}
	if n, _ := next(t, lines); n.Method != "notifications/resources/list_changed" || string(n.Params.Meta[subscriptionID]) != `"seven"` {
		t.Errorf("%+v", n)
	}

	go w.stop()
	if n, _ := next(t, lines); string(n.ID) != `"seven"` || n.Result.Type != "complete" || string(n.Result.Meta[subscriptionID]) != `"seven"` {
		t.Errorf("%+v", n)
	}
	if n, more := next(t, lines); more {
		t.Errorf("%+v", n)
	}
}

// Where there is nothing to tell of, the stream says so and ends; what can't be
// asked for is refused.
func TestListenToNothing(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	for _, id := range []string{`7`, `"seven"`} {
		lines := bufio.NewScanner(w.listenTo(o, "", id, `{"toolsListChanged":true}`).Body)
		if n, _ := next(t, lines); n.Method != "notifications/subscriptions/acknowledged" || string(n.Params.Notifications) != `{}` {
			t.Errorf("%+v", n)
		}
		if n, _ := next(t, lines); string(n.ID) != id || n.Result.Type != "complete" {
			t.Errorf("%+v", n)
		}
	}
	many := `"event://x"` + strings.Repeat(`,"event://x"`, 200)
	for name, test := range map[string]struct {
		id, filter string
		status     int
	}{
		"no id":            {`null`, `{}`, 400},
		"an object for id": {`{}`, `{}`, 400},
		"no filter":        {`1`, `null`, 400},
		"a wrong filter":   {`1`, `{"resourceSubscriptions":"all"}`, 400},
		"no such resource": {`1`, `{"resourceSubscriptions":["event://x/y"]}`, 400},
		"many of them":     {`1`, `{"resourceSubscriptions":[` + many + `]}`, 400},
	} {
		resp := w.listenTo(o, "", test.id, test.filter)
		raw, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != test.status || !strings.Contains(string(raw), `"error"`) {
			t.Errorf("%s: %s %s", name, resp.Status, raw)
		}
	}
	if resp := w.listenTo(o, "wrong", `1`, `{}`); resp.StatusCode != http.StatusUnauthorized {
		t.Error(resp.Status)
	}
}

// A stream ends when its user is gone.
func TestListenToWhoIsRemoved(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	lines := bufio.NewScanner(w.listenTo(o, o.Token, `1`, `{"resourcesListChanged":true}`).Body)
	next(t, lines)
	if err := w.hosts.Remove(t.Context(), o.User, host.Export{Path: filepath.Join(t.TempDir(), "export.zip"), Passphrase: "a passphrase of some length", Strength: wallet.Light}); err != nil {
		t.Fatal(err)
	}
	if n, _ := next(t, lines); n.Result.Type != "complete" {
		t.Errorf("%+v", n)
	}
}

// The official SDK's client hears of what its people subscribed to, over both
// transports and in both generations of the protocol, as far as they have it.
func TestSubscribe(t *testing.T) {
	for _, test := range []struct {
		protocol string
		stdio    bool
	}{{"2026-07-28", false}, {"2026-07-28", true}, {"2025-06-18", true}} {
		t.Run(fmt.Sprintf("%s, stdio %v", test.protocol, test.stdio), func(t *testing.T) {
			w := newWorld(t)
			o := w.register("owner@example.org")
			uri := "event://" + o.User + "/" + w.event(o, map[string]any{"capacity": 5})
			updated, listed := make(chan string, 10), make(chan struct{}, 10)
			client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, &sdk.ClientOptions{
				ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) { updated <- r.Params.URI },
				ResourceListChangedHandler: func(context.Context, *sdk.ResourceListChangedRequest) {
					listed <- struct{}{}
				},
			})
			var pipe sdk.Transport = &sdk.StreamableClientTransport{Endpoint: o.URL}
			if test.stdio {
				in, out := w.pipes(o, true)
				pipe = &sdk.IOTransport{Reader: in, Writer: out}
			}
			session, err := client.Connect(t.Context(), pipe, &sdk.ClientSessionOptions{ProtocolVersion: test.protocol})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if !session.InitializeResult().Capabilities.Resources.Subscribe {
				t.Error("it is not told that it can")
			}
			if err := session.Subscribe(t.Context(), &sdk.SubscribeParams{URI: uri}); err != nil {
				t.Fatal(err)
			}
			// What comes first is sure to be behind the subscription: it is in the list too.
			before, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; ; n++ {
				if status := w.do("POST", "/api/users/"+o.User+"/events/"+strings.TrimPrefix(uri, "event://"+o.User+"/")+"/rsvps", "", map[string]any{}, nil); status != http.StatusCreated || n == 4 {
					t.Fatal(status, n)
				}
				select {
				case got := <-updated:
					if got != uri {
						t.Error(got)
					}
				case <-time.After(5 * time.Second): // the subscription came later than the booking
					continue
				}
				break
			}
			after, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
			if err != nil || before.Contents[0].Text == after.Contents[0].Text {
				t.Errorf("%v, %s", err, after.Contents[0].Text)
			}
			if err := session.Unsubscribe(t.Context(), &sdk.UnsubscribeParams{URI: uri}); err != nil {
				t.Error(err)
			}
			w.event(o, nil)
			<-listed
			if _, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "event://" + o.User + "/none"}); err == nil {
				t.Error("something is read that is not there")
			}
		})
	}
}
