package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/certificates"
	"github.com/events-concierge/concierge/server/metrics"
)

// Where serve listens unless it is told.
const (
	plainAddr    = "127.0.0.1:8402"
	tlsAddr      = ":443"
	redirectAddr = ":80"
)

// certificatesDir is the directory of certificates in a data directory.
const certificatesDir = "certificates"

// lookAtFiles is the pause between two looks at --tls-cert and --tls-key.
const lookAtFiles = 30 * time.Second

// tlsFlags are about the certificates of a server that speaks TLS itself.
type tlsFlags struct {
	domains              []string
	httpAddr             string
	cert, key            string
	email, directory, ca string
	agree                bool
}

func (t *tlsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&t.domains, "domain", nil, "a domain to be served over HTTPS, with a certificate that is obtained and renewed by ACME; repeat it or separate by commas")
	cmd.Flags().StringVar(&t.httpAddr, "http-addr", "", "with TLS, the address at which plain HTTP is redirected to HTTPS, or off (default :80 with --domain, else off)")
	cmd.Flags().StringVar(&t.directory, "acme-directory", certificates.LetsEncrypt, "the directory of the ACME server")
	cmd.Flags().StringVar(&t.ca, "acme-ca", "", "a PEM file with the root certificate of an ACME server of one's own")
	cmd.Flags().StringVar(&t.email, "acme-email", "", "where the ACME server may write to when something is wrong with a certificate")
	cmd.Flags().BoolVar(&t.agree, "acme-agree", false, "you agree to the terms of the ACME server; Let's Encrypt's are at https://letsencrypt.org/repository/")
	cmd.Flags().StringVar(&t.cert, "tls-cert", "", "a PEM file with a certificate and its chain, in place of ACME; it is read again when it changes")
	cmd.Flags().StringVar(&t.key, "tls-key", "", "a PEM file with its key")
}

// on reports whether the server speaks TLS.
func (t *tlsFlags) on() bool { return len(t.domains) > 0 || t.cert != "" }

// valid checks the flags, and makes the domains what browsers call them.
func (t *tlsFlags) valid() error {
	switch {
	case (t.cert == "") != (t.key == ""):
		return misuse("--tls-cert and --tls-key: want both, or neither")
	case t.cert != "" && len(t.domains) > 0:
		return misuse("--tls-cert and --domain: want one of them; --domain obtains a certificate itself")
	case t.httpAddr != "" && t.httpAddr != "off" && !t.on():
		return misuse("--http-addr %s: there is no HTTPS to redirect to; want --domain, or --tls-cert and --tls-key", t.httpAddr)
	case len(t.domains) == 0:
		return nil
	case !t.agree:
		return misuse("--domain: say with --acme-agree that you agree to the terms of the ACME server (Let's Encrypt's are at https://letsencrypt.org/repository/)")
	}
	if u, err := url.Parse(t.directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return misuse("--acme-directory %q: want the URL of an ACME directory, such as %s", t.directory, certificates.LetsEncrypt)
	}
	for i, d := range t.domains {
		name, err := certificates.Domain(d, t.directory == certificates.LetsEncrypt)
		if err != nil {
			return misuse("--domain: %v", err)
		}
		t.domains[i] = name
	}
	slices.Sort(t.domains[1:]) // the first is the one that is shown
	t.domains = slices.Compact(t.domains)
	return nil
}

// addrs returns where to listen; no redirect means nowhere.
func (t *tlsFlags) addrs(addr string) (main, redirect string) {
	if !t.on() {
		return cmp.Or(addr, plainAddr), ""
	}
	if len(t.domains) > 0 {
		redirect = redirectAddr
	}
	if redirect = cmp.Or(t.httpAddr, redirect); redirect == "off" {
		redirect = ""
	}
	return cmp.Or(addr, tlsAddr), redirect
}

// public returns the URL under which a server is reached that has been told no other.
func (t *tlsFlags) public(told *url.URL) (*url.URL, error) {
	switch {
	case told != nil && told.Scheme != "https" && t.on():
		return nil, misuse("--public-url %s: the server speaks TLS, so it begins with https://", told)
	case told == nil && len(t.domains) > 0:
		return &url.URL{Scheme: "https", Host: t.domains[0]}, nil
	}
	return told, nil
}

// secured is what makes a server speak TLS. Nil: it does not.
type secured struct {
	config    *tls.Config
	domains   []string
	challenge func(http.ResponseWriter, *http.Request) bool
	all       func() []certificates.Certificate
	ready     func(context.Context) error // nil if all are valid
	reload    func() error                // of the files; nil: there are none
	run       func(context.Context)
	close     func()
}

