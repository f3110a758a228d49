package tools_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// twoWays answers messages as mcp-go does, and by itself.
type twoWays struct {
	host  *tools.Host
	plain *tools.Plain
	mcpGo http.Handler
}

func newTwoWays(h *tools.Host) twoWays {
	return twoWays{h, tools.NewPlain(testlog.New()), server.NewStreamableHTTPServer(tools.NewServer("test", testlog.New()),
		server.WithStateLess(true), server.WithDisableStreaming(true))}
}

// answer returns what is answered by itself, if anything, and checks it.
func (w twoWays) answer(t *testing.T, scope store.Scope, message []byte, header http.Header) (got []byte, plain bool) {
	t.Helper()
	c, again := &tools.Call{Host: w.host, Scope: scope}, &tools.Call{Host: w.host, Scope: scope}
	got, rest, plain := w.plain.Answer(context.Background(), c, c.Lift(message), header)
	if !plain {
		return nil, false
	}
	got = append(got, rest...)
	r := httptest.NewRequestWithContext(tools.WithCall(context.Background(), again), http.MethodPost, "/", bytes.NewReader(again.Lift(message)))
	r.Header = header
	answered := httptest.NewRecorder()
	w.mcpGo.ServeHTTP(answered, r)
	if want := answered.Body.String(); answered.Code != http.StatusOK || string(got) != want {
		t.Errorf("%s: status %d\n%s", message, answered.Code, cmp.Diff(want, string(got)))
	}
	if c.Tool != again.Tool || c.Code != again.Code || c.Event != again.Event || !cmp.Equal(c.Required, again.Required) {
		t.Errorf("%s: the log says %q %q %q, else %q %q %q", message, c.Tool, c.Code, c.Event, again.Tool, again.Code, again.Event)
	}
	return got, true
}

func headerOf(version string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	if version != "" {
		h.Set("Mcp-Protocol-Version", version)
	}
	return h
}

// Plain calls are answered as mcp-go answers them, to the byte.
func TestPlain(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Title: "A <b>hard</b> \\ \"title\" 🎷", Description: strings.Repeat("\"quoted\" \\ & \u2028 \u0001 \xff", 100), Price: "0.05"})
	w := newTwoWays(h)
	for _, call := range []string{
		`"list_events"`,
		`"list_events","arguments":null`,
		`"list_events","arguments":{"from":"2020-01-01T00:00:00Z","limit":3}`,
		`"list_events","arguments":{"limit":1000}`,
		`"list_events","arguments":{"limt":1,"limt":2}`,
		`"get_event","arguments":{"event_id":"` + e.ID + `"}`,
		`"get_event","arguments":{"event_id":"\u0065vt_\"1` + "\xff" + `"}`,
		`"get_event","arguments":{"event_id":true}`,
		`"rsvp_to_event","arguments":{"event_id":"` + e.ID + `","seats":2}`,
		`"rsvp_to_event","arguments":{"event_id":"` + e.ID + `"},"_meta":{"progressToken":7,"x402/payment":{"x402Version":2}}`,
		`"rsvp_to_event","arguments":{"event_id":"none"},"_meta":{"a client's own":"text","b":null,"c":true}`,
		`"get_revenue","arguments":{}`,
		`"create_event","arguments":{"title":"T"}`,
	} {
		for _, id := range []string{`0`, `1`, `999999999999999`, `"a b"`, `""`} {
			message := fmt.Sprintf(`{"jsonrpc":"2.0", "id" : %s,"method":"tools/call","params":{"name":%s}}`, id, call)
			for _, scope := range []store.Scope{"", store.ScopeRead, store.ScopeOwner} {
				for _, version := range []string{"", "2024-11-05", "2025-11-25"} {
					_, plain := w.answer(t, scope, []byte(message), headerOf(version))
					if want := !strings.HasSuffix(call, "null"); plain != want {
						t.Errorf("%s is plain: %v", message, plain)
					}
				}
			}
		}
	}
}

