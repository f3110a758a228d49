package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/certificates"
	"github.com/events-concierge/concierge/server/certificates/acmetest"
)

func TestTLSFlags(t *testing.T) {
	good := tlsFlags{domains: []string{"Events.example.org", "b.example.org", "a.example.org", "b.example.org"}, agree: true, directory: certificates.LetsEncrypt}
	if err := good.valid(); err != nil || strings.Join(good.domains, " ") != "events.example.org a.example.org b.example.org" {
		t.Errorf("%v, %v", good.domains, err)
	}
	if u, err := good.public(nil); err != nil || u.String() != "https://events.example.org" {
		t.Errorf("%v, %v", u, err)
	}
	if _, err := good.public(&url.URL{Scheme: "http", Host: "events.example.org"}); err == nil {
		t.Error("a public URL without TLS")
	}
	for name, c := range map[string]struct {
		flags tlsFlags
		says  string
	}{
		"no agreement":      {tlsFlags{domains: []string{"events.example.org"}, directory: certificates.LetsEncrypt}, "--acme-agree"},
		"no public name":    {tlsFlags{domains: []string{"localhost"}, agree: true, directory: certificates.LetsEncrypt}, "no public network"},
		"wildcard":          {tlsFlags{domains: []string{"*.example.org"}, agree: true, directory: certificates.LetsEncrypt}, "many names"},
		"directory":         {tlsFlags{domains: []string{"events.example.org"}, agree: true, directory: "http://acme.example.org"}, "--acme-directory"},
		"half a pair":       {tlsFlags{cert: "cert.pem"}, "--tls-key"},
		"two ways":          {tlsFlags{cert: "cert.pem", key: "key.pem", domains: []string{"events.example.org"}}, "one of them"},
		"nothing to secure": {tlsFlags{httpAddr: ":80"}, "--domain"},
	} {
		if err := c.flags.valid(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		flags          tlsFlags
		addr           string
		main, redirect string
	}{
		{tlsFlags{}, "", plainAddr, ""},
		{tlsFlags{domains: []string{"a"}}, "", ":443", ":80"},
		{tlsFlags{domains: []string{"a"}, httpAddr: "off"}, ":8443", ":8443", ""},
		{tlsFlags{cert: "c"}, "", ":443", ""},
		{tlsFlags{cert: "c", httpAddr: ":8080"}, "", ":443", ":8080"},
	} {
		if main, redirect := c.flags.addrs(c.addr); main != c.main || redirect != c.redirect {
			t.Errorf("%+v: %s, %s", c.flags, main, redirect)
		}
	}
}

// freePort is one at which nobody listens now.
func freePort(t *testing.T) (addr string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

// serve --domain, with pebble for Let's Encrypt: it starts without the ACME server and
// says what is missing, obtains a certificate, and redirects to it.
func TestServeDomain(t *testing.T) {
	const domain = "events.example.org"
	mainAddr, mainPort := freePort(t)
	httpAddr, httpPort := freePort(t)
	acme := acmetest.Start(t, httpPort, mainPort, 24*time.Hour)
	args := []string{"serve", "--data", t.TempDir(), "--addr", mainAddr, "--http-addr", httpAddr, "--domain", domain, "--domain", "agents.example.org",
		"--acme-directory", acme.Directory, "--acme-ca", acme.RootsFile, "--acme-agree", "--acme-email", "ada@example.org"}
	get := func(roots *x509.CertPool, url string) (*http.Response, string, error) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				to := mainAddr
				if strings.HasSuffix(addr, ":80") {
					to = httpAddr
				}
				return (&net.Dialer{}).DialContext(ctx, network, to)
			}}}
		resp, err := client.Get(url)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}

	acme.Down.Store(true)
	p := start(t, args...)
	if resp, body, err := get(nil, "http://127.0.0.1:80/readyz"); err != nil || resp.StatusCode != 503 || !strings.Contains(body, "no_certificate") {
		t.Errorf("no certificate: %v, %v, %s", resp, err, body)
	}
	if _, _, err := get(acme.Issued, "https://"+domain+"/healthz"); err == nil {
		t.Error("HTTPS without a certificate")
	}
	p.stop()

	acme.Down.Store(false)
	p = start(t, args...)
	if !strings.HasPrefix(p.url, "https://") {
		t.Errorf("it listens on %s", p.url)
	}
	waitFor(t, "certificates", func() bool {
		_, _, err := get(acme.Issued, "https://"+domain+"/healthz")
		_, _, err2 := get(acme.Issued, "https://agents.example.org/healthz")
		return err == nil && err2 == nil
	})
	resp, body, err := get(acme.Issued, "https://"+domain+"/mcp/info")
	if err != nil || resp.ProtoMajor != 2 || !strings.Contains(body, `"https://`+domain+`/mcp`) || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("over HTTPS: %v, %v, %s", resp, err, body)
	}
	for url, want := range map[string]string{
		"http://" + domain + "/mcp/info?a=%2F&b": "https://" + domain + "/mcp/info?a=%2F&b",
		"http://Agents.Example.org/a%2Fb//c":     "https://agents.example.org/a%2Fb//c",
		"http://" + domain + "//evil.example/":   "https://" + domain + "//evil.example/",
		"http://evil.example/mcp/info":           "",
		"http://127.0.0.1/mcp/info":              "",
		"http://" + domain + "/readyz":           "https://" + domain + "/readyz",
	} {
		resp, body, err := get(nil, url)
		switch {
		case err != nil:
			t.Errorf("%s: %v", url, err)
		case want == "" && resp.StatusCode != 421, want != "" && resp.StatusCode != 308, resp.Header.Get("Location") != want,
			resp.Header.Get("Strict-Transport-Security") != "":
			t.Errorf("%s: %s, %v, %s", url, resp.Status, resp.Header, body)
		}
	}
	waitFor(t, "/readyz, which looks every 2 s at most", func() bool {
		resp, _, err := get(nil, "http://localhost:80/readyz")
		return err == nil && resp.StatusCode == http.StatusOK
	})
	if code := p.stop(); code != 0 || strings.Contains(p.stderr.String(), "ada@") {
		t.Errorf("code %d:\n%s", code, p.stderr)
	}
}

// waitFor waits for something to be so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
