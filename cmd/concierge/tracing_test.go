package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/testlog"
)

// collector is an OpenTelemetry collector that takes spans over HTTP, as JSON.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []spanSeen
	raw   strings.Builder
}

type spanSeen struct {
	TraceID      string `json:"traceId"`
	SpanID       string `json:"spanId"`
	ParentSpanID string `json:"parentSpanId"`
	Name         string `json:"name"`
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
		var sent struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []spanSeen `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		if err != nil || json.Unmarshal(body, &sent) != nil {
			http.Error(w, "no spans", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, r := range sent.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	t.Setenv("OTEL_SERVICE_NAME", "concierge-of-this-test")
	return c
}

// One trace has all of a payment: the request, the tool, the Cashier, the facilitator
// of another process, and the settlement. And no secret is in it.
func TestTraceOfAPayment(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	fund(t, chain.url)
	c := newCollector(t)
	var headers sync.Map
	facilitator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers.Store(r.URL.Path, r.Header.Get("Traceparent"))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		on, err := http.NewRequestWithContext(r.Context(), r.Method, chain.url+"/facilitator"+r.URL.Path, strings.NewReader(string(body)))
		if err != nil {
			return
		}
		on.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(on)
		if err != nil {
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	defer facilitator.Close()
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--rpc", chain.url, "--facilitator", facilitator.URL)
	rsvp := book(t, web.url)
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.spans, func(s spanSeen) bool { return s.Name == "payment" })
	if at < 0 {
		t.Fatalf("no payment in %+v", c.spans)
	}
	names := map[string]int{}
	known := map[string]bool{}
	for _, s := range c.spans {
		if s.TraceID == c.spans[at].TraceID {
			names[s.Name]++
			known[s.SpanID] = true
		}
	}
	for _, want := range []string{"POST /mcp/users/{user}", "tool rsvp_to_event", "payment", "claim", "verify", "facilitator verify",
		"hold", "settle", "facilitator settle", "await the chain", "confirm"} {
		if names[want] != 1 {
			t.Errorf("%d spans %q in the trace, of %v", names[want], want, names)
		}
	}
	roots := 0
	for _, s := range c.spans {
		if s.TraceID == c.spans[at].TraceID && !known[s.ParentSpanID] {
			roots++
		}
	}
	if roots != 1 {
		t.Errorf("%d spans have nothing above them", roots)
	}
	for _, path := range []string{"/verify", "/settle"} {
		if v, _ := headers.Load(path); v == nil || !strings.Contains(v.(string), strings.ToLower(c.spans[at].TraceID)) {
			t.Errorf("%s was asked with traceparent %v, the trace is %s", path, v, c.spans[at].TraceID)
		}
	}
	raw := c.raw.String()
	if !strings.Contains(raw, rsvp.Transaction) || !strings.Contains(raw, "concierge-of-this-test") {
		t.Error("neither the transaction nor the name of the service is in what was exported")
	}
	for _, secret := range []string{"@example.org", "signature", "ec_", "Bearer"} {
		if strings.Contains(raw, secret) {
			t.Errorf("%q was exported", secret)
		}
	}
}

// Over stdio each call of a tool is a trace of its own.
func TestTraceOverStdio(t *testing.T) {
	c := newCollector(t)
	output(t, hello+toolLine(1, "create_event", `{"title":"An evening","starts_at":"2030-01-01T00:00:00Z","price":"2.50"}`)+toolLine(2, "get_event", `{"event_id":"evt_none"}`),
		"mcp", "host", "--user", "ada@example.org", "--data", t.TempDir())
	c.mu.Lock()
	defer c.mu.Unlock()
	traces := map[string]bool{}
	for _, tool := range []string{"tool create_event", "tool get_event"} {
		at := slices.IndexFunc(c.spans, func(s spanSeen) bool { return s.Name == tool })
		if at < 0 {
			t.Fatalf("no %s in %+v", tool, c.spans)
		}
		root := slices.IndexFunc(c.spans, func(s spanSeen) bool { return s.SpanID == c.spans[at].ParentSpanID })
		if root < 0 || c.spans[root].Name != "stdio tools/call" || c.spans[root].ParentSpanID != "" || c.spans[root].TraceID != c.spans[at].TraceID {
			t.Errorf("above %s: %+v", tool, c.spans)
		}
		traces[c.spans[at].TraceID] = true
	}
	if len(traces) != 2 || !strings.Contains(c.raw.String(), "event_not_found") || strings.Contains(c.raw.String(), "@example.org") {
		t.Errorf("%d traces, %s", len(traces), c.raw.String())
	}
}

// A collector that is away, or does not take what it is sent, costs one line of the log.
func TestTracesGoNowhere(t *testing.T) {
	for name, endpoint := range map[string]string{"away": "http://127.0.0.1:1/s3cret", "refusing": refusing(t) + "/s3cret"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret")
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
			var log lockedBuffer
			provider, stop, err := openTracing(t.Context(), testlog.New(slog.NewTextHandler(&log, nil)))
			if err != nil || provider == nil {
				t.Fatal(provider, err)
			}
			begun := time.Now()
			for range 5000 { // more than the queue has room for
				_, span := provider.Tracer("test").Start(t.Context(), "s")
				span.End()
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("to begin and end spans took %v", took)
			}
			stop()
			if n := strings.Count(log.String(), "traces can't be exported"); n > 1 {
				t.Errorf("told %d times:\n%s", n, &log)
			}
			if !strings.Contains(log.String(), "exported") || strings.Contains(log.String(), "s3cret") {
				t.Errorf("the log says\n%s", &log)
			}
		})
	}
}

func refusing(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no s3cret here", http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What the standard's variables say.
func TestWantsTraces(t *testing.T) {
	for name, test := range map[string]struct {
		env    map[string]string
		wanted bool
		fails  string
	}{
		"nothing":             {nil, false, ""},
		"an endpoint":         {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, true, ""},
		"one for traces":      {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, true, ""},
		"the exporter":        {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none":                {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"disabled":            {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		"another exporter":    {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "want otlp or none"},
		"gRPC":                {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "4318"},
		"an endpoint not one": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, false, "want a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
				t.Setenv(v, test.env[v])
			}
			wanted, err := wantsTraces()
			if wanted != test.wanted || (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v, %v", wanted, err)
			}
		})
	}
}
