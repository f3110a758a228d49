package certificates

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files are a certificate and its key that somebody else renews.
type Files struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    stamps
}

// stamps tell whether files are what they were.
type stamps [2]struct {
	modified time.Time
	size     int64
}

// OpenFiles reads a certificate with its chain, and its key, both PEM.
func OpenFiles(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	return f, f.Reload()
}

// Reload reads the files again. If they are no pair, the one before goes on being used.
func (f *Files) Reload() error {
	read, err := f.stamps()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = read // broken ones are tried again when they change
	pair, err := readPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.current = &pair
	return nil
}

func (f *Files) stamps() (s stamps, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return s, fmt.Errorf("certificate: %w", err)
		}
		s[i].modified, s[i].size = info.ModTime(), info.Size()
	}
	return s, nil
}

// Run reads the files again when they have changed, until ctx ends.
func (f *Files) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch changed, err := f.changed(); {
		case err != nil: // one of them is being replaced
			f.log.Warn("look at the certificate", "err", err)
		case changed:
			if err := f.Reload(); err != nil {
				f.log.Error("a certificate was not read again; the old one goes on being used", "err", err)
				continue
			}
			f.log.Info("there is a new certificate", "file", f.cert)
		}
	}
}

func (f *Files) changed() (bool, error) {
	now, err := f.stamps()
	f.mu.Lock()
	defer f.mu.Unlock()
	return now != f.read, err
}

// TLS returns the configuration of a listener: TLS 1.2 and 1.3 with Go's defaults, and
// HTTP/2.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.now(), nil }}
}

func (f *Files) now() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// Ready says that the certificate has expired, if it has.
func (f *Files) Ready(context.Context) error {
	return Certificate{Domain: "the name in " + f.cert, NotAfter: f.now().Leaf.NotAfter}.ready()
}

// All returns what there is for each name in the certificate.
func (f *Files) All() (all []Certificate) {
	leaf := f.now().Leaf
	for _, name := range leaf.DNSNames {
		all = append(all, Certificate{Domain: name, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter})
	}
	return all
}
