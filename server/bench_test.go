package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
	"github.com/events-concierge/concierge/server/testlog"
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
	log := testlog.New()
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

// What it costs to count: the same call of the same server, with and without metrics, in
// turn, so that both have the same machine. It fails when it costs more than METRICS_BAR
// percent (default 5, for machines that have other things to do; docs/explanation/
// performance.md tells what a quiet one gives), of 500 pairs or more: fewer tell nothing.
func BenchmarkMetrics(b *testing.B) {
	s := serveEvents(b)
	counted := s.Config
	counted.Metrics = metrics.New("bench", "none", nil)
	with := server.New(counted)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_event","arguments":{"event_id":"` + s.free + `"}}}`
	const each = 10 // calls of one before the other's turn
	var times [2][]float64
	var ratios []float64
	handlers := []http.Handler{s.Server, with}
	for b.Loop() {
		var pair [2]float64
		for turn := range 2 {
			i := (len(ratios) + turn) % 2 // who comes first has colder caches
			begun := time.Now()
			for range each {
				mustPost(b, handlers[i], s.path, body)
			}
			pair[i] = float64(time.Since(begun))
			times[i] = append(times[i], pair[i])
		}
		ratios = append(ratios, pair[1]/pair[0])
	}
	without, counting := middle(times[0]), middle(times[1])
	percent := 100 * (middle(ratios) - 1)
	b.ReportMetric(percent, "%more")
	b.ReportMetric(without/each, "ns/call-without")
	b.ReportMetric(counting/each, "ns/call-with")
	bar := 5.
	if text := os.Getenv("METRICS_BAR"); text != "" {
		var err error
		if bar, err = strconv.ParseFloat(text, 64); err != nil {
			b.Fatal(err)
		}
	}
	if len(times[0]) >= 500 && percent > bar {
		b.Errorf("metrics cost %.1f %%", percent)
	}
}

// middle is a median: a pause of the machine is nobody's cost.
func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// A scrape of a server with 2000 users, or SCRAPE_USERS, as many of whose Hosts are open
// as may be.
func BenchmarkScrape(b *testing.B) {
	s := serveEvents(b)
	c := s.Config
	c.Metrics = metrics.New("bench", "none", nil)
	h := server.New(c)
	users := 2000
	if text := os.Getenv("SCRAPE_USERS"); text != "" {
		var err error
		if users, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	addUsers(b, c.Hosts, users)
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
	if perScrape := b.Elapsed() / time.Duration(b.N); perScrape > 50*time.Millisecond {
		b.Errorf("a scrape takes %v", perScrape)
	}
}

// addUsers registers users, and has their Hosts opened.
func addUsers(b *testing.B, hosts *host.Hosts, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for w := range 64 { // together, for they share the commits
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				u, _, err := hosts.Register(b.Context(), host.Registration{Email: fmt.Sprintf("guest-%d@example.org", i), PayTo: x402.Address{1}})
				if err != nil {
					b.Error(err)
					return
				}
				if h, err := hosts.Host(b.Context(), u.ID); err == nil && i < 1000 {
					_, err = h.ListEvents(b.Context(), tools.ListEventsInput{})
					if err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
