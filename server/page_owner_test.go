package server_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

const hostileTitle = `<script>alert("no")</script>`

func TestOverview(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	user, err := h.hosts.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	b.shows("nothing yet", b.get("/my-mcp"), 200, "Nothing is planned yet", h.base+"/mcp/users/"+user, `id="figure-events">0<`)
	ada, err := h.hosts.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for i, title := range []string{hostileTitle, "Tea", "Jazz", "Opera"} {
		e, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: title, StartsAt: fmt.Sprintf("2035-01-0%dT00:00:00Z", i+1), Capacity: 10})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ada.Store.BookFree(t.Context(), payments.Booking{RSVPID: fmt.Sprint("rsvp_", i), EventID: e.ID, Seats: i + 1, Email: "bo@example.org"}); err != nil {
			t.Fatal(err)
		}
	}
	p := b.get("/my-mcp")
	b.shows("four events", p, 200, `id="figure-events">4<`, `id="figure-seats">10<`, "&lt;script&gt;alert", "All events", "no limit", `data-live`)
	if strings.Contains(p.body, hostileTitle) || strings.Contains(p.body, "Opera") || ownerToken.MatchString(p.body) {
		t.Error("markup of a stranger, a fourth event, or a token is on the page")
	}
	if p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", p.header.Get("Cache-Control"))
	}

	// The snippets are right: those that are JSON are, and what they call is the Host.
	text := html.UnescapeString(p.body)
	for _, pre := range regexp.MustCompile(`(?s)<pre[^>]*>(\{.*?)</pre>`).FindAllStringSubmatch(text, -1) {
		if !json.Valid([]byte(pre[1])) {
			t.Errorf("no JSON: %s", pre[1])
		}
	}
	cursor := regexp.MustCompile(`cursor://anysphere\.cursor-deeplink/mcp/install\?name=my-events&config=([^"]+)"`).FindStringSubmatch(text)
	code := regexp.MustCompile(`vscode:mcp/install\?([^"]+)"`).FindStringSubmatch(text)
	if cursor == nil || code == nil {
		t.Fatal("no links for Cursor and VS Code")
	}
	packed, err := url.QueryUnescape(cursor[1])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := url.PathUnescape(code[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, install := range []string{string(raw), unpacked} {
		var got struct {
			URL     string
			Headers map[string]string
		}
		if err := json.Unmarshal([]byte(install), &got); err != nil || got.URL != h.base+"/mcp/users/"+user || !strings.HasPrefix(got.Headers["Authorization"], "Bearer ${") {
			t.Errorf("%s: %v", install, err)
		}
	}
}

// The test of the connection calls, with both kinds of rights.
func TestTestConnection(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	b.shows("as a page", b.post("/my-mcp/test"), 200, "events-concierge test, MCP 2025-11-25", "as a guest, on the server", "with your rights, on the server")
	b.to("reloaded", b.get("/my-mcp/test"), "/my-mcp#test")
	p := b.do("POST", "/my-mcp/test", url.Values{}, "Accept", "application/json")
	var got []struct {
		As, Server, Protocol, Error string
		Tools                       int
	}
	if err := json.Unmarshal([]byte(p.body), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v in %s", err, p.body)
	}
	if got[0].As != "guest" || got[0].Tools != 5 || got[1].As != "owner" || got[1].Tools != 11 || got[1].Error != "" || got[1].Protocol != "2025-11-25" {
		t.Errorf("%+v", got)
	}
	b.to("nobody", newBrowser(t, h.base).post("/my-mcp/test"), "/sign-in")
}

func TestTokensPage(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	user, err := h.hosts.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	scope := func(what, token string, want store.Scope) {
		t.Helper()
		if got, err := h.hosts.Scope(t.Context(), user, token); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, want)
		}
	}
	b.shows("the first", b.get("/my-mcp/tokens"), 200, "owner", "not yet", "It is the last one")
	b.shows("a bad name", b.post("/my-mcp/tokens", "name", "the <door>", "scope", "check-in"), 400, "and no spaces", `value="the &lt;door&gt;"`)
	b.shows("no scope", b.post("/my-mcp/tokens", "name", "door"), 400, "Choose what the token may do")
	p := b.post("/my-mcp/tokens", "name", "door", "scope", "check-in")
	b.shows("made", p, 200, "shown this once", "for the door")
	door := ownerToken.FindString(p.body)
	scope("made", door, store.ScopeCheckIn)
	b.shows("twice", b.post("/my-mcp/tokens", "name", "door", "scope", "check-in"), 409, "There is a token of this name")
	if p = b.get("/my-mcp/tokens"); ownerToken.MatchString(p.body) || !strings.Contains(p.body, "Revoke door") {
		t.Errorf("the list: %s", p.body)
	}
	b.shows("the last owner's", b.post("/my-mcp/tokens/owner/revoke"), 409, "the last token that may do everything")
	p = b.post("/my-mcp/tokens/door/rotate")
	b.shows("replaced", p, 200, "has been replaced")
	scope("the old one", door, "")
	scope("the new one", ownerToken.FindString(p.body), store.ScopeCheckIn)
	b.to("revoked", b.post("/my-mcp/tokens/door/revoke"), "/my-mcp/tokens?done=revoked")
	b.shows("revoked", b.get("/my-mcp/tokens?done=revoked"), 200, "The token is revoked")
	b.shows("no such words", b.get("/my-mcp/tokens?done=%3Cb%3E"), 200)
	b.shows("revoked again", b.post("/my-mcp/tokens/door/revoke"), 404, "no token of this name any more")

	// Who has signed in by the token that is replaced stays signed in.
	p = b.post("/my-mcp/tokens/owner/rotate")
	token := ownerToken.FindString(p.body)
	c := newBrowser(t, h.base)
	c.to("in by token", c.post("/sign-in/token", "token", token), "/my-mcp")
	p = c.post("/my-mcp/tokens/owner/rotate")
	c.shows("replaced", p, 200, "has been replaced")
	c.shows("still in", c.get("/my-mcp"), 200)
	d := newBrowser(t, h.base)
	d.shows("the old one", d.post("/sign-in/token", "token", token), 403)
}

