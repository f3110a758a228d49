package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// browser is one that follows no redirects by itself, and keeps cookies.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is an answer as a browser gets it.
type page struct {
	status   int
	location string
	body     string // from <main> on
	header   http.Header
}

func (b *browser) do(method, path string, form url.Values, header ...string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.base)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.Header.Set("Accept", "text/html")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	_, main, found := strings.Cut(string(body), "<main")
	if !found {
		main = string(body)
	}
	return page{resp.StatusCode, resp.Header.Get("Location"), main, resp.Header}
}

func (b *browser) get(path string) page { b.t.Helper(); return b.do("GET", path, nil) }

func (b *browser) post(path string, fields ...string) page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", path, form)
}

// to checks that an answer sends the browser somewhere else.
func (b *browser) to(what string, p page, location string) {
	b.t.Helper()
	if p.status != http.StatusSeeOther || p.location != location {
		b.t.Errorf("%s: %d to %q, want %q\n%.300s", what, p.status, p.location, location, p.body)
	}
}

// shows checks that an answer is a page with these words.
func (b *browser) shows(what string, p page, status int, words ...string) {
	b.t.Helper()
	if p.status != status {
		b.t.Errorf("%s: %d, want %d\n%.300s", what, p.status, status, p.body)
	}
	for _, w := range words {
		if !strings.Contains(p.body, w) {
			b.t.Errorf("%s: %q is not on the page:\n%s", what, w, p.body)
		}
	}
}

// cookies are those that the browser has for a path, by name.
func (b *browser) cookies(path string) map[string]string {
	u, _ := url.Parse(b.base + path)
	all := map[string]string{}
	for _, c := range b.http.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// house is a desk over real HTTP, with a mailbox.
type house struct {
	*desk
	mail *mailbox
	base string
}

func newHouse(t *testing.T, r server.Registration, change ...func(*server.Config)) *house {
	t.Helper()
	mail := &mailbox{code: map[string]string{}}
	if !r.PlayMoney {
		r.Mail = mail
	}
	h := &house{desk: newDesk(t, r, change...), mail: mail}
	web := httptest.NewServer(h.web)
	t.Cleanup(web.Close)
	h.base = web.URL
	return h
}

// signIn signs a new browser in by a code.
func (h *house) signIn(email string) *browser {
	h.Helper()
	b := newBrowser(h.T, h.base)
	b.to("the email", b.post("/sign-in", "email", email), "/sign-in/code")
	h.mail.mu.Lock()
	code := h.mail.code[email]
	h.mail.mu.Unlock()
	if p := b.post("/sign-in/code", "code", code); p.status != http.StatusOK && p.status != http.StatusSeeOther {
		h.Fatalf("signing in: %d\n%s", p.status, p.body)
	}
	return b
}

var ownerToken = regexp.MustCompile(`ec_[A-Za-z0-9_-]{43}`)

func TestSignInByCode(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := newBrowser(t, h.base)
	b.to("nobody", b.get("/my-mcp"), "/sign-in")
	b.to("nobody, from deeper", b.get("/my-mcp/tokens"), "/sign-in?next=%2Fmy-mcp%2Ftokens")
	b.shows("the form", b.get("/sign-in?next=%2Fmy-mcp%2Ftokens"), 200, `value="/my-mcp/tokens"`, "Send me a code")
	b.to("a code without an email", b.get("/sign-in/code"), "/sign-in")
	b.to("a code without an email", b.post("/sign-in/code", "code", "ABCDEFGH"), "/sign-in")
	b.shows("no email", b.post("/sign-in", "email", "ada"), 400, "not an email address")

	b.to("the email", b.post("/sign-in", "email", " Ada@Example.org ", "next", "/my-mcp/tokens"), "/sign-in/code")
	p := b.get("/sign-in/code")
	code := h.mail.code["Ada@Example.org"]
	b.shows("the code's form", p, 200, "Ada@Example.org")
	if code == "" || strings.Contains(p.body, code) || strings.Contains(h.log.String(), code) {
		t.Errorf("the code %q is shown, or was not sent", code)
	}
	b.shows("a wrong code", b.post("/sign-in/code", "code", "AAAAAAAA"), 403, "The code is wrong")
	p = b.post("/sign-in/code", "code", " "+strings.ToLower(code[:4])+"-"+code[4:])
	b.shows("welcome", p, 200, "/mcp/users/", `href="/my-mcp/tokens"`)
	token := ownerToken.FindString(p.body)
	if token == "" || p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("no token, or one that is kept: %q", p.header.Get("Cache-Control"))
	}
	set := strings.Join(p.header.Values("Set-Cookie"), "\n")
	for _, want := range []string{"concierge_session=", "HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=2592000"} {
		if !strings.Contains(set, want) {
			t.Errorf("%s is not in %s", want, set)
		}
	}
	b.shows("signed in", b.get("/my-mcp"), 200, "Your host")
	b.to("signed in already", b.get("/sign-in"), "/my-mcp")
	b.shows("the code once more", newBrowser(t, h.base).post("/sign-in/code", "code", code), 303)

	// Who is there already is shown no token, and nobody else gets to know.
	again := newBrowser(t, h.base)
	again.to("the email again", again.post("/sign-in", "email", "ada@example.org", "next", "https://evil.example.org/"), "/sign-in/code")
	again.to("the code", again.post("/sign-in/code", "code", h.mail.code["ada@example.org"]), "/my-mcp")
	user, err := h.hosts.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if scope, err := h.hosts.Scope(t.Context(), user, token); scope != store.ScopeOwner || err != nil {
		t.Errorf("the token has scope %q, %v", scope, err)
	}
}