// open opens the certificates for listeners, with those of ACME in a data directory.
func (t *tlsFlags) open(data string, at *listeners, log *slog.Logger) (*secured, error) {
	switch {
	case t.cert != "":
		return t.openFiles(log)
	case len(t.domains) > 0:
		return t.openManaged(data, at, log)
	}
	return nil, nil
}

func (t *tlsFlags) openFiles(log *slog.Logger) (*secured, error) {
	files, err := certificates.OpenFiles(t.cert, t.key, log)
	if err != nil {
		return nil, err
	}
	s := &secured{config: files.TLS(), all: files.All, ready: files.Ready, reload: files.Reload, close: func() {},
		run: func(ctx context.Context) { files.Run(ctx, lookAtFiles) }}
	for _, c := range files.All() {
		if !strings.Contains(c.Domain, "*") {
			s.domains = append(s.domains, c.Domain)
		}
	}
	return s, nil
}

// options are those of ACME, in a data directory.
func (t *tlsFlags) options(data string) (certificates.Options, error) {
	o := certificates.Options{Domains: t.domains, Dir: filepath.Join(data, certificatesDir), Directory: t.directory, Email: t.email}
	if t.ca == "" {
		return o, nil
	}
	pem, err := os.ReadFile(t.ca)
	if err != nil {
		return o, fmt.Errorf("--acme-ca: %w", err)
	}
	if o.Roots = x509.NewCertPool(); !o.Roots.AppendCertsFromPEM(pem) {
		return o, misuse("--acme-ca %s: there is no certificate in PEM in it", t.ca)
	}
	return o, nil
}

func (t *tlsFlags) openManaged(data string, at *listeners, log *slog.Logger) (*secured, error) {
	o, err := t.options(data)
	if err != nil {
		return nil, err
	}
	o.Log = log
	o.Host, o.TLSPort = hostPort(at.main)
	if at.http != nil {
		var host string
		host, o.HTTPPort = hostPort(at.http)
		o.Host = cmp.Or(o.Host, host)
	}
	m, err := certificates.Open(o)
	if err != nil {
		return nil, err
	}
	return &secured{config: m.TLS(), domains: t.domains, challenge: m.Challenge, all: m.All, ready: m.Ready, run: m.Run, close: m.Close}, nil
}

// hostPort is where a listener listens; no host means everywhere.
func hostPort(l net.Listener) (host string, port int) {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	if !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	return host, a.Port
}

// configure tells a server to be of its names, and when it is ready.
func (s *secured) configure(c *server.Config) {
	if s == nil {
		return
	}
	c.Domains = s.domains
	look := func(ctx context.Context) error {
		if err := s.ready(ctx); err != nil {
			return fmt.Errorf("%w: %w", server.Plain("a domain has no valid certificate; the server's log says why"), err)
		}
		return nil
	}
	c.Checks = append(c.Checks, server.Check{Name: "tls", Code: "no_certificate", Detail: "No domain of this server has a valid certificate.",
		Look: func(ctx context.Context) error {
			if slices.ContainsFunc(s.all(), certificates.Certificate.Valid) {
				return nil
			}
			return look(ctx)
		}}, server.Check{Name: "certificates", Look: look})
	c.Metrics.Lookup("certificate_expiry_timestamp_seconds", "When a domain's certificate expires (Unix time).", []string{"domain"}, func(emit metrics.Emit) {
		for _, one := range s.all() {
			if !one.NotAfter.IsZero() {
				emit(float64(one.NotAfter.Unix()), one.Domain)
			}
		}
	})
}

// begin keeps the certificates current, and redirects to them what comes to at.http. It
// returns the listener to serve at, and what ends it all.
func (s *secured) begin(ctx context.Context, web *server.Server, at *listeners, log *slog.Logger) (_ net.Listener, end func()) {
	if s == nil {
		return at.main, func() {}
	}
	endRedirect := func() {}
	if at.http != nil {
		endRedirect = tend(ctx, func(ctx context.Context) {
			if err := web.ServeRedirect(ctx, at.http, s.challenge); err != nil {
				log.Error("redirect to HTTPS", "err", err)
			}
		})
	}
	endRun := tend(ctx, s.run)
	return tls.NewListener(at.main, s.config), func() { endRun(); endRedirect() }
}

// end ends the renewals.
func (s *secured) end() {
	if s != nil {
		s.close()
	}
}

// scheme is that of the URLs of a server.
func (t *tlsFlags) scheme() string {
	if t.on() {
		return "https"
	}
	return "http"
}
