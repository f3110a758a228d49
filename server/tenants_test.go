package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// tenants are two who share a server, each with everything one can have.
type tenants struct {
	*shop
	aRSVP, bEvent string
	aDoor, aOld   string // tokens: of a's door, and one that was rotated away
	paid          x402.Payment
}

func newTenants(t *testing.T) *tenants {
	t.Helper()
	s := &tenants{shop: newShop(t)}
	s.bEvent = s.world.event(s.b, map[string]any{"price": "0.05"})
	s.world.event(s.a, map[string]any{"title": "A second one"}) // so that there are two pages
	s.paid = s.signed(2, nil)
	booked := s.call(s.a.URL, "rsvp_to_event", s.arguments(s.event, 1), &s.paid)
	var rsvp struct{ ID, Status string }
	if err := json.Unmarshal(booked.structured, &rsvp); err != nil || rsvp.Status != "confirmed" {
		t.Fatalf("%v: %s", err, booked.text)
	}
	s.aRSVP = rsvp.ID
	s.aDoor = s.token(s.a, "door", "check-in")
	s.aOld = s.token(s.a, "old", "owner")
	if status := s.do("POST", "/api/users/"+s.a.User+"/tokens/old/rotate", s.a.Token, nil, nil); status != 200 {
		t.Fatalf("rotate: %d", status)
	}
	return s
}

func (s *tenants) token(o owner, name, scope string) string {
	s.t.Helper()
	var made struct{ Token string }
	if status := s.do("POST", "/api/users/"+o.User+"/tokens", o.Token, map[string]string{"name": name, "scope": scope}, &made); status != 201 {
		s.t.Fatalf("token: %d", status)
	}
	s.secrets = append(s.secrets, made.Token)
	return made.Token
}

// With what is another tenant's, no tool does anything: b's owner, with all rights
// on their own Host, names what is a's.
func TestTenantsObjects(t *testing.T) {
	s := newTenants(t)
	tries := map[string]struct {
		arguments map[string]any
		code      string
	}{
		"get_event":     {map[string]any{"event_id": s.event}, "event_not_found"},
		"rsvp_to_event": {map[string]any{"event_id": s.event}, "event_not_found"},
		"get_rsvp":      {map[string]any{"rsvp_id": s.aRSVP}, "rsvp_not_found"},
		"cancel_rsvp":   {map[string]any{"rsvp_id": s.aRSVP}, "rsvp_not_found"},
		"update_event":  {map[string]any{"event_id": s.event, "title": "Mine"}, "event_not_found"},
		"cancel_event":  {map[string]any{"event_id": s.event}, "event_not_found"},
		"list_rsvps":    {map[string]any{"event_id": s.event}, "event_not_found"},
		"check_in":      {map[string]any{"rsvp_id": s.aRSVP}, "rsvp_not_found"},
		"get_revenue":   {map[string]any{"event_id": s.event}, "event_not_found"},
		"list_events":   {map[string]any{"cursor": s.aCursor()}, ""}, // says where to go on, and nothing else
		"create_event":  {map[string]any{"title": "T", "starts_at": "2035-01-01T00:00:00Z", "user": s.a.User}, "invalid_argument"},
	}
	var list struct {
		Result struct{ Tools []struct{ Name string } }
	}
	s.do("POST", "/mcp/users/"+s.b.User, s.b.Token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, &list)
	for _, tool := range list.Result.Tools {
		if _, tried := tries[tool.Name]; !tried {
			t.Errorf("%s is not tried: add what another tenant could hand it", tool.Name)
		}
	}
	before := s.everything()
	for tool, try := range tries {
		for who, credential := range map[string]string{"b's owner": s.b.Token, "a guest of b": ""} {
			var headers []string
			if credential != "" {
				headers = []string{"Authorization", "Bearer " + credential}
			}
			got := s.call(s.b.URL, tool, try.arguments, nil, headers...)
			if got.code != try.code && (credential != "" || got.code != "not_allowed") {
				t.Errorf("%s as %s: code %q, want %q: %s", tool, who, got.code, try.code, got.text)
			}
			if strings.Contains(got.text, s.event) || strings.Contains(got.text, s.aRSVP) || strings.Contains(got.text, guestName) {
				t.Errorf("%s as %s tells of a's: %s", tool, who, got.text)
			}
		}
	}
	s.unchanged(before)
}