// Each attempt makes a new session, and ends the one before.
func TestSessionIsNotFixed(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	first := b.cookies("/")["concierge_session"]
	token := "ec_wrong"
	b.shows("a wrong token", b.post("/sign-in/token", "token", token), 403, "not an owner token")
	user, err := h.hosts.UserID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if token, err = h.hosts.AddToken(t.Context(), user, "laptop", store.ScopeOwner); err != nil {
		t.Fatal(err)
	}
	b.to("with a token", b.post("/sign-in/token", "token", token, "next", "/my-mcp/wallet"), "/my-mcp/wallet")
	second := b.cookies("/")["concierge_session"]
	if first == "" || second == "" || first == second {
		t.Errorf("sessions %q and %q", first, second)
	}
	if _, err := h.hosts.Session(t.Context(), first); err == nil {
		t.Error("the session before goes on")
	}
	if err := h.hosts.Server.RevokeToken(t.Context(), user, "laptop"); err == nil {
		p := b.get("/my-mcp")
		b.to("its token is gone", p, "/sign-in")
		if set := p.header.Get("Set-Cookie"); !strings.Contains(set, "concierge_session=;") || !strings.Contains(set, "Max-Age=0") {
			t.Errorf("the cookie stays: %q", set)
		}
	} else {
		t.Fatal(err)
	}
	// What somebody made up is not taken over.
	jar := newBrowser(t, h.base)
	u, _ := url.Parse(h.base)
	jar.http.Jar.SetCookies(u, []*http.Cookie{{Name: "concierge_session", Value: strings.Repeat("A", 43), Path: "/"}})
	jar.to("made up", jar.get("/my-mcp"), "/sign-in")
	if n := len(jar.cookies("/")); n != 0 {
		t.Errorf("%d cookies", n)
	}
}

func TestSignOut(t *testing.T) {
	h := newHouse(t, server.Registration{})
	here, there, other := h.signIn("ada@example.org"), h.signIn("ada@example.org"), h.signIn("bo@example.org")
	here.to("out", here.post("/sign-out"), "/sign-in?done=out")
	here.shows("out", here.get("/sign-in?done=out"), 200, "You are signed out")
	here.to("out", here.get("/my-mcp"), "/sign-in")
	there.shows("in", there.get("/my-mcp"), 200)
	here = h.signIn("ada@example.org")
	there.to("everywhere", there.post("/sign-out", "everywhere", "1"), "/sign-in?done=out")
	here.to("everywhere", here.get("/my-mcp"), "/sign-in")
	other.shows("somebody else", other.get("/my-mcp"), 200)
	other.to("out twice", other.post("/sign-out"), "/sign-in?done=out")
	other.to("out twice", other.post("/sign-out"), "/sign-in?done=out")
}

