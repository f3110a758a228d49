package tools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// What is written with marks is what mcp-go writes without them, to the byte: of
// both generations of the protocol, answers, errors and prices.
func TestSplice(t *testing.T) {
	h := mustHost(t)
	hard := "\"quoted\" \\ <b>&</b> \u2028 \u0001 \xff 🎷"
	e := create(t, h, tools.CreateEventInput{Title: "A <b>hard</b> \\ \"title\" 🎷", Description: hard, Price: "0.05"})
	s := tools.NewServer("test", testlog.New())
	write := func(marks *tools.Marks, message string) string {
		c := &tools.Call{Host: h, Scope: store.ScopeOwner, Marks: marks}
		raw, err := json.Marshal(s.HandleMessage(tools.WithCall(context.Background(), c), json.RawMessage(message)))
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Splice(raw))
	}
	const mark = "MARK"
	for _, meta := range []string{`{}`, `{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
			"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`} {
		for _, call := range []string{
			`"list_events","arguments":{"from":"2020-01-01T00:00:00Z"}`,
			`"get_event","arguments":{"event_id":"` + e.ID + `"}`,
			`"get_event","arguments":{"event_id":"none"}`,
			`"get_event","arguments":{"event":1}`,
			`"rsvp_to_event","arguments":{"event_id":"` + e.ID + `"}`,
			`"get_revenue","arguments":{}`,
			`"no_such_tool","arguments":{}`,
		} {
			for _, id := range []string{`1`, `"a \" b"`} {
				message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%s,"_meta":%s}}`, id, call, meta)
				want, got := write(nil, message), write(tools.NewMarks(mark), message)
				if got != want || strings.Contains(got, mark) {
					t.Errorf("%s:\n%s", message, cmp.Diff(want, got))
				}
			}
		}
	}
}

// An answer that has nothing to put in is left as it is.
func TestSpliceNothing(t *testing.T) {
	c := &tools.Call{Marks: tools.NewMarks("MARK")}
	if got := string(c.Splice([]byte(`{"id":"MARKt"}`))); got != `{"id":"MARKt"}` {
		t.Error(got)
	}
}