// No credential of one tenant is one of another's, and nothing else is a credential.
func TestTenantsCredentials(t *testing.T) {
	s := newTenants(t)
	invite, err := s.hosts.Invite(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	code, err := s.hosts.NewCode(t.Context(), "a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	s.secrets = append(s.secrets, invite, code)
	newEvent := map[string]any{"title": "Mine", "starts_at": "2035-01-01T00:00:00Z"}
	a := "/api/users/" + s.a.User
	routes := []struct {
		method, path string
		body         any
		guests       bool // may do it too
	}{
		{"POST", a + "/events", newEvent, false},
		{"GET", a + "/revenue", nil, false},
		{"GET", a + "/tokens", nil, false},
		{"POST", a + "/tokens", map[string]string{"name": "mine", "scope": "owner"}, false},
		{"POST", a + "/tokens/door/rotate", nil, false},
		{"DELETE", a + "/tokens/door", nil, false},
		{"POST", a + "/events/" + s.event + "/rsvps", map[string]any{}, true},
		{"POST", "/mcp/users/" + s.a.User, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, true},
	}
	before := s.everything()
	for who, token := range map[string]string{
		"b's owner": s.b.Token, "one that was rotated": s.aOld, "an invitation": invite, "a code": code, "an RSVP's id": s.aRSVP,
		"a user's id": s.a.User, "the name of a token": "owner", "nothing": "",
	} {
		for _, r := range routes {
			want := 401
			if r.guests && token == "" {
				continue
			}
			if got := s.do(r.method, r.path, token, r.body, nil); got != want {
				t.Errorf("%s %s with %s: %d, want %d", r.method, r.path, who, got, want)
			}
		}
	}
	// Some rights are not all rights.
	for _, r := range routes[:7] {
		if got := s.do(r.method, r.path, s.aDoor, r.body, nil); got != 403 {
			t.Errorf("%s %s with the door's: %d, want 403", r.method, r.path, got)
		}
	}
	// The door's token on another Host is not even the door's.
	if got := s.call(s.b.URL, "list_events", map[string]any{}, nil, "Authorization", "Bearer "+s.aDoor); got.status != 401 {
		t.Errorf("the door's token elsewhere: %d", got.status)
	}
	// A session's id says nothing about who calls.
	session := s.call(s.a.URL, "list_events", map[string]any{}, nil, "Authorization", "Bearer "+s.a.Token).header.Get("Mcp-Session-Id")
	for _, id := range []string{session, "mcp-session-1", s.a.Token} {
		got := s.call(s.a.URL, "create_event", newEvent, nil, "Mcp-Session-Id", id)
		if got.status == http.StatusOK && got.code != "not_allowed" {
			t.Errorf("as the owner's session: %d %s", got.status, got.text)
		}
	}
	s.unchanged(before)
}

// Over REST as over MCP: the path says whose Host it is, and only what is that
// Host's is found there.
func TestTenantsPaths(t *testing.T) {
	s := newTenants(t)
	b := "/api/users/" + s.b.User
	before := s.everything()
	for _, r := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", b + "/events/" + s.event, nil, 404},
		{"POST", b + "/events/" + s.event + "/rsvps", map[string]any{}, 404},
		{"GET", b + "/revenue?event_id=" + s.event, nil, 404},
		{"DELETE", b + "/tokens/door", nil, 404},
		{"POST", b + "/tokens/door/rotate", nil, 404},
		{"GET", b + "/../" + s.a.User + "/tokens", nil, 401},                     // which is a's path
		{"GET", "/api/users/" + strings.ToUpper(s.b.User) + "/tokens", nil, 401}, // nobody's, so no token is theirs
		{"GET", "/api/users/..%2f" + s.b.User + "/tokens", nil, 404},
		{"POST", "/mcp/users/" + s.b.User[:25], `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 404},
	} {
		if got, raw := s.raw(r.method, r.path, s.b.Token, r.body); got != r.status || strings.Contains(string(raw), s.event) {
			t.Errorf("%s %s: %d, want %d: %s", r.method, r.path, got, r.status, raw)
		}
	}
	s.unchanged(before)
}

// A payment that one Host has taken buys nothing at another, nor does one that is
// for another.
func TestTenantsPayments(t *testing.T) {
	s := newTenants(t)
	before := s.everything()
	fresh := s.signed(2, nil) // for a's wallet
	for name, try := range map[string]struct {
		payment *x402.Payment
		code    string
	}{"spent at a": {&s.paid, "payment_already_used"}, "made for a": {&fresh, "payment_invalid"}} {
		got := s.call(s.b.URL, "rsvp_to_event", map[string]any{"event_id": s.bEvent}, try.payment)
		if got.code != try.code {
			t.Errorf("%s: code %q, want %q: %s", name, got.code, try.code, got.text)
		}
	}
	s.unchanged(before)
}

// aCursor is where the first page of a's events ends.
func (s *tenants) aCursor() string {
	s.t.Helper()
	var page struct {
		NextCursor string `json:"next_cursor"`
	}
	s.do("GET", "/api/users/"+s.a.User+"/events?limit=1", "", nil, &page)
	if page.NextCursor == "" {
		s.t.Fatal("there is no second page")
	}
	return page.NextCursor
}

// everything is what no stranger may change: the books of both, and a's tokens.
type everything struct {
	stock
	events, confirmed, tokens, bEvents int
}

func (s *tenants) everything() everything {
	s.t.Helper()
	return everything{s.stock(), s.count(s.hostFile(s.a), "SELECT count(*) FROM events WHERE title <> 'Mine' AND NOT cancelled"),
		s.count(s.hostFile(s.a), "SELECT count(*) FROM rsvps WHERE status = 'confirmed' AND checked_in_at IS NULL"),
		s.count("server.db", "SELECT count(*) FROM tokens WHERE name IN ('owner', 'door', 'old')"),
		s.count(s.hostFile(s.b), "SELECT count(*) FROM events")}
}

func (s *tenants) unchanged(before everything) {
	s.t.Helper()
	if after := s.everything(); after != before {
		s.t.Errorf("something changed: %+v, it was %+v", after, before)
	}
	if status := s.do("GET", "/api/users/"+s.a.User+"/revenue", s.a.Token, nil, nil); status != 200 {
		s.t.Errorf("a's owner is locked out: %d", status)
	}
}
