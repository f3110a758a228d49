package server_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/forwarded"
)

var onThisMachine = forwarded.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// passes counts how many of n requests from peer with an X-Forwarded-For are answered.
func passes(d *door, n int, peer, client string) (passed int) {
	for range n {
		r := httptest.NewRequest("GET", "http://127.0.0.1/mcp/info", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", client)
		w := httptest.NewRecorder()
		if d.ServeHTTP(w, r); w.Code == http.StatusOK {
			passed++
		}
	}
	return passed
}

// Behind a declared proxy each client has limits of its own, and none has this
// machine's freedom by saying that it is this machine.
func TestLimitsBehindProxy(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 8}, nil)
	c := d.Config
	c.Proxies = onThisMachine
	d.Server = server.New(c)
	d.SetHoldBack(0)
	const proxy = "127.0.0.1:999"
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "127.0.0.1, 192.0.2.3", "127.0.0.1", "[2001:db8::1]:80", "garbage"} {
		if n := passes(d, 12, proxy, client); n != 8 {
			if client == "garbage" && n == 0 { // the proxy itself, which 127.0.0.1 has been already
				continue
			}
			t.Errorf("%s: %d passed, want 8", client, n)
		}
	}
	if n := passes(d, 1, "198.51.100.1:1", "192.0.2.1"); n != 1 {
		t.Error("a stranger that says it is another was counted as that one")
	}
	if strings.Contains(d.log.String(), "--trusted-proxy") {
		t.Errorf("it is declared:\n%s", d.log.String())
	}
}

// Behind one that is not declared all are one client, not this machine, and the log says
// what to do, once.
func TestUndeclaredProxy(t *testing.T) {
	d := newDoor(t, server.Limits{IP: 8}, nil)
	if n := passes(d, 6, "127.0.0.1:999", "192.0.2.1") + passes(d, 6, "127.0.0.1:999", "192.0.2.2"); n != 8 {
		t.Errorf("%d passed", n)
	}
	if n := d.asks(20, loopback, "GET", "/mcp/info", "", ""); n != 20 {
		t.Errorf("%d passed straight from this machine", n)
	}
	if n := strings.Count(d.log.String(), "--trusted-proxy 127.0.0.1"); n != 1 {
		t.Errorf("told %d times:\n%s", n, d.log.String())
	}
	if passes(d, 1, "198.51.100.1:1", "192.0.2.1"); strings.Contains(d.log.String(), "proxy=198.51.100.1") {
		t.Errorf("a stranger's headers are told of:\n%s", d.log.String())
	}
}

// HSTS, the cookies and the URLs follow what the client's connection is, as far as the
// proxy is believed.
func TestSchemeBehindProxy(t *testing.T) {
	d := newDoor(t, server.Limits{}, nil)
	public, _ := url.Parse("https://events.example.org")
	for i, c := range []struct {
		name            string
		proxies         forwarded.Proxies
		public          *url.URL
		tls             bool
		proto           string
		hsts, encrypted bool // encrypted: URLs and cookies
	}{
		{name: "plain"},
		{name: "TLS here", tls: true, hsts: true, encrypted: true},
		{name: "TLS at a proxy", proxies: onThisMachine, proto: "https", hsts: true, encrypted: true},
		{name: "none at a proxy", proxies: onThisMachine, proto: "http"},
		{name: "anybody's word", proto: "https"},
		{name: "a public URL", public: public, encrypted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := d.Config
			config.Proxies, config.PublicURL, config.Registration = c.proxies, c.public, server.Registration{PlayMoney: true}
			s := server.New(config)
			r := httptest.NewRequest("POST", "/sign-in", strings.NewReader(fmt.Sprintf("email=ada%d@example.org", i)))
			r.RemoteAddr, r.Host, r.TLS = "127.0.0.1:999", "127.0.0.1:8402", nil
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if c.proto != "" {
				r.Header.Set("X-Forwarded-Proto", c.proto)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			cookie := w.Header().Get("Set-Cookie")
			if w.Code != http.StatusSeeOther || strings.HasPrefix(cookie, "__Secure-") != c.encrypted || strings.Contains(cookie, "; Secure") != c.encrypted {
				t.Errorf("%d, cookie %q", w.Code, cookie)
			}
			if got := w.Header().Get("Strict-Transport-Security"); (got == "max-age=31536000") != c.hsts || got != "" && !c.hsts {
				t.Errorf("HSTS %q", got)
			}
			again := r.Clone(r.Context())
			again.Method, again.URL, again.Body = "GET", &url.URL{Path: "/mcp/info"}, http.NoBody
			w = httptest.NewRecorder()
			s.ServeHTTP(w, again)
			if strings.Contains(w.Body.String(), `"https://`) != c.encrypted {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

// Every domain of the server is its name, also where it is reached at a loopback address.
func TestDomainsAreItsNames(t *testing.T) {
	w := newWorldOf(t, func(c *server.Config) { c.Domains = []string{"events.example.org", "agents.example.org"} })
	for name, status := range map[string]int{"events.example.org": 200, "AGENTS.example.org:8443": 200, "x.events.example.org": 403} {
		req, err := http.NewRequest("GET", w+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = name
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// newWorldOf serves a door's Hosts, and returns where.
func newWorldOf(t *testing.T, set func(*server.Config)) (base string) {
	d := newDoor(t, server.Limits{}, nil)
	c := d.Config
	set(&c)
	web := httptest.NewServer(server.New(c))
	t.Cleanup(web.Close)
	return web.URL
}
