// Package acmetest runs pebble, the ACME server that Let's Encrypt tests clients with, in
// a test: it looks every name up as 127.0.0.1, and validates at ports of the test's own.
package acmetest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Server is a running ACME server.
type Server struct {
	Directory string         // its URL
	Roots     *x509.CertPool // vouch for the server itself
	Issued    *x509.CertPool // vouch for what it issues
	RootsFile string         // Roots, as PEM
	Down      atomic.Bool    // it answers 503
	orders    atomic.Int64
}

// Orders returns how many times it was asked for a certificate, those included that it
// did not answer for a nonce that it did not like.
func (s *Server) Orders() int { return int(s.orders.Load()) }

// Start runs one until the test ends, which validates HTTP-01 and TLS-ALPN-01 at two
// ports of 127.0.0.1 and issues certificates for so long.
func Start(t *testing.T, httpPort, tlsPort int, valid time.Duration) *Server {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(valid / time.Second)}}) // #nosec G115 -- of a test
	validator := va.New(quiet, httpPort, tlsPort, true, resolve(t), store)
	front := wfe.New(quiet, store, validator, authority, []string{"pebble.example.org"}, true, false, 1, 1)
	s := &Server{Roots: x509.NewCertPool(), Issued: x509.NewCertPool()}
	handler := front.Handler()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Down.Load() {
			http.Error(w, "down for a while", http.StatusServiceUnavailable)
			return
		}
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/order-plz") {
			s.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	s.Directory = web.URL + wfe.DirectoryPath
	s.Roots.AddCert(web.Certificate())
	s.Issued.AppendCertsFromPEM(authority.GetRootCert(0).PEM())
	s.RootsFile = filepath.Join(t.TempDir(), "acme-roots.pem")
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.RootsFile, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// resolve runs a DNS server that knows every name, and returns where.
func resolve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(a) // to nobody, if who asked has gone
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}