// Pages of other sites can neither sign anybody in nor out, nor do anything else.
func TestOtherSites(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	for _, path := range []string{"/sign-in", "/sign-in/code", "/sign-in/token", "/sign-out", "/my-mcp/tokens", "/my-mcp/tokens/owner/rotate", "/my-mcp/tokens/owner/revoke", "/my-mcp/test"} {
		for _, from := range [][]string{{"Origin", "https://evil.example.org", "Sec-Fetch-Site", "cross-site"}, {"Origin", "null", "Sec-Fetch-Site", ""}, {"Sec-Fetch-Site", "same-site"}} {
			b.shows(path, b.do("POST", path, url.Values{"name": {"x"}, "scope": {"owner"}}, from...), 403, "from a page of another site")
		}
	}
	b.shows("still signed in", b.get("/my-mcp"), 200)
	if p := b.get("/api/users"); p.status == 200 {
		t.Error("the cookie opens the API")
	}
	user, _ := h.hosts.UserID("ada@example.org")
	if p := b.get("/api/users/" + user + "/tokens"); p.status != 401 {
		t.Errorf("the cookie opens the API: %d", p.status)
	}
}

func TestWhoMayRegisterBySigningIn(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		h := newHouse(t, server.Registration{Closed: true})
		b := newBrowser(t, h.base)
		b.to("a stranger", b.post("/sign-in", "email", "ada@example.org"), "/sign-in/code") // as for anybody
		b.shows("a stranger", b.post("/sign-in/code", "code", h.mail.code["ada@example.org"]), 403, "nobody new can register")
		if _, _, err := h.hosts.Register(t.Context(), host.Registration{Email: "bo@example.org"}); err != nil {
			t.Fatal(err)
		}
		h.signIn("bo@example.org")
	})
	t.Run("invited", func(t *testing.T) {
		h := newHouse(t, server.Registration{Invited: true})
		b := newBrowser(t, h.base)
		b.shows("the form", b.get("/sign-in"), 200, "Invitation")
		b.shows("a wrong invitation", b.post("/sign-in", "email", "ada@example.org", "invite", "inv_wrong"), 403, "Ask for another")
		b.to("none", b.post("/sign-in", "email", "ada@example.org"), "/sign-in/code")
		b.shows("none", b.post("/sign-in/code", "code", h.mail.code["ada@example.org"]), 403, "wants an invitation")
		invite, err := h.hosts.Invite(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		b.to("one", b.post("/sign-in", "email", "ada@example.org", "invite", " "+invite), "/sign-in/code")
		b.shows("one", b.post("/sign-in/code", "code", h.mail.code["ada@example.org"]), 200, "Welcome")
		h.signIn("ada@example.org") // needs none
		c := newBrowser(t, h.base)
		c.shows("used", c.post("/sign-in", "email", "bo@example.org", "invite", invite), 403, "Ask for another")
	})
	t.Run("no mail", func(t *testing.T) {
		d := newDesk(t, server.Registration{})
		web := httptest.NewServer(d.web)
		defer web.Close()
		b := newBrowser(t, web.URL)
		p := b.get("/sign-in")
		b.shows("the form", p, 200, "sends no mail", "Owner token")
		if strings.Contains(p.body, "Send me a code") {
			t.Error("a code is offered")
		}
		b.shows("a code all the same", b.post("/sign-in", "email", "ada@example.org"), 403, "sends no mail")
		_, token, err := d.hosts.Register(t.Context(), host.Registration{Email: "ada@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		b.to("a token", b.post("/sign-in/token", "token", token), "/my-mcp")
	})
}

// With play money the code is shown to a browser on the server's machine, and to no
// other.
func TestCodeIsShownHere(t *testing.T) {
	h := newHouse(t, server.Registration{PlayMoney: true})
	b := newBrowser(t, h.base)
	b.to("the email", b.post("/sign-in", "email", "ada@example.org"), "/sign-in/code")
	shown := regexp.MustCompile(`id="shown-code">([A-Z2-7]{8})<`).FindStringSubmatch(b.get("/sign-in/code").body)
	if shown == nil || !strings.Contains(h.log.String(), "verification="+shown[1]) {
		t.Fatalf("%q", shown)
	}
	b.shows("welcome", b.post("/sign-in/code", "code", shown[1]), 200, "Welcome")

	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		far := newBrowser(t, h.base)
		far.do("POST", "/sign-in", url.Values{"email": {"bo@example.org"}}, header, "203.0.113.7")
		if p := far.get("/sign-in/code"); strings.Contains(p.body, "shown-code") || !strings.Contains(p.body, "in the log") {
			t.Errorf("through a proxy: %s", p.body)
		}
	}
	public, _ := url.Parse("https://events.example.org")
	proxied := newHouse(t, server.Registration{PlayMoney: true}, func(c *server.Config) { c.PublicURL = public })
	far := newBrowser(t, proxied.base)
	p := far.post("/sign-in", "email", "bo@example.org")
	far.to("behind TLS", p, "/sign-in/code")
	set := p.header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "__Secure-concierge_sign_in=") || !strings.Contains(set, "Secure") {
		t.Errorf("cookie %q", set)
	}
	code := regexp.MustCompile(`verification=([A-Z2-7]{8})`).FindStringSubmatch(proxied.log.String())
	p = far.do("POST", "/sign-in/code", url.Values{"code": {code[1]}}, "Cookie", strings.SplitN(set, ";", 2)[0])
	if set := strings.Join(p.header.Values("Set-Cookie"), "\n"); !strings.Contains(set, "__Host-concierge_session=") || !strings.Contains(set, "Secure") {
		t.Errorf("cookie %q", set)
	}
}

