package tools_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

// Each event asks its own price, times the seats, to its own Host's wallet.
func TestQuote(t *testing.T) {
	h := mustHost(t)
	cheap := create(t, h, tools.CreateEventInput{Price: "0.05"})
	dear := create(t, h, tools.CreateEventInput{Price: "2.50"})
	for _, test := range []struct {
		event  tools.Event
		seats  int
		amount string
	}{{cheap, 0, "50000"}, {cheap, 1, "50000"}, {cheap, 20, "1000000"}, {dear, 1, "2500000"}, {dear, 3, "7500000"}} {
		_, _, err := h.RSVPToEvent(t.Context(), tools.RSVPInput{EventID: test.event.ID, Seats: test.seats}, nil)
		var asked *tools.PaymentRequired
		if !errors.As(err, &asked) {
			t.Fatalf("%d seats: %v", test.seats, err)
		}
		r := asked.Accepts[0]
		if r.Amount.String() != test.amount || r.PayTo != h.PayTo || r.Network != x402.BaseSepolia || r.MaxTimeoutSeconds != 300 {
			t.Errorf("%d seats at $%s: asks %s to %s", test.seats, test.event.Price, r.Amount, r.PayTo)
		}
		if !strings.HasPrefix(asked.Resource.URL, "mcp://tool/rsvp_to_event?event="+test.event.ID) {
			t.Errorf("resource %s", asked.Resource.URL)
		}
	}
}

// Nobody is asked to pay for what can't be delivered.
func TestRefusedWithoutAskingForMoney(t *testing.T) {
	h := mustHost(t)
	full := create(t, h, tools.CreateEventInput{Capacity: 1})
	mustBook(t, h, tools.RSVPInput{EventID: full.ID})
	priced := create(t, h, tools.CreateEventInput{Price: "1", Capacity: 5})
	free := create(t, h, tools.CreateEventInput{})
	mustBook(t, h, tools.RSVPInput{EventID: free.ID, Email: "ada@example.org"})
	past := create(t, h, tools.CreateEventInput{Price: "1", StartsAt: now.Add(time.Minute).Format(time.RFC3339)})

	for _, test := range []struct {
		name string
		in   tools.RSVPInput
		at   time.Time
		code tools.Code
	}{
		{"missing", tools.RSVPInput{EventID: "evt_none"}, now, tools.CodeEventNotFound},
		{"no id", tools.RSVPInput{}, now, tools.CodeInvalidArgument},
		{"full", tools.RSVPInput{EventID: full.ID}, now, tools.CodeEventFull},
		{"more seats than there are", tools.RSVPInput{EventID: priced.ID, Seats: 6}, now, tools.CodeEventFull},
		{"booked by this email", tools.RSVPInput{EventID: free.ID, Email: " Ada@Example.org"}, now, tools.CodeAlreadyBooked},
		{"past", tools.RSVPInput{EventID: past.ID}, now.Add(time.Hour), tools.CodeEventPast},
		{"21 seats", tools.RSVPInput{EventID: priced.ID, Seats: 21}, now, tools.CodeInvalidArgument},
		{"minus one seat", tools.RSVPInput{EventID: priced.ID, Seats: -1}, now, tools.CodeInvalidArgument},
		{"no email", tools.RSVPInput{EventID: priced.ID, Email: "nobody"}, now, tools.CodeInvalidArgument},
		{"an email with a name", tools.RSVPInput{EventID: priced.ID, Email: "A <a@example.org>"}, now, tools.CodeInvalidArgument},
		{"a name of two lines", tools.RSVPInput{EventID: priced.ID, Name: "a\x1b[2J"}, now, tools.CodeInvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func(at time.Time) { now = at }(now)
			now = test.at
			_, receipt, err := h.RSVPToEvent(t.Context(), test.in, nil)
			if codeOf(err) != test.code || receipt != nil {
				t.Errorf("got %v, want %s", err, test.code)
			}
		})
	}
}

func mustBook(t *testing.T, h *tools.Host, in tools.RSVPInput) tools.RSVP {
	t.Helper()
	r, _, err := h.RSVPToEvent(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFreeRSVP(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Capacity: 5})
	r := mustBook(t, h, tools.RSVPInput{EventID: e.ID, Seats: 2, Name: " Ada ", Email: "ada@example.org"})
	want := tools.RSVP{ID: r.ID, EventID: e.ID, Seats: 2, Status: "confirmed", Name: "Ada", Email: "ada@example.org",
		Amount: "0", Price: "0.00", CreatedAt: "2026-11-01T12:00:00Z"}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if len(r.ID) != len("rsvp_")+12+32 {
		t.Errorf("the id %s is not a time and 128 bits", r.ID)
	}
	got, err := h.GetRSVP(t.Context(), tools.GetRSVPInput{RSVPID: r.ID})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	list, err := h.ListRSVPs(t.Context(), tools.ListRSVPsInput{EventID: e.ID})
	if diff := cmp.Diff([]tools.RSVP{want}, list.RSVPs); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if after, err := h.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID}); err != nil || *after.SeatsLeft != 3 {
		t.Error(err, after)
	}
}

// On the wire a request for payment is the same bytes as structured content and
// as text, and is in `_meta` for Cloudflare's clients.
func TestPaymentRequiredOnTheWire(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Price: "2.50"})
	result := call(t, &tools.Call{Host: h}, "rsvp_to_event", map[string]any{"event_id": e.ID}, nil)
	text := result.Content[0].(mcp.TextContent).Text
	if !result.IsError || text != string(result.RawStructuredContent) {
		t.Fatalf("structured %s\ntext %s", result.RawStructuredContent, text)
	}
	meta, err := json.Marshal(result.Meta.AdditionalFields[x402.MetaError])
	if err != nil {
		t.Fatal(err)
	}
	var asked [2]any
	for i, raw := range [][]byte{[]byte(text), meta} {
		if _, err := x402.DecodeRequired(raw); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &asked[i]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(asked[0], asked[1]); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadablePayment(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Price: "2.50"})
	for name, payment := range map[string]any{"a number": 7, "no base64": "%%%", "an empty object": map[string]any{}, "of the future": map[string]any{"x402Version": 3}} {
		t.Run(name, func(t *testing.T) {
			c := &tools.Call{Host: h}
			result := call(t, c, "rsvp_to_event", map[string]any{"event_id": e.ID}, map[string]any{x402.MetaPayment: payment})
			if !result.IsError || c.Code != tools.CodePaymentInvalid {
				t.Errorf("code %q: %s", c.Code, result.RawStructuredContent)
			}
		})
	}
}

// A tool that panics is one caller's error.
func TestPanic(t *testing.T) {
	h := mustHost(t)
	h.Store = nil
	c := &tools.Call{Host: h}
	if result := call(t, c, "list_events", map[string]any{}, nil); !result.IsError || c.Code != tools.CodeInternal ||
		strings.Contains(string(result.RawStructuredContent), "nil pointer") {
		t.Errorf("%s", result.RawStructuredContent)
	}
}
