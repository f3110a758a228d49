package tools_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

var update = flag.Bool("update", false, "write the golden files")

// now is when all of these tests happen.
var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// mustHost returns a Host on a fresh file whose Cashier can quote, and is asked
// no more: payments are tested where there is a chain.
func mustHost(tb testing.TB) *tools.Host {
	tb.Helper()
	file, err := store.OpenHost(context.Background(), filepath.Join(tb.TempDir(), "host.db"), store.Options{Now: clock})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	return &tools.Host{User: "u", PayTo: address(tb, "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"), Store: file, Now: clock, Rand: rand.Reader, Cache: tools.NewCache(1 << 20),
		Cashier: payments.New(payments.Config{Network: x402.BaseSepolia, Asset: asset, Domain: domain, Now: clock, Log: testlog.New()})}
}

func address(tb testing.TB, s string) x402.Address {
	tb.Helper()
	a, err := x402.ParseAddress(s)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func create(t *testing.T, h *tools.Host, in tools.CreateEventInput) tools.Event {
	t.Helper()
	if in.Title == "" {
		in.Title = "An evening"
	}
	if in.StartsAt == "" {
		in.StartsAt = "2026-12-24T19:00:00+01:00"
	}
	e, err := h.CreateEvent(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func codeOf(err error) tools.Code {
	var coded *tools.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

// What clients see of the tools is a file: changing it is a visible diff.
func TestToolsGolden(t *testing.T) {
	for name, scope := range map[string]store.Scope{"guest": "", "owner": store.ScopeOwner, "check-in": store.ScopeCheckIn, "read": store.ScopeRead} {
		t.Run(name, func(t *testing.T) {
			s := tools.NewServer("test", testlog.New())
			ctx := tools.WithCall(t.Context(), &tools.Call{Host: mustHost(t), Scope: scope})
			answer, err := json.MarshalIndent(s.HandleMessage(ctx, json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "tools-"+name+".golden.json", append(answer, '\n'))
		})
	}
}

// The same of the shared server.
func TestSharedGolden(t *testing.T) {
	s := tools.NewSharedServer("test", testlog.New())
	answer, err := json.MarshalIndent(s.HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tools-shared.golden.json", append(answer, '\n'))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got, -update writes it):\n%s", name, diff)
	}
}

func TestCreateEventLimits(t *testing.T) {
	long := strings.Repeat("é", 10_001) // characters count, not bytes
	for _, test := range []struct {
		name string
		edit func(*tools.CreateEventInput)
		says string // "" means it is taken
	}{
		{"the least", func(*tools.CreateEventInput) {}, ""},
		{"title of 200", func(in *tools.CreateEventInput) { in.Title = long[:400] }, ""},
		{"title of 201", func(in *tools.CreateEventInput) { in.Title = long[:402] }, "title has 201 characters"},
		{"no title", func(in *tools.CreateEventInput) { in.Title = " " }, "title is missing"},
		{"title of two lines", func(in *tools.CreateEventInput) { in.Title = "a\nb" }, "title must be one line"},
		{"description of 10000", func(in *tools.CreateEventInput) { in.Description = long[:20_000] }, ""},
		{"description of 10001", func(in *tools.CreateEventInput) { in.Description = long }, "description has 10001 characters"},
		{"capacity of a million", func(in *tools.CreateEventInput) { in.Capacity = 1_000_000 }, ""},
		{"capacity above", func(in *tools.CreateEventInput) { in.Capacity = 1_000_001 }, "capacity is 1000001"},
		{"capacity below", func(in *tools.CreateEventInput) { in.Capacity = -1 }, "capacity is -1"},
		{"price of a million", func(in *tools.CreateEventInput) { in.Price = "1000000" }, ""},
		{"the smallest price", func(in *tools.CreateEventInput) { in.Price = "0.000001" }, ""},
		{"price above", func(in *tools.CreateEventInput) { in.Price = "1000000.000001" }, "price is not usable"},
		{"seven decimals", func(in *tools.CreateEventInput) { in.Price = "0.0000001" }, "price is not usable"},
		{"negative price", func(in *tools.CreateEventInput) { in.Price = "-1" }, "price is not usable"},
		{"exponent", func(in *tools.CreateEventInput) { in.Price = "1e2" }, "price is not usable"},
		{"dollar sign", func(in *tools.CreateEventInput) { in.Price = "$5" }, "price is not usable"},
		{"start now", func(in *tools.CreateEventInput) { in.StartsAt = now.Format(time.RFC3339) }, "has passed"},
		{"start in a second", func(in *tools.CreateEventInput) { in.StartsAt = now.Add(time.Second).Format(time.RFC3339) }, ""},
		{"start without a zone", func(in *tools.CreateEventInput) { in.StartsAt = "2027-01-01T10:00:00" }, "starts_at is not a time"},
		{"no start", func(in *tools.CreateEventInput) { in.StartsAt = "" }, "starts_at is missing"},
		{"start in 11 years", func(in *tools.CreateEventInput) { in.StartsAt = "2037-12-01T00:00:00Z" }, "more than 10 years ahead"},
		{"end before start", func(in *tools.CreateEventInput) { in.EndsAt = "2026-12-24T18:00:00+01:00" }, "ends_at is not after"},
		{"unknown zone", func(in *tools.CreateEventInput) { in.TimeZone = "Mars/Olympus" }, "time_zone is unknown"},
		{"zone of this machine", func(in *tools.CreateEventInput) { in.TimeZone = "Local" }, "time_zone is unknown"},
		{"zone outside of its folder", func(in *tools.CreateEventInput) { in.TimeZone = "../etc/passwd" }, "time_zone is unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := tools.CreateEventInput{Title: "T", StartsAt: "2026-12-24T19:00:00+01:00"}
			test.edit(&in)
			_, err := mustHost(t).CreateEvent(t.Context(), in)
			switch {
			case test.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.says != "" && (codeOf(err) != tools.CodeInvalidArgument || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestDecodeInput(t *testing.T) {
	for _, test := range []struct{ name, raw, says string }{
		{"nothing", ``, ""},
		{"null", `null`, ""},
		{"all of it", `{"event_id": "e", "seats": 2, "name": "n", "email": "a@example.org"}`, ""},
		{"unknown argument", `{"event_id": "e", "walletAddress": "0x1"}`, `There is no argument "walletAddress". The arguments are: event_id, seats, name, email.`},
		{"seats as a string", `{"seats": "2"}`, "seats must be a whole number, not a string."},
		{"half a seat", `{"seats": 1.5}`, "seats must be a whole number, not a number 1.5."},
		{"an id that is a number", `{"event_id": 7}`, "event_id must be a string, not a number."},
		{"an array", `[]`, "The arguments must be a JSON object, not a array."},
		{"two objects", `{} {}`, "The arguments must be one JSON object; there is something behind it."},
		{"a brace too many", `{}}`, "The arguments must be one JSON object; there is something behind it."},
		{"not JSON", `{`, "The arguments must be a JSON object."},
	} {
		t.Run(test.name, func(t *testing.T) {
			var in tools.RSVPInput
			err := tools.DecodeInput([]byte(test.raw), &in)
			got := ""
			var coded *tools.Error
			if errors.As(err, &coded) {
				got = coded.Message
			}
			if got != test.says {
				t.Errorf("got  %q\nwant %q", got, test.says)
			}
		})
	}
}

// A price that comes as a JSON number is read by its digits.
func TestPriceAsNumber(t *testing.T) {
	var in tools.CreateEventInput
	if err := tools.DecodeInput([]byte(`{"title": "T", "starts_at": "2026-12-24T19:00:00Z", "price": 0.29}`), &in); err != nil {
		t.Fatal(err)
	}
	e, err := mustHost(t).CreateEvent(t.Context(), in)
	if err != nil || e.Price != "0.29" {
		t.Errorf("price %q, %v", e.Price, err)
	}
}

func TestEventAsSeen(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Title: " Midnight ", StartsAt: "2026-12-24T23:30:00Z", EndsAt: "2026-12-25T02:00:00Z",
		TimeZone: "Europe/Berlin", Capacity: 3, Price: "2.5", Location: "Cellar", Description: "Bring\na friend."})
	three := 3
	want := tools.Event{ID: e.ID, Title: "Midnight", Description: "Bring\na friend.", StartsAt: "2026-12-25T00:30:00+01:00",
		EndsAt: "2026-12-25T03:00:00+01:00", TimeZone: "Europe/Berlin", Location: "Cellar", Capacity: 3, SeatsLeft: &three,
		Price: "2.50", Currency: "USDC", Status: "open", CancelUntil: "2026-12-25T00:30:00+01:00", Visibility: "public", CreatedAt: "2026-11-01T12:00:00Z",
		ChangedAt: "2026-11-01T12:00:00Z", Revision: 1}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	got, err := h.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// call calls a tool as mcp-go does.
func call(t *testing.T, c *tools.Call, name string, args any, meta map[string]any) *mcp.CallToolResult {
	t.Helper()
	s := tools.NewServer("test", testlog.New())
	params := map[string]any{"name": name, "arguments": args}
	if meta != nil {
		params["_meta"] = meta
	}
	message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
	if err != nil {
		t.Fatal(err)
	}
	answer := s.HandleMessage(tools.WithCall(t.Context(), c), message)
	response, ok := answer.(mcp.JSONRPCResponse)
	if !ok {
		t.Fatalf("%s: %+v", name, answer)
	}
	raw, err := json.Marshal(response.Result)
	if err != nil {
		t.Fatal(err)
	}
	var result mcp.CallToolResult
	if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatal(err)
	}
	return &result
}
