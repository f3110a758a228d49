package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

// door is a server without a chain or a listener, at a time that the test sets.
type door struct {
	*server.Server
	hosts *host.Hosts
	clock atomic.Pointer[time.Time]
	now   func() time.Time // what the clock shows
	log   bytes.Buffer     // not for concurrent requests

	refused int // requests that were answered with 429
}

func newDoor(t testing.TB, l server.Limits, log io.Writer) *door {
	t.Helper()
	d := &door{}
	d.now = func() time.Time { return *d.clock.Load() }
	d.set(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	if log == nil {
		log = &d.log
	}
	logger := testlog.New(slog.NewTextHandler(log, nil))
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	var err error
	if d.hosts, err = host.Open(t.Context(), host.Config{Dir: t.TempDir(), Log: logger, Now: func() time.Time { return d.now() },
		Payments: payments.Config{Network: x402.BaseSepolia, Asset: asset, Domain: domain}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.hosts.Close(context.Background()) })
	d.Server = server.New(server.Config{Hosts: d.hosts, Version: "test", Log: logger, Network: x402.BaseSepolia, Asset: asset, Limits: l})
	d.SetHoldBack(0)
	return d
}

func (d *door) set(now time.Time)         { d.clock.Store(&now) }
func (d *door) later(after time.Duration) { d.set(d.clock.Load().Add(after)) }

// user registers one and returns the token.
func (d *door) user(t testing.TB, email string) (id, token string) {
	t.Helper()
	u, token, err := d.hosts.Register(t.Context(), host.Registration{Email: email, PayTo: x402.Address{1}})
	if err != nil {
		t.Fatal(err)
	}
	return u.ID, token
}

func request(from, method, path, token, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = from + ":1234"
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// ask makes a request from an address.
func (d *door) ask(from, method, path, token, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, request(from, method, path, token, body))
	if w.Code == http.StatusTooManyRequests {
		d.refused++
	}
	return w
}

// asks makes n requests and returns how many were not refused for their number.
func (d *door) asks(n int, from, method, path, token, body string) (passed int) {
	before := d.refused
	for range n {
		d.ask(from, method, path, token, body)
	}
	return n - (d.refused - before)
}

const (
	listEvents = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_events"}}`
	aGuest     = "192.0.2.1"
	loopback   = "127.0.0.1"
)

func rsvpTo(event string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":%q}}}`, event)
}

// One address may do so much on all paths together, and others as much beside it.
func TestAddressLimit(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 8}, nil)
	user, _ := d.user(t, "ada@example.org")
	if n := d.asks(4, aGuest, "GET", "/mcp/info", "", "") + d.asks(6, aGuest, "POST", "/mcp/users/"+user, "", listEvents); n != 8 {
		t.Errorf("%d of 10 passed, want 8", n)
	}
	got := d.ask(aGuest, "POST", "/mcp/users/"+user, "", listEvents)
	var p struct {
		Code, Detail string
		Status       int
	}
	if err := json.Unmarshal(got.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if got.Code != 429 || p.Code != "over_limit" || p.Status != 429 || !strings.Contains(p.Detail, "in 1 s") ||
		got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	for name, want := range map[string]string{"Retry-After": "1", "RateLimit-Policy": `"ip";q=8;w=1`, "RateLimit": `"ip";r=0;t=1`} {
		if h := got.Header().Get(name); h != want {
			t.Errorf("%s: %s, want %s", name, h, want)
		}
	}
	for _, other := range []struct {
		from string
		want int
	}{{"192.0.2.2", 8}, {"[2001:db8::1]", 8}, {"[2001:db8::2]", 0}, {"[2001:db8:0:1::2]", 8}, {loopback, 20}, {"[::1]", 20}} {
		if n := d.asks(20, other.from, "GET", "/mcp/info", "", ""); n != other.want {
			t.Errorf("%s: %d passed, want %d", other.from, n, other.want)
		}
	}
	d.later(time.Second)
	if n := d.asks(9, aGuest, "GET", "/mcp/info", "", ""); n != 8 {
		t.Errorf("a second later: %d passed", n)
	}
	if got := d.ask(loopback, "GET", "/mcp/info", "", ""); got.Header().Get("RateLimit") != "" {
		t.Errorf("this machine has the limit %s", got.Header().Get("RateLimit"))
	}
	if n := strings.Count(d.log.String(), "level=WARN"); n != 1 || strings.Contains(d.log.String(), "status=429") {
		t.Errorf("%d warnings of one flood:\n%s", n, d.log.String())
	}
	d.later(time.Minute)
	d.asks(9, aGuest, "GET", "/mcp/info", "", "")
	if !strings.Contains(d.log.String(), fmt.Sprintf("ip=%d\n", d.refused-1)) { // the first was told at once
		t.Errorf("%d refusals are not told:\n%s", d.refused, d.log.String())
	}
}

