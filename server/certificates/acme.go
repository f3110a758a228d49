// Package certificates has the TLS certificates of a server: [Managed] obtains and
// renews them from an ACME server, [Files] reads those that somebody else renews. It
// opens no listener and knows no routes.
package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// LetsEncrypt is the directory of the usual ACME server.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Options are what [Open] needs.
type Options struct {
	Domains []string // see [Domain]
	Dir     string   // has the keys and certificates, and is made
	// Directory is the ACME server's; "" is LetsEncrypt's. Its terms have been agreed to.
	Directory string
	Email     string         // that the ACME server may write to, if there is one
	Roots     *x509.CertPool // that vouch for the ACME server; nil: the system's
	// Host, HTTPPort and TLSPort are where the server listens itself, for HTTP-01 and
	// TLS-ALPN-01. Without HTTPPort only the latter is used.
	Host              string
	HTTPPort, TLSPort int
	Log               *slog.Logger

	// RenewRatio is how much of its life a certificate has left when it is renewed, and
	// CheckEvery how often that is looked at; 0: a third, and ten minutes. What the ACME
	// server suggests comes first (RFC 9773), unless IgnoreSuggestions.
	RenewRatio        float64
	CheckEvery        time.Duration
	IgnoreSuggestions bool
	// Retry is the pause after so many failures in a row; nil: see the code.
	Retry func(failures int) time.Duration
}

// Managed are certificates that an ACME server gives.
type Managed struct {
	Options
	cache  *certmagic.Cache
	first  *certmagic.Config // obtains those that there are not, once
	later  *certmagic.Config // renews
	issuer *certmagic.ACMEIssuer

	mu     sync.Mutex
	failed map[string]error // by domain, while there is no certificate
}

// Open opens the certificates in a directory. [Managed.Run] obtains what is missing;
// the end is [Managed.Close].
func Open(o Options) (*Managed, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of certificates: %w", err)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil { // #nosec G302 -- a directory
		return nil, fmt.Errorf("directory of certificates: %w", err)
	}
	if o.Directory == "" {
		o.Directory = LetsEncrypt
	}
	if o.Retry == nil {
		o.Retry = retry
	}
	m := &Managed{Options: o, failed: map[string]error{}}
	log := zap.New(&core{log: o.Log, hide: o.Email})
	m.cache = certmagic.NewCache(certmagic.CacheOptions{RenewCheckInterval: o.CheckEvery, Logger: log,
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.later, nil }})
	config := certmagic.Config{Storage: &certmagic.FileStorage{Path: o.Dir}, RenewalWindowRatio: o.RenewRatio, DisableARI: o.IgnoreSuggestions,
		DefaultServerName: o.Domains[0], Logger: log, Issuers: []certmagic.Issuer{}, OnEvent: m.note}
	m.later, m.first = certmagic.New(m.cache, config), certmagic.New(m.cache, config)
	m.issuer = certmagic.NewACMEIssuer(m.later, certmagic.ACMEIssuer{CA: o.Directory, Email: o.Email, Agreed: true, TrustedRoots: o.Roots, Logger: log,
		ListenHost: o.Host, AltHTTPPort: o.HTTPPort, AltTLSALPNPort: o.TLSPort, DisableHTTPChallenge: o.HTTPPort == 0})
	m.later.Issuers, m.first.Issuers = []certmagic.Issuer{m.issuer}, []certmagic.Issuer{unattended{m.issuer}}
	return m, nil
}

// retry grows from a minute to an hour: Let's Encrypt takes five failures an hour.
func retry(failures int) time.Duration {
	return min(time.Minute<<min(2*(failures-1), 8), time.Hour)
}

// unattended asks nobody at the terminal for an email.
type unattended struct{ *certmagic.ACMEIssuer }

// PreCheck implements [certmagic.PreChecker].
func (u unattended) PreCheck(ctx context.Context, names []string, _ bool) error {
	return u.ACMEIssuer.PreCheck(ctx, names, false)
}

// Run obtains the certificates that there are not, again and again until ctx ends. It
// returns when there are all; they are renewed until [Managed.Close].
func (m *Managed) Run(ctx context.Context) {
	for failures := 0; ; {
		missing := false
		for _, domain := range m.Domains {
			err := m.first.ManageSync(ctx, []string{domain})
			if ctx.Err() != nil {
				return
			}
			m.keep(domain, err)
			missing = missing || err != nil
		}
		if !missing {
			return
		}
		failures++
		pause := m.Retry(failures)
		m.Log.Error("there is no certificate for a domain", "err", m.Ready(ctx), "again_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (m *Managed) keep(domain string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed[domain] = err; err == nil {
		delete(m.failed, domain)
	}
}

// note is called when something happens to a certificate.
func (m *Managed) note(_ context.Context, event string, data map[string]any) error {
	domain, _ := data["identifier"].(string)
	switch renewal, _ := data["renewal"].(bool); {
	case event == "cert_obtained":
		m.Log.Info("there is a new certificate", "domain", domain, "renewal", renewal)
	case event == "cert_failed" && renewal: // what is not there yet is told of by Run
		err, _ := data["error"].(error)
		m.Log.Error("a certificate was not renewed; the old one goes on being used", "domain", domain, "err", hidden(err, m.Email))
	}
	return nil
}

// TLS returns the configuration of a listener: TLS 1.2 and 1.3 with Go's defaults,
// HTTP/2, and the answers to TLS-ALPN-01.
func (m *Managed) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: m.later.GetCertificate, NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}}
}

// Challenge answers a request that is the ACME server's HTTP-01 challenge, and reports
// whether it was one.
func (m *Managed) Challenge(w http.ResponseWriter, r *http.Request) bool {
	return m.issuer.HandleHTTPChallenge(w, r)
}

// Certificate is what there is for a domain.
type Certificate struct {
	Domain    string
	NotBefore time.Time
	NotAfter  time.Time // zero: there is none
	Err       error     // why there is none
}

// All returns what there is for each domain.
func (m *Managed) All() (all []Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, domain := range m.Domains {
		c := Certificate{Domain: domain, Err: hidden(m.failed[domain], m.Email)}
		for _, known := range m.cache.AllMatchingCertificates(domain) {
			if known.Leaf != nil && known.Leaf.NotAfter.After(c.NotAfter) {
				c.NotBefore, c.NotAfter = known.Leaf.NotBefore, known.Leaf.NotAfter
			}
		}
		all = append(all, c)
	}
	return all
}

// Ready says for which domains there is no certificate that is valid now, and why.
func (m *Managed) Ready(context.Context) error {
	var all []error
	for _, c := range m.All() {
		all = append(all, c.ready())
	}
	return errors.Join(all...)
}

// Valid reports whether there is one, which has not expired.
func (c Certificate) Valid() bool { return c.NotAfter.After(time.Now()) }

func (c Certificate) ready() error {
	switch {
	case c.Valid():
		return nil
	case !c.NotAfter.IsZero():
		return fmt.Errorf("the certificate for %s has expired on %s", c.Domain, c.NotAfter.UTC().Format(time.RFC3339))
	case c.Err != nil:
		return fmt.Errorf("there is no certificate for %s: %w", c.Domain, c.Err)
	}
	return fmt.Errorf("there is no certificate for %s yet", c.Domain)
}

// Close ends the renewals.
func (m *Managed) Close() { m.cache.Stop() }
