package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// FuzzDecodeInput reads one text as the arguments of a booking and of a new
// event: what is taken is written and read again as the same, and refusals say
// what is wrong.
func FuzzDecodeInput(f *testing.F) {
	for _, seed := range []string{``, `null`, `{}`, `{"event_id":"evt_1","seats":2,"name":"Ada","email":"ada@example.org"}`, `{} {}`, `{}]`, `{}}`, `{"seats":1e1}`,
		`{"title":"T","starts_at":"2027-03-14T19:30:00+01:00","price":2.50,"capacity":3}`, `{"price":"1e3"}`, `{"price":0.0000001}`, `{"seats":99999999999999999999}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		decodesAgain[tools.RSVPInput](t, raw)
		decodesAgain[tools.CreateEventInput](t, raw)
	})
}

func decodesAgain[T any](t *testing.T, raw []byte) {
	t.Helper()
	var in, again T
	if err := tools.DecodeInput(raw, &in); err != nil {
		var refusal *tools.Error
		if !errors.As(err, &refusal) || refusal.Code != tools.CodeInvalidArgument || refusal.Message == "" || len(refusal.Message) > 500 {
			t.Errorf("%q: %v", raw, err)
		}
		return
	}
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && !json.Valid(raw) {
		t.Errorf("%q is taken", raw)
	}
	encoded, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := tools.DecodeInput(encoded, &again); err != nil || !cmp.Equal(in, again) {
		t.Errorf("%q became %s: %v\n%s", raw, encoded, err, cmp.Diff(in, again))
	}
}

// FuzzTools calls every tool, as the owner, with any arguments: each call is
// answered, by a result or by a refusal with one of the codes for a caller's
// mistake; and no arguments get a seat without money, or a price out of bounds.
func FuzzTools(f *testing.F) {
	h := mustHost(f)
	event, err := h.CreateEvent(f.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2026-12-24T19:00:00+01:00", Price: "2.50", Capacity: 5})
	if err != nil {
		f.Fatal(err)
	}
	s := tools.NewServer("test", testlog.New())
	call := func(tb testing.TB, method string, params any) []byte {
		tb.Helper()
		message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
		if err != nil {
			tb.Fatal(err)
		}
		answer, err := json.Marshal(s.HandleMessage(tools.WithCall(context.Background(), &tools.Call{Host: h, Scope: store.ScopeOwner}), message))
		if err != nil {
			tb.Fatal(err)
		}
		return answer
	}
	var list struct{ Result struct{ Tools []mcp.Tool } }
	if err := json.Unmarshal(call(f, "tools/list", nil), &list); err != nil || len(list.Result.Tools) == 0 {
		f.Fatalf("%d tools, %v", len(list.Result.Tools), err)
	}
	for i := range list.Result.Tools {
		for _, seed := range []string{`{}`, `{"event_id":"` + event.ID + `","seats":1}`, `{"rsvp_id":"rsvp_1"}`, `{"query":"opera","from":"2026-01-01T00:00:00Z","limit":100,"cursor":"x"}`,
			`{"title":"T","starts_at":"2027-03-14T19:30:00+01:00","ends_at":"2027-03-14T23:30:00+01:00","time_zone":"Europe/Berlin","capacity":3,"price":"1000000","location":"here"}`,
			`{"event_id":"` + event.ID + `","seats":-1,"email":"a@b","name":"\u0000"}`} {
			f.Add(i, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, i int, arguments []byte) {
		if !json.Valid(arguments) {
			return
		}
		tool := list.Result.Tools[uint(i)%uint(len(list.Result.Tools))].Name
		answer := call(t, "tools/call", map[string]any{"name": tool, "arguments": json.RawMessage(arguments)})
		var got struct {
			Result *struct {
				IsError           bool
				Content           []struct{ Text string }
				StructuredContent struct {
					Code    tools.Code
					Price   string
					Amount  string
					Accepts []x402.Requirements
				}
			}
			Error *struct{ Code int }
		}
		if err := json.Unmarshal(answer, &got); err != nil || (got.Result == nil) == (got.Error == nil) {
			t.Fatalf("%s(%s): %v in %s", tool, arguments, err, answer)
		}
		if got.Error != nil {
			return // not an object: mcp-go's own refusal
		}
		r := got.Result.StructuredContent
		switch {
		case got.Result.IsError && r.Accepts != nil:
			if amount, err := r.Accepts[0].Amount.Amount(); err != nil || amount <= 0 || amount > 20*1_000_000*x402.USD {
				t.Errorf("%s(%s) asks for %s", tool, arguments, r.Accepts[0].Amount)
			}
		case got.Result.IsError:
			if r.Code == "" || r.Code == tools.CodeInternal {
				t.Errorf("%s(%s): %s", tool, arguments, answer)
			}
		case tool == "rsvp_to_event" && r.Amount != "0":
			t.Errorf("%s(%s) is booked for %s that nobody paid", tool, arguments, r.Amount)
		case tool == "create_event":
			if price, err := x402.ParseUSD(r.Price); err != nil || price < 0 || price > 1_000_000*x402.USD {
				t.Errorf("%s(%s) has a price of %q", tool, arguments, r.Price)
			}
		}
		if strings.Contains(string(answer), "runtime error") {
			t.Errorf("%s(%s): %s", tool, arguments, answer)
		}
	})
}

// FuzzResources asks for any resource, and for notices of any kind: what is read is
// of this Host, and all else is refused in words.
func FuzzResources(f *testing.F) {
	h := mustHost(f)
	event, err := h.CreateEvent(f.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2026-12-24T19:00:00+01:00"})
	if err != nil {
		f.Fatal(err)
	}
	for _, uri := range []string{"event://" + h.User, "event://" + h.User + "/" + event.ID, "event://" + h.User + "/" + event.ID + ".ics", "event://other/" + event.ID,
		"event://" + h.User + "/../" + event.ID, "ui://events/cards", "file:///etc/passwd", ""} {
		f.Add(uri, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourcesListChanged":true,"resourceSubscriptions":["`+uri+`"]}}}`)
	}
	f.Fuzz(func(t *testing.T, uri, message string) {
		c := &tools.Call{Host: h}
		ctx := tools.WithCall(t.Context(), c)
		var refusal *tools.Refusal
		switch content, err := c.ReadResource(ctx, uri); {
		case err == nil && !strings.HasPrefix(uri, "event://"+h.User) && !strings.HasPrefix(uri, "ui://"):
			t.Errorf("%q is read: %v", uri, content)
		case err != nil && !strings.Contains(err.Error(), "no such resource"):
			t.Errorf("%q: %v", uri, err)
		}
		l, err := c.Listen(ctx, []byte(message), nil)
		switch {
		case err == nil && !json.Valid(l.Begun()):
			t.Errorf("%q began with %s", message, l.Begun())
		case err != nil && (!errors.As(err, &refusal) || refusal.Message == ""):
			t.Errorf("%q: %v", message, err)
		}
	})
}