// A flood at one Host, from whatever many addresses, is that Host's alone, and
// does not lock its owner out.
func TestHostLimit(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 400, User: 20}, nil)
	flooded, token := d.user(t, "ada@example.org")
	quiet, _ := d.user(t, "bo@example.org")
	passed := 0
	for i := range 300 {
		from := fmt.Sprintf("198.51.%d.%d", i/250, i%250)
		passed += d.asks(1, from, "POST", "/mcp/users/"+flooded, "", listEvents) + d.asks(1, from, "GET", "/api/users/"+flooded+"/events", "", "")
	}
	if passed != 20 {
		t.Errorf("%d of the flood passed, want 20", passed)
	}
	got := d.ask(aGuest, "POST", "/mcp/users/"+flooded, "", listEvents)
	if got.Code != 429 || got.Header().Get("RateLimit") != `"ip";r=399;t=1, "guests";r=0;t=1` ||
		got.Header().Get("RateLimit-Policy") != `"ip";q=400;w=1, "guests";q=20;w=1` {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	if got := d.ask(aGuest, "POST", "/mcp/users/"+quiet, "", listEvents); got.Code != 200 || got.Header().Get("RateLimit") != `"ip";r=398;t=1, "guests";r=19;t=1` {
		t.Errorf("another host: %d %v", got.Code, got.Header())
	}
	if n := d.asks(30, aGuest, "GET", "/api/users/"+flooded+"/revenue", token, ""); n != 20 {
		t.Errorf("the owner: %d passed, want 20", n)
	}
	if got := d.ask(aGuest, "POST", "/mcp/users/"+flooded, token+"x", listEvents); got.Code != 401 {
		t.Errorf("a wrong token: %d", got.Code)
	}
}

// Dear tools have a limit of their own for each guest; over MCP the refusal is
// the tool's answer, and nothing is charged.
func TestToolLimit(t *testing.T) {
	d := newDoor(t, server.Limits{Tool: 2}, nil)
	user, token := d.user(t, "ada@example.org")
	var event struct{ ID string }
	created := d.ask(aGuest, "POST", "/api/users/"+user+"/events", token, `{"title":"Opera","price":"0.05","starts_at":"2026-07-01T19:00:00Z"}`)
	if err := json.Unmarshal(created.Body.Bytes(), &event); err != nil || created.Code != 201 {
		t.Fatal(created.Code, created.Body, err)
	}
	rest := "/api/users/" + user + "/events/" + event.ID + "/rsvps"
	for range 2 {
		if got := d.ask(aGuest, "POST", rest, "", `{}`); got.Code != 402 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	if got := d.ask(aGuest, "POST", rest, "", "this is not read"); got.Code != 429 || got.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	var answer struct {
		Result struct {
			IsError           bool
			StructuredContent struct {
				Code, Message string
				RetryAfter    int `json:"retry_after"`
			}
		}
	}
	got := d.ask(aGuest, "POST", "/mcp/users/"+user, "", rsvpTo(event.ID))
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if r := answer.Result; got.Code != 200 || !r.IsError || r.StructuredContent.Code != "over_limit" || r.StructuredContent.RetryAfter != 1 ||
		!strings.Contains(r.StructuredContent.Message, "Nothing was changed or charged") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	for who, paid := range map[string]int{"192.0.2.2": 402, loopback: 402} {
		if got := d.ask(who, "POST", rest, "", `{}`); got.Code != paid {
			t.Errorf("%s: %d", who, got.Code)
		}
	}
	if got := d.ask(aGuest, "POST", "/mcp/users/"+user, "", listEvents); strings.Contains(got.Body.String(), "over_limit") {
		t.Errorf("another tool: %s", got.Body)
	}
	if got := d.ask(aGuest, "POST", rest, token, `{}`); got.Code != 402 {
		t.Errorf("the owner: %d", got.Code)
	}
	d.later(time.Second)
	if got := d.ask(aGuest, "POST", rest, "", `{}`); got.Code != 402 {
		t.Errorf("a second later: %d %s", got.Code, got.Body)
	}
}

// Who guesses tokens is soon not listened to, on any Host, not even with the
// right one; guests at the same address are.
func TestWrongTokens(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 1000}, nil)
	a, token := d.user(t, "ada@example.org")
	b, _ := d.user(t, "bo@example.org")
	if n := d.asks(8, aGuest, "POST", "/mcp/users/"+a, "guess", listEvents) + d.asks(8, aGuest, "POST", "/mcp/users/"+b, "guess", listEvents); n != 10 {
		t.Errorf("%d guesses, want 10", n)
	}
	if got := d.ask(aGuest, "POST", "/mcp/users/"+a, token, listEvents); got.Code != 429 || got.Header().Get("Retry-After") != "6" {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	for name, got := range map[string]*httptest.ResponseRecorder{
		"a guest":       d.ask(aGuest, "POST", "/mcp/users/"+a, "", listEvents),
		"from anywhere": d.ask("192.0.2.9", "POST", "/mcp/users/"+a, token, listEvents),
	} {
		if got.Code != 200 {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	d.later(6 * time.Second)
	if got := d.ask(aGuest, "POST", "/mcp/users/"+a, token, listEvents); got.Code != 200 {
		t.Errorf("later: %d", got.Code)
	}
}

// Registration makes keys and files, so an address gets few.
func TestRegistrationLimit(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 1000}, nil)
	register := func(from string, i int) int {
		return d.ask(from, "POST", "/api/users", "", fmt.Sprintf(`{"email":"u%d@example.org","wallet_address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C"}`, i)).Code
	}
	for i := range 22 {
		if want := map[bool]int{true: 201, false: 429}[i < 20]; register(aGuest, i) != want {
			t.Errorf("registration %d: want %d", i, want)
		}
	}
	if register("192.0.2.2", 30) != 201 || register(loopback, 31) != 201 {
		t.Error("others can't register")
	}
	d.later(10 * time.Second)
	if register(aGuest, 40) != 201 || register(aGuest, 41) != 429 {
		t.Error("ten seconds later one more is let in")
	}
}