// What may be read in two ways, or is of another kind, is left to mcp-go.
func TestNotPlain(t *testing.T) {
	w := newTwoWays(mustHost(t))
	const good = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_events","arguments":{"limit":1},"_meta":{"a":1}}}`
	if _, plain := w.answer(t, "", []byte(good), headerOf("2025-06-18")); !plain {
		t.Fatal("a plain call is none")
	}
	for _, test := range [][2]string{
		{`"id":1,`, ``}, {`"id":1,`, `"id":null,`}, {`"id":1`, `"id":-0`}, {`"id":1`, `"id":1e3`}, {`"id":1`, `"id":1.0`}, {`"id":1`, `"id":1234567890123456`},
		{`"id":1`, `"id":{}`}, {`"id":1`, `"id":"<"`}, {`"id":1`, `"id":"\u0061"`}, {`"id":1`, `"id":"é"`}, {`"id":1`, `"id":"` + strings.Repeat("a", 100) + `"`},
		{`"id":1`, `"id":1,"id":2`}, {`"id":1`, `"id":1,"ID":2`}, {`"id":1`, `"id":1,"result":{}`},
		{`2.0`, `1.0`}, {`2.0`, `2.\u0030`}, {`tools/call`, `tools/list`}, {`tools/call`, `tools\/call`}, {`"method"`, `"Method"`},
		{`list_events`, `no_such_tool`}, {`list_events`, `list\u005fevents`}, {`"name"`, `"NAME"`}, {`"name":"list_events"`, `"name":1`},
		{`"params":{`, `"params":{"task":{},`}, {`"params":{`, `"params":{"name":"get_event",`}, {`"params":{"name"`, `"params":[],"p":{"name"`},
		{`{"limit":1}`, `[]`}, {`{"limit":1}`, `"x"`}, {`{"limit":1}`, `{"limit":1e999}`}, {`{"limit":1}`, `{"limit":[]}`}, {`{"limit":1}`, `{"limit":-1}`},
		{`{"a":1}`, `[]`}, {`{"a":1}`, `null`}, {`{"a":1}`, `{"a":{}}`}, {`{"a":1}`, `{"a":1e999}`}, {`"a":1`, `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`},
		{`"a":1`, `"io.modelcontextprotocol\/protocolVersion":"2026-07-28"`}, {`}}}`, `}}`}, {`}}}`, `}}} {}`}, {`{"jsonrpc"`, `[{"jsonrpc"`},
	} {
		message := strings.Replace(good, test[0], test[1], 1)
		if message == good {
			t.Fatalf("%s is not in it", test[0])
		}
		if _, plain := w.answer(t, "", []byte(message), headerOf("2025-06-18")); plain {
			t.Errorf("%s is plain", message)
		}
	}
	for _, h := range []http.Header{headerOf("2026-07-28"), headerOf("2099-01-01"), headerOf("2025-01-01"), {},
		{"Content-Type": {"text/plain"}}, {"Content-Type": {"application/json; charset=utf-8"}}} {
		if _, plain := w.answer(t, "", []byte(good), h); plain {
			t.Errorf("with %v it is plain", h)
		}
	}
	for _, message := range []string{``, ` `, `{}`, `[]`, `null`, `1`, ` ` + good} {
		if _, plain := w.answer(t, "", []byte(message), headerOf("")); plain {
			t.Errorf("%q is plain", message)
		}
	}
}

// FuzzPlain holds any message that is answered here against mcp-go's answer to it.
func FuzzPlain(f *testing.F) {
	h := mustHost(f)
	e, err := h.CreateEvent(f.Context(), tools.CreateEventInput{Title: "T", StartsAt: "2026-12-24T19:00:00+01:00", Price: "0.05"})
	if err != nil {
		f.Fatal(err)
	}
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_events","arguments":{"query":"a","limit":2}}}`,
		`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":"` + e.ID + `"}}}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call","params":{"name":"get_event","arguments":{"event_id":"\"","b":{}},"_meta":{"progressToken":1}}}`,
		`{"jsonrpc" : "2.0" , "id" : 12 , "method":"tools/call","params":{"name":"get_event","_meta":{"x402/payment":"e30=","a":null},"arguments":{}}}`,
	} {
		f.Add([]byte(message), "2025-06-18")
	}
	w := newTwoWays(h)
	f.Fuzz(func(t *testing.T, message []byte, version string) {
		w.answer(t, "", message, headerOf(version))
	})
}
