package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// The owner sees what is used up, and nobody else does.
func TestUsage(t *testing.T) {
	d := newDoor(t, server.Limits{}, nil)
	d.hosts.Quotas = host.Quotas{Requests: 100, Events: 2}
	user, token := d.user(t, "ada@example.org")
	_, other := d.user(t, "bo@example.org")
	path := "/api/users/" + user + "/usage"
	for _, wrong := range []string{"", other} {
		if got := d.ask(aGuest, "GET", path, wrong, ""); got.Code != 401 {
			t.Errorf("with the token %.3q: %d", wrong, got.Code)
		}
	}
	for _, want := range []int{201, 201, 429} {
		got := d.ask(aGuest, "POST", "/api/users/"+user+"/events", token, `{"title":"Opera","starts_at":"2026-07-01T19:00:00Z"}`)
		if got.Code != want || want == 429 && got.Header().Get("Retry-After") != fmt.Sprint(12*3600) {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	got := d.ask(aGuest, "GET", path, token, "")
	var u map[string]struct {
		Used, Limit int64
		ResetsAt    time.Time `json:"resets_at"`
	}
	if err := json.Unmarshal(got.Body.Bytes(), &u); err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	if r, e, b := u["requests"], u["events"], u["stored_bytes"]; r.Used != 5 || r.Limit != 100 || !r.ResetsAt.Equal(tomorrow) || // one came without a token
		e.Used != 2 || e.Limit != 2 || !e.ResetsAt.Equal(tomorrow) || b.Used == 0 || b.Limit != 0 || !b.ResetsAt.IsZero() {
		t.Errorf("%s", got.Body)
	}
}

// When the day's requests are used up guests get no more answers, except about
// what they have booked; payments that they were asked for are taken; the owner
// goes on.
func TestRequestQuota(t *testing.T) {
	d := newDoor(t, server.Limits{}, nil)
	user, token := d.user(t, "ada@example.org")
	created := d.ask(aGuest, "POST", "/api/users/"+user+"/events", token, `{"title":"Opera","price":"0.05","starts_at":"2026-07-01T19:00:00Z"}`)
	var event struct{ ID string }
	if err := json.Unmarshal(created.Body.Bytes(), &event); err != nil {
		t.Fatal(err)
	}
	d.hosts.Quotas = host.Quotas{Requests: 1}
	tool := func(name, arguments string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, name, arguments)
	}
	mcp, rest := "/mcp/users/"+user, "/api/users/"+user+"/events"
	for _, test := range []struct {
		name, method, path, token, body string
		status                          int
		says                            string
	}{
		{"list", "POST", mcp, "", listEvents, 200, `"code":"over_limit"`},
		{"event", "POST", mcp, "", tool("get_event", `{"event_id":"`+event.ID+`"}`), 200, `"retry_after":43200`},
		{"quote", "POST", mcp, "", rsvpTo(event.ID), 200, `"code":"over_limit"`},
		{"list by REST", "GET", rest, "", "", 429, `"over_limit"`},
		{"event by REST", "GET", rest + "/" + event.ID, "", "", 429, `"over_limit"`},
		{"quote by REST", "POST", rest + "/" + event.ID + "/rsvps", "", "{}", 429, `"over_limit"`},
		{"what is booked", "POST", mcp, "", tool("get_rsvp", `{"rsvp_id":"rsvp_1"}`), 200, `"code":"rsvp_not_found"`},
		{"cancelling", "POST", mcp, "", tool("cancel_rsvp", `{"rsvp_id":"rsvp_1"}`), 200, `"code":"rsvp_not_found"`},
		{"a payment", "POST", mcp, "", strings.Replace(rsvpTo(event.ID), `"name"`, `"_meta":{"x402/payment":"e30="},"name"`, 1), 200, `"code":"payment_invalid"`},
		{"the tools", "POST", mcp, "", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 200, `rsvp_to_event`},
		{"the owner", "POST", mcp, token, listEvents, 200, event.ID},
	} {
		got := d.ask(aGuest, test.method, test.path, test.token, test.body)
		if said := strings.ReplaceAll(got.Body.String(), `\"`, `"`); got.Code != test.status || !strings.Contains(said, test.says) {
			t.Errorf("%s: %d %s", test.name, got.Code, said)
		}
	}
	d.later(12 * time.Hour)
	if got := d.ask(aGuest, "GET", rest, "", ""); got.Code != 200 {
		t.Errorf("the next day: %d %s", got.Code, got.Body)
	}
}