// openAndShut returns a door that answers with 20 events, one that refuses, and
// how to ask each.
func openAndShut(t testing.TB) (open, shut *door, ask, askShut func() *http.Request) {
	open, shut = newDoor(t, server.Limits{}, io.Discard), newDoor(t, server.Limits{User: 1}, io.Discard)
	user, _ := open.user(t, "ada@example.org")
	h, err := open.hosts.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := h.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2026-07-01T19:00:00Z"}); err != nil {
			t.Fatal(err)
		}
	}
	flooded, _ := shut.user(t, "bo@example.org")
	shut.asks(1, aGuest, "POST", "/mcp/users/"+flooded, "", listEvents)
	asking := func(user string) func() *http.Request {
		return func() *http.Request { return request(aGuest, "POST", "/mcp/users/"+user, "", listEvents) }
	}
	return open, shut, asking(user), asking(flooded)
}

// A refusal takes less than half of the memory of an answer, also of one that is
// remembered, or a flood that is refused is one still.
func TestRefusalIsCheap(t *testing.T) {
	open, shut, ask, askShut := openAndShut(t)
	serve := func(d *door, code int, ask func() *http.Request) func() {
		return func() {
			w := httptest.NewRecorder()
			if d.ServeHTTP(w, ask()); w.Code != code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	}
	asking := bytesPerRun(func() { ask() })
	served := bytesPerRun(serve(open, 200, ask)) - asking
	refused := bytesPerRun(serve(shut, 429, askShut)) - asking
	if refused*2 > served {
		t.Errorf("a refusal allocates %d bytes, an answer %d", refused, served)
	}
}

// bytesPerRun is what f allocates; the first run, which may have to prepare things,
// does not count.
func bytesPerRun(f func()) int {
	const runs = 100
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / runs
}

// BenchmarkRefusal compares a refusal with an answer, without the network.
func BenchmarkRefusal(b *testing.B) {
	open, shut, ask, askShut := openAndShut(b)
	timed := func(d *door, r *http.Request) time.Duration {
		start := time.Now()
		d.ServeHTTP(httptest.NewRecorder(), r)
		return time.Since(start)
	}
	var answer, refusal time.Duration
	for b.Loop() {
		answer += timed(open, ask())
		refusal += timed(shut, askShut())
	}
	b.ReportMetric(float64(answer.Nanoseconds())/float64(b.N), "ns/answer")
	b.ReportMetric(float64(refusal.Nanoseconds())/float64(b.N), "ns/refusal")
	b.ReportMetric(refusal.Seconds()/answer.Seconds(), "refusal/answer")
}