func TestWalletPage(t *testing.T) {
	asked := make(chan x402.Address, 10)
	amount, failure := 12*x402.USD, error(nil)
	h := newHouse(t, server.Registration{}, func(c *server.Config) {
		c.Balance = func(_ context.Context, of x402.Address) (x402.Amount, error) {
			asked <- of
			return amount, failure
		}
	})
	b := h.signIn("ada@example.org")
	user, err := h.hosts.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	ada, err := h.hosts.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	b.shows("the page", b.get("/my-mcp/wallet"), 200, ada.PayTo.String(), "kept by this server", "Read it from the chain", `<svg class="qr"`)
	if len(asked) > 0 {
		t.Error("the page waited for the chain")
	}
	b.shows("the balance", b.get("/my-mcp/wallet/balance"), 200, "12.00 USDC")
	if of := <-asked; of != ada.PayTo {
		t.Errorf("the balance of %s was asked for", of)
	}
	b.shows("remembered", b.get("/my-mcp/wallet"), 200, "12.00 USDC")
	failure = errors.New("no")
	b.shows("unknown", b.get("/my-mcp/wallet?balance=now"), 200, "could not be asked just now")

	to := x402.Address{19: 9}
	if _, _, err := h.hosts.Register(t.Context(), host.Registration{Email: "bo@example.org", PayTo: to}); err != nil {
		t.Fatal(err)
	}
	c := h.signIn("bo@example.org")
	c.shows("a wallet elsewhere", c.get("/my-mcp/wallet"), 200, to.String(), "this server knows the address alone")
	c.to("nobody", newBrowser(t, h.base).get("/my-mcp/wallet/balance"), "/sign-in?next=%2Fmy-mcp%2Fwallet%2Fbalance")
}

// stream reads a page's updates.
type stream struct {
	resp  *http.Response
	lines chan string // closed at its end
}

func (b *browser) listen(ctx context.Context) *stream {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", b.base+"/my-mcp/updates", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	s := &stream{resp, make(chan string, 100)}
	go func() {
		defer close(s.lines)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	return s
}

// until waits for a line; "": for the end.
func (s *stream) until(want string) bool {
	for line := range s.lines {
		if line == want && want != "" {
			return true
		}
	}
	return want == ""
}

func TestUpdates(t *testing.T) {
	d := newDesk(t, server.Registration{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.web.Serve(ctx, listener, time.Minute) }()
	defer stop()
	base := "http://" + listener.Addr().String()
	user, token, err := d.hosts.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	in := func() *browser {
		b := newBrowser(t, base)
		b.to("in", b.post("/sign-in/token", "token", token), "/my-mcp")
		return b
	}
	first, second := in(), in()
	a, b := first.listen(t.Context()), second.listen(t.Context())
	if kind := a.resp.Header.Get("Content-Type"); a.resp.StatusCode != 200 || kind != "text/event-stream" || a.resp.Header.Get("Content-Encoding") != "" {
		t.Fatalf("%d %q", a.resp.StatusCode, kind)
	}
	ada, err := d.hosts.Host(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Tea", StartsAt: "2035-01-01T00:00:00Z"}); err != nil {
		t.Fatal(err)
	}
	if !a.until("event: changed") || !b.until("event: changed") {
		t.Fatal("nobody is told of the change")
	}
	first.to("out", first.post("/sign-out"), "/sign-in?done=out")
	if !a.until("") {
		t.Error("it goes on after the sign-out")
	}
	if resp := first.listen(t.Context()).resp; resp.StatusCode != http.StatusNoContent {
		t.Errorf("nobody's stream: %d", resp.StatusCode)
	}
	leaving, leave := context.WithCancel(t.Context())
	gone := second.listen(leaving)
	leave()
	for range gone.lines { // it is closed
	}

	// As many as may be, and one more.
	var all []*stream
	for range server.MaxStreams {
		s := second.listen(t.Context())
		if s.resp.StatusCode != http.StatusOK {
			s.resp.Body.Close()
			break
		}
		all = append(all, s)
	}
	if len(all) < server.MaxStreams-2 || len(all) >= server.MaxStreams { // b is one, and who has left may be one still
		t.Errorf("%d streams of one user", len(all))
	}
	stop()
	for _, s := range append(all, b) {
		if !s.until("") {
			t.Error("it goes on")
		}
	}
	if err := <-served; err != nil {
		t.Errorf("the server did not stop: %v", err)
	}
}

// The pages of a Host with a thousand events.
func BenchmarkOwnerPages(b *testing.B) {
	s := serveEvents(b)
	user := s.path[len("/mcp/users/"):]
	session, err := s.Hosts.NewSession(b.Context(), user)
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range []string{"/my-mcp", "/my-mcp/tokens", "/my-mcp/wallet", "/sign-in"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
				if path != "/sign-in" {
					r.AddCookie(&http.Cookie{Name: "concierge_session", Value: session})
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
