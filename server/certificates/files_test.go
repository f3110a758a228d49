package certificates_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/certificates"
	"github.com/events-concierge/concierge/server/testlog"
)

// write makes a certificate with a serial number, and returns its PEM files' contents.
func write(t *testing.T, serial int64, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{domain}, NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bare})
}

// Files are read again when they change; while they are no pair the one before is used.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := certificates.OpenFiles(certFile, keyFile, testlog.New()); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("no file: %v", err)
	}
	cert, key := write(t, 1, time.Now().Add(time.Hour))
	put(certFile, cert)
	put(keyFile, key)
	var log lockedBuffer
	f, err := certificates.OpenFiles(certFile, keyFile, testlog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c, err := f.TLS().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	if serial() != 1 || f.Ready(t.Context()) != nil || f.All()[0].Domain != domain {
		t.Errorf("%d, %v, %v", serial(), f.Ready(t.Context()), f.All())
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx, 5*time.Millisecond) }()
	defer func() { cancel(); <-done }()
	s := &site{t: t}
	cert, key = write(t, 22, time.Now().Add(-time.Minute))
	put(certFile, cert)
	s.until("half of a pair", func() bool { return strings.Contains(log.String(), "not read again") })
	if serial() != 1 {
		t.Error("half of a pair is used")
	}
	put(keyFile, key)
	s.until("the pair", func() bool { return serial() == 22 })
	if err := f.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %v", err)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	if err := f.Reload(); err == nil || serial() != 22 {
		t.Errorf("a missing file: %v", err)
	}
}
