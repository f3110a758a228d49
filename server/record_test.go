package server

import (
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

const (
	someUser  = "gno3kdfnyqmt7gjnlro6iymzta"
	someEvent = "evt_5bb4ec093fd49505af45"
)

// recorded returns what is logged of a request.
func recorded(rec *record, method, remote string, c Config) map[string]string {
	r := httptest.NewRequest("GET", "/", nil)
	r.Method, r.RemoteAddr = method, remote
	attrs := map[string]string{}
	for _, a := range (&Server{Config: c}).attrs(rec, r, 200, 1500) {
		attrs[a.Key] = a.Value.String()
	}
	return attrs
}

// The reference lists the keys of a record, and no others.
func TestRecordKeysAreDocumented(t *testing.T) {
	full := recorded(&record{id: "ID", route: "GET /", user: someUser, event: someEvent, code: "internal", err: errors.New("cause"),
		call: &tools.Call{Tool: "rsvp_to_event", Payer: "0x1", Amount: "1", Receipt: &x402.SettleResponse{Transaction: "0x2"}}}, "GET", "192.0.2.1:1", Config{})
	page, err := os.ReadFile("../docs/reference/log-records.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(page), "A key without a value")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		if m[1] != "time" && m[1] != "level" && m[1] != "msg" { // which slog adds
			documented = append(documented, m[1])
		}
	}
	if keys := slices.Sorted(maps.Keys(full)); !slices.Equal(keys, slices.Sorted(slices.Values(documented))) {
		t.Errorf("a record has %v, the reference %v", keys, documented)
	}
}

// What strangers wrote is not in a record, and it has each key once.
func TestRecordOfAStranger(t *testing.T) {
	attrs := recorded(&record{route: "GET /", user: "ada@example.org", event: "evt_5b\x1b[31m", code: "b", call: &tools.Call{Code: "a"}},
		"ada@example.org", "[2001:db8:1:2:3:4:5:6]:80", Config{})
	want := map[string]string{"method": "other", "route": "GET /", "status": "200", "dur": "2µs", "request_id": "", "client": "2001:db8:1:2::/64", "code": "b"}
	if !maps.Equal(attrs, want) {
		t.Errorf("got %v", attrs)
	}
	if attrs := recorded(&record{}, "GET", "192.0.2.1:80", Config{NoClients: true}); attrs["client"] != "" {
		t.Errorf("got %v", attrs)
	}
	if attrs := recorded(&record{event: someEvent}, "GET", "no address", Config{}); attrs["client"] != "" || attrs["event"] != someEvent {
		t.Errorf("got %v", attrs)
	}
}
