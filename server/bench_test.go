package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/tools"
)

// served is a server without a network, and a Host of a thousand events.
type served struct {
	*server.Server
	path         string
	priced, free string // events
}

func serveEvents(b *testing.B) *served {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	network := x402.EVM(84532)
	asset, domain, _ := x402.USDC(network)
	hosts, err := host.Open(b.Context(), host.Config{Dir: b.TempDir(), Network: "devnet", Log: log,
		Payments: payments.Config{Network: network, Asset: asset, Domain: domain}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := hosts.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	user, _, err := hosts.Register(b.Context(), host.Registration{Email: "ada@example.org", PayTo: x402.Address{1}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := hosts.Host(b.Context(), user.ID)
	if err != nil {
		b.Fatal(err)
	}
	s := &served{Server: server.New(server.Config{Hosts: hosts, Log: log, Network: network, Asset: asset}), path: "/mcp/users/" + user.ID}
	for i := range 1000 {
		e, err := h.CreateEvent(b.Context(), tools.CreateEventInput{Title: fmt.Sprint("Evening ", i), Price: "0.05",
			StartsAt: time.Now().AddDate(0, 0, 1+i).Format(time.RFC3339), TimeZone: "Europe/Berlin"})
		if err != nil {
			b.Fatal(err)
		}
		s.priced = e.ID
	}
	e, err := h.CreateEvent(b.Context(), tools.CreateEventInput{Title: "A walk", StartsAt: time.Now().AddDate(1, 0, 0).Format(time.RFC3339)})
	if err != nil {
		b.Fatal(err)
	}
	s.free = e.ID
	return s
}

func (s *served) bench(b *testing.B, body string) {
	b.Helper()
	answer := mustPost(b, s, s.path, body).Bytes()
	b.Run("bare", func(b *testing.B) {
		bare := bareMCP(b, answer)
		for b.Loop() {
			mustPost(b, bare, "/", body)
		}
	})
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			mustPost(b, s, s.path, body)
		}
	})
}

func mustPost(b *testing.B, h http.Handler, path, body string) *bytes.Buffer {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Code, w.Body)
	}
	return w.Body
}

// bareMCP is mcp-go with nothing around it, and the answer in memory.
func bareMCP(b *testing.B, answer []byte) http.Handler {
	b.Helper()
	var a struct {
		Result struct {
			Content    []struct{ Text string }
			Structured json.RawMessage `json:"structuredContent"`
		}
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		b.Fatal(err)
	}
	s := mcpserver.NewMCPServer("bare", "1")
	give := func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(a.Result.Content[0].Text)},
			RawStructuredContent: a.Result.Structured}, nil
	}
	for _, name := range []string{"list_events", "rsvp_to_event"} {
		s.AddTool(mcp.NewTool(name), give)
	}
	return mcpserver.NewStreamableHTTPServer(s, mcpserver.WithStateLess(true), mcpserver.WithDisableStreaming(true))
}

// What a list of 20 events costs, from the request to the answer.
func BenchmarkList(b *testing.B) {
	serveEvents(b).bench(b, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_events","arguments":{}}}`)
}

// What it costs to tell a price.
func BenchmarkQuote(b *testing.B) {
	s := serveEvents(b)
	s.bench(b, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":%q}}}`, s.priced))
}

// What a free RSVP costs 32 guests at a time, who share commits.
func BenchmarkBookFree(b *testing.B) {
	s := serveEvents(b)
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":%q}}}`, s.free)
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mustPost(b, s, s.path, body)
		}
	})
}

// What people look at, of a Host with a thousand events.
func BenchmarkPublicPages(b *testing.B) {
	s := serveEvents(b)
	user := strings.TrimPrefix(s.path, "/mcp/users")
	for name, path := range map[string]string{"host": "/u" + user, "search": "/u" + user + "?q=evening", "past": "/u" + user + "?past",
		"event": "/u" + user + "/" + s.priced, "form": "/u" + user + "/" + s.free, "entry": "/u" + user + "/" + s.free + ".ics",
		"feed": "/u" + user + "/events.ics"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
