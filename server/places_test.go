package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// square is a server with an index, without a chain.
type square struct {
	*httptest.Server
	hosts  *host.Hosts
	handle http.Handler
}

func newSquare(t testing.TB, edit func(*server.Config)) *square {
	t.Helper()
	log := testlog.New()
	network := x402.EVM(84532)
	asset, domain, _ := x402.USDC(network)
	hosts, err := host.Open(context.Background(), host.Config{Dir: t.TempDir(), Network: "devnet", Log: log,
		Payments: payments.Config{Network: network, Asset: asset, Domain: domain}})
	if err != nil {
		t.Fatal(err)
	}
	index := host.OpenIndex(context.Background(), hosts)
	c := server.Config{Hosts: hosts, Index: index, Log: log, Version: "1.2.3", Network: network, Asset: asset}
	if edit != nil {
		edit(&c)
	}
	s := &square{hosts: hosts, handle: server.New(c)}
	s.Server = httptest.NewServer(s.handle)
	t.Cleanup(func() {
		s.Server.Close()
		index.Close()
		hosts.Close(context.Background())
	})
	return s
}

func (s *square) host(t testing.TB, name string) *tools.Host {
	t.Helper()
	u, _, err := s.hosts.Register(t.Context(), host.Registration{Email: name + "@example.org", PayTo: x402.Address{1}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.hosts.Host(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (s *square) event(t testing.TB, h *tools.Host, in tools.CreateEventInput) tools.Event {
	t.Helper()
	if in.StartsAt == "" {
		in.StartsAt = time.Now().Add(time.Hour).Format(time.RFC3339)
	}
	e, err := h.CreateEvent(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fetch returns an answer's status, header and body.
func (s *square) fetch(t testing.TB, path string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

// Somebody finds an event on the shared server, and books it at its Host.
func TestShared(t *testing.T) {
	s := newSquare(t, nil)
	ada, bob := s.host(t, "ada"), s.host(t, "bob")
	jazz := s.event(t, ada, tools.CreateEventInput{Title: `Jazz <script>alert(1)</script>`, Location: "Cellar"})
	s.event(t, bob, tools.CreateEventInput{Title: "Opera", Price: "5"})
	s.event(t, bob, tools.CreateEventInput{Title: "Secret jazz", Visibility: tools.Unlisted})

	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: s.URL + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	call := func(name string, args map[string]any, into any) {
		t.Helper()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(result.StructuredContent)
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := session.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	var out tools.FindEventsOutput
	call("find_events", map[string]any{"query": "jazz"}, &out)
	if len(out.Events) != 1 || out.Events[0].ID != jazz.ID || out.Events[0].Title != jazz.Title || out.Events[0].Host.User != ada.User ||
		out.Events[0].Host.MCPURL != s.URL+"/mcp/users/"+ada.User || out.Events[0].Host.PageURL != s.URL+"/u/"+ada.User+"/"+jazz.ID {
		t.Fatalf("%+v", out)
	}
	var one tools.FoundEvent
	call("get_event", map[string]any{"user": ada.User, "event_id": jazz.ID}, &one)
	if one.Title != jazz.Title || one.Host != out.Events[0].Host {
		t.Errorf("%+v", one)
	}
	for name, args := range map[string]map[string]any{
		"no host":   {"user": "nobody", "event_id": jazz.ID},
		"no event":  {"user": ada.User, "event_id": "evt_none"},
		"no id":     {"user": ada.User},
		"elsewhere": {"user": bob.User, "event_id": jazz.ID},
	} {
		var refusal tools.Error
		if call("get_event", args, &refusal); refusal.Code != tools.CodeEventNotFound && refusal.Code != tools.CodeInvalidArgument {
			t.Errorf("%s: %+v", name, refusal)
		}
	}
	there, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: out.Events[0].Host.MCPURL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	booked, err := there.CallTool(t.Context(), &mcp.CallToolParams{Name: "rsvp_to_event", Arguments: map[string]any{"event_id": jazz.ID, "name": "Eve"}})
	if err != nil || booked.IsError {
		t.Errorf("%+v, %v", booked, err)
	}
}

// The older generation of the protocol, and what is not MCP.
func TestSharedHandshake(t *testing.T) {
	s := newSquare(t, nil)
	post := func(body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		all, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(all)
	}
	for _, c := range []struct {
		name, body, says string
		status           int
	}{
		{"initialize", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, `"events-concierge-directory"`, 200},
		{"list", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `"find_events"`, 200},
		{"find", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find_events","arguments":{"query":"\" OR *"}}}`, `"events":[]`, 200},
		{"unknown argument", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find_events","arguments":{"q":"x"}}}`, `There is no argument`, 200},
		{"too long", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find_events","arguments":{"query":"` + strings.Repeat("x", 10_000) + `"}}}`, `query has 10000 characters`, 200},
		{"a wrong cursor", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find_events","arguments":{"cursor":"x"}}}`, `cursor is not one`, 200},
		{"a tool of Hosts", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{}}}`, `not found`, 200},
		{"cancelled", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, ``, 202},
		{"listen", `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}`, `sends no notices`, 404},
		{"no JSON", `{`, ``, 400},
	} {
		if status, body := post(c.body); status != c.status || !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), c.says) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
}

func TestFindEventsOverREST(t *testing.T) {
	s := newSquare(t, nil)
	for _, name := range []string{"ada", "bob"} {
		h := s.host(t, name)
		for i := range 3 {
			s.event(t, h, tools.CreateEventInput{Title: fmt.Sprint("Tea ", name, i)})
		}
	}
	seen := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		status, _, body := s.fetch(t, "/api/events?query=tea&limit=2&cursor="+url.QueryEscape(cursor))
		var out tools.FindEventsOutput
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 || pages > 5 {
			t.Fatal(status, body, err)
		}
		for _, e := range out.Events {
			seen[e.Title] = true
		}
		if cursor = out.NextCursor; cursor == "" {
			break
		}
	}
	if len(seen) != 6 {
		t.Error(seen)
	}
	for query, want := range map[string]int{"limit=x": 400, "limit=101": 400, "from=tomorrow": 400, "cursor=%00": 400, "query=%ff": 200, "query=%22%22": 200} {
		if status, _, body := s.fetch(t, "/api/events?"+query); status != want {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

func TestWellKnown(t *testing.T) {
	proof := "v=MCPv1; k=ed25519; p=" + strings.Repeat("A", 43) + "="
	s := newSquare(t, func(c *server.Config) {
		c.PublicURL, c.RegistryProof = &url.URL{Scheme: "https", Host: "events.example.org"}, proof
	})
	ada := s.host(t, "ada")
	s.event(t, ada, tools.CreateEventInput{Title: "Free"})
	opera := s.event(t, ada, tools.CreateEventInput{Title: "Opera", Price: "5"})
	s.event(t, ada, tools.CreateEventInput{Title: "Secret", Price: "5", Visibility: tools.Unlisted})
	protocols := `"supportedProtocolVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]`
	for path, want := range map[string]struct{ mediaType, body string }{
		"/.well-known/ai-catalog.json": {"application/ai-catalog+json", `{"specVersion":"1.0","entries":[{"identifier":"urn:air:events.example.org:mcp:events",` +
			`"type":"application/mcp-server-card+json","url":"https://events.example.org/mcp/server-card"}]}`},
		"/mcp/server-card": {"application/mcp-server-card+json", `{"$schema":"https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json","name":"org.example.events/events","version":"1.2.3",` +
			`"description":"Finds public events of all hosts of this server, and says where each can be booked.","title":"Events Concierge: all hosts","websiteUrl":"https://events.example.org/",` +
			`"remotes":[{"type":"streamable-http","url":"https://events.example.org/mcp",` + protocols + `}]}`},
		"/mcp/users/" + ada.User + "/server-card": {"application/mcp-server-card+json", `{"$schema":"https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json","name":"org.example.events/` + ada.User + `","version":"1.2.3",` +
			`"description":"One host's events: list them, and book with x402 payments in USDC.","title":"Events Concierge","websiteUrl":"https://events.example.org/u/` + ada.User + `",` +
			`"remotes":[{"type":"streamable-http","url":"https://events.example.org/mcp/users/` + ada.User + `","headers":[{"name":"Authorization","description":"Bearer and a token of this host. Owners send it, guests none.","isRequired":false,"isSecret":true}],` + protocols + `}]}`},
		"/.well-known/x402": {"application/json", `{"x402Version":2,"kind":"resource-server","name":"Events Concierge","description":"Seats at events, paid with USDC.","resources":[` +
			`{"url":"https://events.example.org/api/users/` + ada.User + `/events/` + opera.ID + `/rsvps","method":"POST","description":"Book: Opera"}],"updated":"` + opera.ChangedAt + `"}`},
		"/.well-known/mcp-registry-auth": {"text/plain; charset=utf-8", proof},
	} {
		status, header, body := s.fetch(t, path)
		if status != 200 || header.Get("Content-Type") != want.mediaType || strings.TrimSpace(body) != want.body || header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v\n%s\n%s", path, status, header, body, want.body)
		}
		if status, _, body := s.fetch(t, path, "If-None-Match", `"x", `+header.Get("ETag")); status != 304 || body != "" {
			t.Errorf("%s again: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/mcp/users/nobody/server-card", "/mcp/users/" + strings.Repeat("a", 26) + "/server-card"} {
		if status, _, body := s.fetch(t, path); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	plain := newSquare(t, nil)
	for _, path := range []string{"/.well-known/x402", "/.well-known/mcp-registry-auth"} {
		if status, _, body := plain.fetch(t, path); status != 404 {
			t.Errorf("%s of a server without it: %d %s", path, status, body)
		}
	}
	if _, _, body := plain.fetch(t, "/mcp/info"); !strings.Contains(body, `"shared":"`+plain.URL+`/mcp"`) {
		t.Error(body)
	}
}

func TestValidRegistryProof(t *testing.T) {
	for proof, want := range map[string]bool{
		"v=MCPv1; k=ed25519; p=" + strings.Repeat("A", 43) + "=": true,
		"": false, "v=MCPv1; k=ed25519; p=": false, "v=MCPv1; k=rsa; p=" + strings.Repeat("A", 44): false, "v=MCPv1; k=ed25519; p=" + strings.Repeat("A", 43) + "=\nx": false,
	} {
		if server.ValidRegistryProof(proof) != want {
			t.Errorf("%q", proof)
		}
	}
}

// A Guest that is connected to the shared server finds events there, each at its own
// Host; a Host is not believed to speak for others.
func TestGuestOfShared(t *testing.T) {
	s := newSquare(t, nil)
	ada := s.host(t, "ada")
	s.event(t, ada, tools.CreateEventInput{Title: "Jazz"})
	purse, err := store.OpenPurse(t.Context(), filepath.Join(t.TempDir(), "purse.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer purse.Close()
	desk := guest.NewDesk(guest.Config{Purse: purse, Version: "test"})
	defer desk.Close()
	if _, err := desk.Add(s.URL + "/mcp"); err != nil {
		t.Fatal(err)
	}
	found, err := desk.FindEvents(t.Context(), guest.Query{Query: "jazz"})
	if err != nil || len(found.Events) != 1 || found.Events[0].Host != s.URL+"/mcp/users/"+ada.User || len(found.Unreachable) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	h, err := desk.Add(found.Events[0].Host)
	if err != nil {
		t.Fatal(err)
	}
	if booked, err := h.Book(t.Context(), guest.Wish{EventID: found.Events[0].ID, Name: "Eve"}); err != nil || booked.RSVP.Status != "confirmed" {
		t.Errorf("%+v, %v", booked, err)
	}
	// Connected to both, it finds the event once.
	if found, err = desk.FindEvents(t.Context(), guest.Query{}); err != nil || len(found.Events) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}

// The first page's events and Hosts, while 1,000 events are to come.
func BenchmarkDirectory(b *testing.B) {
	s := newSquare(b, nil)
	for i := range 50 {
		h := s.host(b, fmt.Sprint("user", i))
		for n := range 20 {
			s.event(b, h, tools.CreateEventInput{Title: fmt.Sprint("Tea ", i, n), StartsAt: time.Now().Add(time.Duration(1+n) * time.Hour).Format(time.RFC3339)})
		}
	}
	for name, path := range map[string]string{"all": "/api/events", "words": "/api/events?query=tea"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				if s.handle.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
