package certificates

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/certmagic"
)

// maxPEM bounds a file of a certificate with its chain, in bytes.
const maxPEM = 1 << 20

// Stored returns what the directory of o has for each of its domains, as [Open] would
// use it. It asks nobody, changes nothing, and may run beside a server that does.
func Stored(o Options) (all []Certificate) {
	if o.Directory == "" {
		o.Directory = LetsEncrypt
	}
	issuer := (&certmagic.ACMEIssuer{CA: o.Directory}).IssuerKey()
	in := certmagic.FileStorage{Path: o.Dir}
	for _, domain := range o.Domains {
		c := Certificate{Domain: domain}
		pair, err := readPair(in.Filename(certmagic.StorageKeys.SiteCert(issuer, domain)), in.Filename(certmagic.StorageKeys.SitePrivateKey(issuer, domain)))
		switch {
		case err == nil:
			c.NotBefore, c.NotAfter = pair.Leaf.NotBefore, pair.Leaf.NotAfter
		case !errors.Is(err, fs.ErrNotExist):
			c.Err = err
		}
		all = append(all, c)
	}
	return all
}

// readPair reads a certificate and its key, both PEM.
func readPair(cert, key string) (tls.Certificate, error) {
	var pems [2][]byte
	for i, name := range []string{cert, key} {
		var err error
		if pems[i], err = readPEM(name); err != nil {
			return tls.Certificate{}, err
		}
	}
	pair, err := tls.X509KeyPair(pems[0], pems[1])
	if err != nil {
		return pair, fmt.Errorf("certificate %s with key %s: %w", cert, key, err)
	}
	return pair, nil
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name) // #nosec G304 -- the operator's own files
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, maxPEM+1))
	if err == nil && n > maxPEM {
		err = fmt.Errorf("certificate: %s has more than %d bytes: it is no certificate in PEM", name, maxPEM)
	}
	return b.Bytes(), err
}

// RenewLate returns when a certificate should have been renewed: 14 days before its
// end, or when a sixth of a shorter life is left. Renewal begins at a third.
func (c Certificate) RenewLate() time.Time {
	return c.NotAfter.Add(-min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/6))
}
