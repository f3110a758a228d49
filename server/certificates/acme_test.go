package certificates_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/certificates"
	"github.com/events-concierge/concierge/server/certificates/acmetest"
	"github.com/events-concierge/concierge/server/testlog"
)

const domain = "events.example.org"

// site is a server for HTTPS and one for HTTP, whose certificates can be opened and
// closed while it goes on.
type site struct {
	t          *testing.T
	main, http net.Listener
	acme       *acmetest.Server
	dir        string
	log        lockedBuffer

	mu   sync.Mutex
	open *certificates.Managed
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "certificates")}
	s.main, s.http = s.listen(), s.listen()
	s.acme = acmetest.Start(t, port(s.http), port(s.main), 24*time.Hour)
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) })
	s.serve(tls.NewListener(s.main, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.now().TLS(), nil
	}}), hello)
	s.serve(s.http, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := s.now(); m == nil || !m.Challenge(w, r) {
			http.NotFound(w, r)
		}
	}))
	return s
}

func (s *site) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func (s *site) serve(l net.Listener, h http.Handler) {
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}}
	web.Start()
	s.t.Cleanup(web.Close)
}

func (s *site) now() *certificates.Managed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// with opens the certificates, and returns how they are closed.
func (s *site) with(set func(*certificates.Options)) (m *certificates.Managed, stop func()) {
	o := certificates.Options{Domains: []string{domain}, Dir: s.dir, Directory: s.acme.Directory, Email: "ada@example.org", Roots: s.acme.Roots, Host: "127.0.0.1",
		HTTPPort: port(s.http), TLSPort: port(s.main), Log: testlog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Retry: func(int) time.Duration { return 10 * time.Millisecond }}
	if set != nil {
		set(&o)
	}
	m, err := certificates.Open(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.open = m
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	return m, sync.OnceFunc(func() { cancel(); <-done; m.Close() })
}

// shown returns the certificate that a client is shown and trusts, or nil.
func (s *site) shown(name string) *x509.Certificate {
	c, err := tls.Dial("tcp", s.main.Addr().String(), &tls.Config{ServerName: name, RootCAs: s.acme.Issued})
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// until waits for something to be so.
func (s *site) until(what string, so func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !so(); <-tick.C {
		if time.Now().After(end) {
			s.t.Fatalf("%s: not within a minute\n%s", what, s.log.String())
		}
	}
}

// A certificate is obtained by either challenge, kept for this user alone, and used
// again after a restart, without the ACME server.
func TestObtain(t *testing.T) {
	for name, set := range map[string]func(*certificates.Options){
		"any challenge": nil,
		"TLS-ALPN-01":   func(o *certificates.Options) { o.HTTPPort = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			m, stop := s.with(set)
			defer stop()
			s.until("a certificate", func() bool { return m.Ready(t.Context()) == nil })
			first := s.shown(domain)
			if first == nil || s.shown("other.example.org") != nil {
				t.Fatalf("shown %v", first)
			}
			if all := m.All(); len(all) != 1 || all[0].Domain != domain || !all[0].NotAfter.Equal(first.NotAfter) || all[0].Err != nil {
				t.Errorf("%+v", all)
			}
			s.isPrivate()
			stop()

			s.acme.Down.Store(true)
			before := s.acme.Orders()
			m, stop = s.with(set)
			defer stop()
			s.until("the certificate again", func() bool { return m.Ready(t.Context()) == nil })
			if again := s.shown(domain); again == nil || again.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Errorf("after a restart: %v", again)
			}
			stop()
			if s.acme.Orders() != before || before == 0 {
				t.Errorf("%d certificates were ordered, %d of them at the start", s.acme.Orders(), before)
			}
			if log := s.log.String(); strings.Contains(log, "ada@") || strings.Contains(log, "PRIVATE") || !strings.Contains(log, "there is a new certificate") {
				t.Errorf("%s", log)
			}
		})
	}
}

func (s *site) isPrivate() {
	s.t.Helper()
	_ = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		info, err2 := d.Info()
		if err != nil || err2 != nil || info.Mode().Perm()&0o077 != 0 {
			s.t.Errorf("%s: %v, %v, %v", path, info.Mode(), err, err2)
		}
		return nil
	})
}

// HTTP-01 alone, for an ACME server that can't reach the port of HTTPS.
func TestObtainByHTTP(t *testing.T) {
	s := newSite(t)
	elsewhere := s.listen()
	elsewhere.Close()
	s.acme = acmetest.Start(t, port(s.http), port(elsewhere), 24*time.Hour)
	m, stop := s.with(nil)
	defer stop()
	s.until("a certificate", func() bool { return m.Ready(t.Context()) == nil && s.shown(domain) != nil })
}

// A certificate is renewed while it is used, and nobody ever sees none.
func TestRenew(t *testing.T) {
	s := newSite(t)
	m, stop := s.with(func(o *certificates.Options) {
		o.RenewRatio, o.CheckEvery, o.IgnoreSuggestions = 1-1e-9, 50*time.Millisecond, true
	})
	defer stop()
	s.until("a certificate", func() bool { return m.Ready(t.Context()) == nil })
	first := s.shown(domain)
	s.until("another", func() bool {
		now := s.shown(domain)
		if now == nil {
			t.Fatal("there was none in between")
		}
		return now.SerialNumber.Cmp(first.SerialNumber) != 0
	})
}

// The ACME server is down when the server starts: it says so, and goes on trying.
func TestACMEServerIsDown(t *testing.T) {
	s := newSite(t)
	s.acme.Down.Store(true)
	m, stop := s.with(nil)
	defer stop()
	s.until("why", func() bool { return m.All()[0].Err != nil })
	if err := m.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no certificate for "+domain) || !strings.Contains(err.Error(), "503") {
		t.Errorf("%v", err)
	}
	if s.shown(domain) != nil {
		t.Error("there is one")
	}
	s.acme.Down.Store(false)
	s.until("a certificate", func() bool { return m.Ready(t.Context()) == nil && s.shown(domain) != nil })
	if m.All()[0].Err != nil {
		t.Errorf("%v", m.All())
	}
	if !strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("%s", s.log.String())
	}
}

func TestDomain(t *testing.T) {
	for in, want := range map[string]string{"Events.Example.ORG": "events.example.org", "events.example.org.": "events.example.org", "bücher.example.org": "xn--bcher-kva.example.org"} {
		if got, err := certificates.Domain(in, true); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "*.example.org", "192.0.2.1", "[::1]", "events.example.org:443", "https://events.example.org", "a b.example.org", "localhost", "events.local"} {
		if got, err := certificates.Domain(in, true); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
	if got, err := certificates.Domain("events.internal", false); err != nil || got != "events.internal" {
		t.Errorf("for a CA of one's own: %s, %v", got, err)
	}
}
