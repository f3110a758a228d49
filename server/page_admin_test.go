package server_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/metrics"
)

// adminAs reads the operator's page, or what is below it.
func (w *world) adminAs(path string, headers ...string) *http.Response {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", w.base+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	var all strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&all); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// The page says what is going on, and what is not in order.
func TestAdminShowsTheServer(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05"})
	w.metrics.Remember()
	if _, err := w.guest(o, w.wallet(x402.USD), "2026-07-28").Book(t.Context(), guest.Wish{EventID: event}); err != nil {
		t.Fatal(err)
	}
	var down error = server.Plain(`the node <b>lags</b> behind`)
	w.outage.Store(&down)
	w.later(time.Minute)
	resp := w.adminAs("/admin")
	page := read(t, resp)
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	for _, want := range []string{"not ready", "the node &lt;b&gt;lags&lt;/b&gt; behind", "rsvp_to_event", "Hosts open", `data-updates="/admin/updates"`, "1 min"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page[strings.Index(page, "<main"):])
		}
	}
	for _, secret := range []string{o.User, o.Token, "@example.org"} {
		if strings.Contains(page, secret) {
			t.Errorf("%s is on the page", secret)
		}
	}
}

// Who is not an operator does not learn that there is such a page.
func TestWhoIsAnOperator(t *testing.T) {
	w := newWorld(t)
	ada, bo := w.register("ada@example.org"), w.register("bo@example.org")
	user, err := w.hosts.Server.User(t.Context(), ada.User)
	if err != nil {
		t.Fatal(err)
	}
	cookie := func(o owner) string {
		secret, err := w.hosts.NewSession(t.Context(), o.User)
		if err != nil {
			t.Fatal(err)
		}
		return "concierge_session=" + secret
	}
	const proxy = "X-Forwarded-For"
	for name, test := range map[string]struct {
		operators []server.Operator
		headers   []string
		status    int
	}{
		"this machine":              {nil, nil, 200},
		"a stranger":                {nil, []string{proxy, "192.0.2.1"}, 404},
		"an operator":               {[]server.Operator{{User: user.ID, Since: user.CreatedAt}}, []string{proxy, "192.0.2.1", "Cookie", cookie(ada)}, 200},
		"another user":              {[]server.Operator{{User: user.ID, Since: user.CreatedAt}}, []string{proxy, "192.0.2.1", "Cookie", cookie(bo)}, 404},
		"one who came back":         {[]server.Operator{{User: user.ID, Since: user.CreatedAt.Add(-time.Hour)}}, []string{proxy, "192.0.2.1", "Cookie", cookie(ada)}, 404},
		"an operator's owner token": {[]server.Operator{{User: user.ID, Since: user.CreatedAt}}, []string{proxy, "192.0.2.1", "Authorization", "Bearer " + ada.Token}, 404},
		"the token of the metrics":  {nil, []string{proxy, "192.0.2.1", "Authorization", "Bearer " + metricsToken}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.web.Config
			c.Operators, c.Metrics = test.operators, metrics.New("test", "none", w.now)
			s := server.New(c)
			for _, path := range []string{"/admin", "/admin/updates"} {
				if test.status == 200 && path == "/admin/updates" {
					continue // which has no end
				}
				r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1"+path, nil)
				r.RemoteAddr = "127.0.0.1:1"
				for i := 0; i < len(test.headers); i += 2 {
					r.Header.Set(test.headers[i], test.headers[i+1])
				}
				got := httptest.NewRecorder()
				if s.ServeHTTP(got, r); got.Code != test.status {
					t.Errorf("%s: %d", path, got.Code)
				}
			}
		})
	}
}

// The page is told to look again, until the server stops.
func TestAdminUpdates(t *testing.T) {
	w := newWorld(t)
	lines := bufio.NewScanner(w.adminAs("/admin/updates").Body)
	if !lines.Scan() || lines.Text() != "event: changed" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	w.stop()
	for lines.Scan() { // to the end
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
