package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
)

// scrape reads /metrics as somebody at address, whose proxy or client sends headers.
func (w *world) scrape(headers ...string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", w.base+"/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What was done is counted: by route, tool, code and state, and never by who did it.
func TestMetricsCount(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05", "capacity": 10})
	purse := w.wallet(x402.USD)
	if _, err := w.guest(o, purse, "2026-07-28").Book(t.Context(), guest.Wish{EventID: event}); err != nil {
		t.Fatal(err)
	}
	w.call(o.URL, "get_event", map[string]any{"event_id": "none"}, nil)
	w.raw("GET", "/no/such/path/"+o.User, "", nil)
	w.raw("BREW", "/mcp/info", "", nil)
	if err := w.hosts.Cashier.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, body := w.scrape()
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	for _, want := range []string{
		`concierge_http_requests_total{method="POST",route="POST /api/users",status="2xx"} 1`,
		`concierge_tool_duration_seconds_count{tool="rsvp_to_event"} 2`,
		`concierge_tool_errors_total{code="event_not_found",tool="get_event"} 1`,
		`concierge_errors_total{code="event_not_found"} 1`,
		`concierge_http_requests_total{method="GET",route="/",status="4xx"} 1`,
		`concierge_http_requests_total{method="other",route="/",status="4xx"} 1`,
		`concierge_payments_total{kind="payment",state="settled"} 1`,
		`concierge_payment_settlement_duration_seconds_count 1`,
		`concierge_hosts_open 1`,
		`concierge_host_open_duration_seconds_count 1`,
		`concierge_payments_open{state="settling"} 0`,
		`concierge_http_requests_in_flight 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, secret := range []string{o.User, o.Token, event, purse.Address().String(), "@", "/no/such"} {
		if strings.Contains(body, secret) {
			t.Errorf("%s is in the metrics", secret)
		}
	}
}

// Only this machine may read the metrics, and who has the token.
func TestWhoReadsMetrics(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"this machine":                 {nil, 200},
		"a proxy on this machine":      {[]string{"X-Forwarded-For", "192.0.2.1"}, 404},
		"another proxy":                {[]string{"Forwarded", "for=192.0.2.1"}, 404},
		"a proxy, with the token":      {[]string{"X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer " + metricsToken}, 200},
		"a proxy, with a wrong token":  {[]string{"X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer " + metricsToken + "x"}, 404},
		"a proxy, with an empty token": {[]string{"X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer "}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := w.scrape(test.headers...); status != test.status {
				t.Errorf("%d %.200s", status, body)
			}
		})
	}
}

// Docs, dashboard and alerts speak of metrics that there are, and the docs of all.
func TestMetricsAreDocumented(t *testing.T) {
	w := newWorld(t)
	names := w.metrics.Names()
	elsewhere := []string{"gas_balance_ether", "disk_free_bytes", "disk_size_bytes", "backup_timestamp_seconds", // of cmd/concierge
		"certificate_expiry_timestamp_seconds", "index_sweep_timestamp_seconds", "index_sweep_duration_seconds"} // and where there is an index
	for _, name := range elsewhere {
		names = append(names, "concierge_"+name)
	}
	in := func(file string) string {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	docs := in("../docs/reference/metrics.md")
	for _, name := range names {
		if strings.HasPrefix(name, "concierge_") && !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("%s is not in the docs", name)
		}
	}
	for _, file := range []string{"../docs/reference/metrics.md", "../docs/how-to/metrics.md", "../deploy/grafana/dashboard.json", "../deploy/prometheus/alerts.yml"} {
		for _, name := range regexp.MustCompile(`concierge_[a-z0-9_]+`).FindAllString(in(file), -1) {
			if strings.HasSuffix(name, "_") { // of a family
				continue
			}
			name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
			if !slices.Contains(names, name) {
				t.Errorf("%s speaks of %s, which there is not", file, name)
			}
		}
	}
}

type readyAnswer struct {
	Status any
	Code   string
	Checks []struct {
		Name, Reason string
		OK, Needed   bool
		Since        time.Time
	}
}

func (w *world) ready() (status int, a readyAnswer) {
	w.t.Helper()
	status, raw := w.raw("GET", "/readyz", "", nil)
	if err := json.Unmarshal(raw, &a); err != nil {
		w.t.Fatalf("%v in %s", err, raw)
	}
	if strings.Contains(string(raw), "secret") {
		w.t.Errorf("%s", raw)
	}
	return status, a
}

// What is not ready is named, with the reason and since when, and no more is told of it
// than that.
func TestReadyTellsWhy(t *testing.T) {
	w := newWorld(t)
	if status, a := w.ready(); status != 200 || a.Status != "ready" || len(a.Checks) != 2 || !a.Checks[1].OK {
		t.Fatalf("%d %+v", status, a)
	}
	for _, test := range []struct {
		err    error
		reason string
	}{
		{errors.New(`Post "https://rpc.example.org/v2/secret": EOF`), "it fails; the server's log says how"},
		{fmt.Errorf("ask https://rpc.example.org/secret: %w", server.Plain("the node lags behind")), "the node lags behind"},
	} {
		w.outage.Store(&test.err)
		w.later(time.Minute)
		down := w.now()
		status, a := w.ready()
		if status != 503 || a.Code != "payment_unavailable" || a.Checks[0].OK != true || a.Checks[1].OK || a.Checks[1].Reason != test.reason {
			t.Errorf("%d %+v", status, a)
		}
		w.later(time.Minute)
		if _, again := w.ready(); !again.Checks[1].Since.Equal(a.Checks[1].Since) || again.Checks[1].Since.After(down.Add(2*time.Second)) {
			t.Errorf("down since %v, then since %v", a.Checks[1].Since, again.Checks[1].Since)
		}
		w.outage.Store(nil)
		w.later(time.Minute)
		if status, a := w.ready(); status != 200 || !a.Checks[1].OK || a.Checks[1].Reason != "" {
			t.Errorf("after that: %d %+v", status, a)
		}
	}
}

// However many ask, what is checked is checked once.
func TestReadyIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	w.ready()
	w.later(time.Minute)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, _ := w.raw("GET", "/readyz", "", nil); status != 200 {
				t.Error(status)
			}
		})
	}
	wg.Wait()
	if n := w.looks.Load(); n != 2 {
		t.Errorf("checked %d times", n)
	}
}