// Where the sign-in leads back to is one of the owner's pages, whatever was asked.
func TestNext(t *testing.T) {
	h := newHouse(t, server.Registration{})
	_, token, err := h.hosts.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for next, want := range map[string]string{
		"/my-mcp/wallet": "/my-mcp/wallet", "/my-mcp/events/evt_1/edit": "/my-mcp/events/evt_1/edit", "/my-mcp/check-in?rsvp=a%26b": "/my-mcp/check-in?rsvp=a%26b",
		"": "/my-mcp", "https://evil.example.org/my-mcp": "/my-mcp", "//evil.example.org/my-mcp": "/my-mcp", `/\evil.example.org`: "/my-mcp",
		"/my-mcp/../sign-out": "/my-mcp", "/my-mcpevil": "/my-mcp", "javascript:alert(1)": "/my-mcp", "/my-mcp\r\nSet-Cookie: a=b": "/my-mcp",
		"/my-mcp/%2e%2e/x": "/my-mcp", "/my-mcp#x": "/my-mcp", "/my-mcp/" + strings.Repeat("a", 600): "/my-mcp", "/agent": "/my-mcp", "my-mcp": "/my-mcp",
	} {
		b := newBrowser(t, h.base)
		b.to(next, b.post("/sign-in/token", "token", token, "next", next), want)
	}
}

// What is wrong is not tried for ever, and not by many at once.
func TestCodesAreNotGuessed(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := newBrowser(t, h.base)
	b.to("the email", b.post("/sign-in", "email", "ada@example.org"), "/sign-in/code")
	for range store.CodeTries {
		b.shows("wrong", b.post("/sign-in/code", "code", "AAAAAAAA"), 403)
	}
	b.shows("right, too late", b.post("/sign-in/code", "code", h.mail.code["ada@example.org"]), 403, "tried too often")
	for range store.CodesAnHour - 1 {
		b.to("another code", b.post("/sign-in", "email", "ada@example.org"), "/sign-in/code")
	}
	b.shows("one too many", b.post("/sign-in", "email", "ada@example.org"), 429, "Too many codes were sent")
}
