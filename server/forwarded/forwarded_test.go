package forwarded_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/forwarded"
)

func trusted(t testing.TB, all ...string) (blocks []netip.Prefix) {
	t.Helper()
	for _, s := range all {
		p, err := forwarded.ParseTrusted(s)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, p)
	}
	return blocks
}

// seen is what a handler behind p sees of a request.
func seen(p forwarded.Proxies, peer string, h http.Header) (from string, https, through, declared bool) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Header = peer, h
	p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		from, https = r.RemoteAddr, forwarded.HTTPS(r)
		through, declared = forwarded.Through(r)
	})).ServeHTTP(httptest.NewRecorder(), r)
	return from, https, through, declared
}

func TestClient(t *testing.T) {
	const proxy, stranger = "10.0.0.1:999", "198.51.100.7:999"
	for _, c := range []struct {
		name, peer string
		header     forwarded.Header
		lines      []string // name: value
		from       string
		https      bool
	}{
		{"no header", proxy, "", nil, proxy, false},
		{"one", proxy, "", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, "192.0.2.1:0", true},
		{"plain HTTP at the proxy", proxy, "", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http"}, "192.0.2.1:0", false},
		{"the scheme alone", proxy, "", []string{"X-Forwarded-Proto: https"}, proxy, true},
		{"a stranger is no proxy", stranger, "", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.1;proto=https"}, stranger, false},
		{"made up before it", proxy, "", []string{"X-Forwarded-For: 127.0.0.1, 203.0.113.9, 192.0.2.1"}, "192.0.2.1:0", false},
		{"made up on a line of its own", proxy, "", []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0", false},
		{"a chain of ours", proxy, "", []string{"X-Forwarded-For: 127.0.0.1, 192.0.2.1, 10.0.0.3, 10.0.0.2"}, "192.0.2.1:0", false},
		{"all are ours", proxy, "", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3:0", false},
		{"garbage beyond ours", proxy, "", []string{"X-Forwarded-For: 192.0.2.1, nobody, 10.0.0.2"}, "10.0.0.2:0", false},
		{"garbage", proxy, "", []string{"X-Forwarded-For: 192.0.2.1, <script>"}, proxy, false},
		{"nothing between commas", proxy, "", []string{"X-Forwarded-For: , ,192.0.2.1,, "}, "192.0.2.1:0", false},
		{"a port", proxy, "", []string{"X-Forwarded-For: 192.0.2.1:1234"}, "192.0.2.1:1234", false},
		{"IPv6", proxy, "", []string{"X-Forwarded-For: 2001:db8::1"}, "[2001:db8::1]:0", false},
		{"IPv6 in brackets", proxy, "", []string{"X-Forwarded-For: [2001:db8::1]"}, "[2001:db8::1]:0", false},
		{"IPv6 with a port", proxy, "", []string{"X-Forwarded-For: [2001:db8::1]:443"}, "[2001:db8::1]:443", false},
		{"IPv6 with a zone", proxy, "", []string{"X-Forwarded-For: fe80::1%eth0"}, "[fe80::1]:0", false},
		{"IPv4 as IPv6", proxy, "", []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, "192.0.2.1:0", false},
		{"IPv4 as IPv6 of ours", "[::ffff:10.0.0.1]:999", "", []string{"X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.2"}, "192.0.2.1:0", false},
		{"half a bracket", proxy, "", []string{"X-Forwarded-For: [2001:db8::1"}, proxy, false},
		{"nobody's address", proxy, "", []string{"X-Forwarded-For: 0.0.0.0"}, proxy, false},
		{"the last scheme is the nearest proxy's", proxy, "", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"}, "192.0.2.1:0", false},
		{"the header that was not asked for", proxy, "", []string{"Forwarded: for=192.0.2.1;proto=https"}, proxy, false},
		{"nor that one", proxy, forwarded.Forwarded, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, proxy, false},
		{"RFC 7239", proxy, forwarded.Forwarded, []string{`Forwarded: for=192.0.2.1;by=10.0.0.1;Proto=HTTPS;host="a,b;c"`}, "192.0.2.1:0", true},
		{"RFC 7239, IPv6", proxy, forwarded.Forwarded, []string{`Forwarded: For="[2001:db8::1]:4711"`}, "[2001:db8::1]:4711", false},
		{"RFC 7239, made up", proxy, forwarded.Forwarded, []string{`Forwarded: for=127.0.0.1;proto=https, for=192.0.2.1;proto=http`}, "192.0.2.1:0", false},
		{"RFC 7239, an open quote made up", proxy, forwarded.Forwarded, []string{`Forwarded: for="127.0.0.1, for=192.0.2.1`}, "192.0.2.1:0", false},
		{"RFC 7239, an escaped quote", proxy, forwarded.Forwarded, []string{`Forwarded: for=192.0.2.9, for=192.0.2.1;host="a\", for=127.0.0.1;\\"`}, "192.0.2.1:0", false},
		{"RFC 7239, hidden", proxy, forwarded.Forwarded, []string{`Forwarded: for=192.0.2.1, for=_hidden;proto=https`}, proxy, true},
		{"RFC 7239, unknown", proxy, forwarded.Forwarded, []string{`Forwarded: for=unknown`}, proxy, false},
		{"RFC 7239, two names", proxy, forwarded.Forwarded, []string{`Forwarded: for=192.0.2.1;for=192.0.2.2`}, proxy, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			for _, line := range c.lines {
				name, value, _ := strings.Cut(line, ": ")
				h.Add(name, value)
			}
			p := forwarded.Proxies{Trusted: trusted(t, "10.0.0.0/8"), Header: c.header}
			from, https, through, declared := seen(p, c.peer, h)
			if from != c.from || https != c.https {
				t.Errorf("from %s, https %v; want %s, %v", from, https, c.from, c.https)
			}
			if through != (len(c.lines) > 0) || declared != (through && c.peer != stranger) {
				t.Errorf("through a proxy: %v, declared: %v", through, declared)
			}
		})
	}
}

// Nobody has to read a list to its end that a client made long.
func TestEndlessList(t *testing.T) {
	p := forwarded.Proxies{Trusted: trusted(t, "10.0.0.0/8")}
	for _, list := range []string{strings.Repeat("10.0.0.2,", 7000), strings.Repeat("192.0.2.1,", 6000) + strings.Repeat("10.0.0.2,", 17)} {
		if from, _, _, _ := seen(p, "10.0.0.1:1", http.Header{"X-Forwarded-For": {list}}); from != "10.0.0.2:0" {
			t.Errorf("from %s", from)
		}
	}
}

func TestHTTPSWithoutProxy(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = nil
	if forwarded.HTTPS(r) {
		t.Error("HTTPS without TLS")
	}
	r.TLS = &tls.ConnectionState{}
	if !forwarded.HTTPS(r) {
		t.Error("no HTTPS with TLS")
	}
}

func TestParseTrusted(t *testing.T) {
	for in, want := range map[string]string{"10.1.2.3/8": "10.0.0.0/8", "192.0.2.1": "192.0.2.1/32", "::1": "::1/128", "fe80::1%eth0": "fe80::1/128",
		"::ffff:192.0.2.1": "192.0.2.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8"} {
		if got, err := forwarded.ParseTrusted(in); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "proxy.example.org", "10.0.0.0/33", "10.0.0.1:80", "::ffff:10.0.0.0/90"} {
		if got, err := forwarded.ParseTrusted(in); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
}

// Whatever a client writes before what the proxy appends changes nothing, and the same
// holds for headers from a stranger.
func FuzzHeaders(f *testing.F) {
	f.Add("127.0.0.1", "for=127.0.0.1", "https")
	f.Add(`"`, `for="`, ",")
	f.Add(`[::1]:80,\`, `for="\"[::1]\"";proto=https,`, "")
	f.Fuzz(func(t *testing.T, list, elements, scheme string) {
		h := http.Header{"X-Forwarded-For": {list}, "Forwarded": {elements}, "X-Forwarded-Proto": {scheme}}
		for _, header := range []forwarded.Header{forwarded.XForwardedFor, forwarded.Forwarded} {
			p := forwarded.Proxies{Trusted: trusted(t, "10.0.0.0/8"), Header: header}
			if from, https, _, declared := seen(p, "198.51.100.7:1", h); from != "198.51.100.7:1" || https || declared {
				t.Errorf("a stranger is %s, https %v", from, https)
			}
			if from, _, _, _ := seen(p, "10.0.0.1:1", h); !valid(from) {
				t.Errorf("from %q", from)
			}
			appended := http.Header{"X-Forwarded-For": {list + ", 192.0.2.1"}, "Forwarded": {elements + `, for="192.0.2.1:5";proto=http`}, "X-Forwarded-Proto": {"http"}}
			from, https, _, _ := seen(p, "10.0.0.1:1", appended)
			if a, err := netip.ParseAddrPort(from); err != nil || a.Addr().String() != "192.0.2.1" || https {
				t.Errorf("the client is %s, https %v", from, https)
			}
		}
	})
}

func valid(from string) bool {
	a, err := netip.ParseAddrPort(from)
	return err == nil && a.Addr().IsValid() && a.Addr().Zone() == ""
}
