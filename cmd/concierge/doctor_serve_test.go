package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/certificates/acmetest"
)

// later has all checks made as if so much time had passed.
func later(by time.Duration) func(*doctor) {
	return func(d *doctor) { d.now = func() time.Time { return time.Now().Add(by) } }
}

// What a server has obtained is found where it has put it, and lives for 24 hours.
func TestDoctorOfCertificates(t *testing.T) {
	const domain = "events.example.org"
	mainAddr, mainPort := freePort(t)
	httpAddr, httpPort := freePort(t)
	acme := acmetest.Start(t, httpPort, mainPort, 24*time.Hour)
	data := newLedger(t).dir
	args := []string{"--data", data, "--addr", mainAddr, "--http-addr", httpAddr, "--domain", "Events.example.org",
		"--acme-directory", acme.Directory, "--acme-ca", acme.RootsFile, "--acme-agree"}
	finds(t, examined(t, "certificate", nil, args...), "warning", "there is none for "+domain+" yet")
	finds(t, examined(t, "certificate", nil, append(args, "--acme-ca", "nowhere.pem")...), "failed", "nowhere.pem")
	if all := examined(t, "certificate", nil, "--data", data); len(all) > 0 {
		t.Errorf("without TLS: %+v", all)
	}
	if all := examined(t, "certificate", nil, "--data", data, "--domain", domain); len(all) > 0 { // no --acme-agree
		t.Errorf("with a configuration that is refused: %+v", all)
	}

	p := start(t, append([]string{"serve", "--no-agent"}, args...)...)
	waitFor(t, "a certificate", func() bool {
		c, err := tls.Dial("tcp", mainAddr, &tls.Config{ServerName: domain, RootCAs: acme.Issued})
		return err == nil && c.Close() == nil
	})
	p.stop()
	finds(t, examined(t, "certificate", nil, args...), "ok", "that of "+domain+" expires on 20")
	finds(t, examined(t, "certificate", later(22*time.Hour), args...), "warning", ", in 1h")
	finds(t, examined(t, "certificate", later(25*time.Hour), args...), "failed", "has expired on")
	finds(t, examined(t, "certificate", later(-48*time.Hour), args...), "failed", "not yet")

	// Those of another ACME server are of no use to this one.
	finds(t, examined(t, "certificate", nil, append(args, "--acme-directory", "https://acme.example.org/directory")...), "warning", "there is none")
	damaged := 0
	err := filepath.WalkDir(filepath.Join(data, certificatesDir), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != domain+".key" {
			return err
		}
		damaged++
		return os.WriteFile(path, []byte("no key"), 0o600)
	})
	if err != nil || damaged != 1 {
		t.Fatalf("%d keys, %v", damaged, err)
	}
	finds(t, examined(t, "certificate", nil, args...), "failed", "can't be used")
}

// certificate writes one for so long, with its key, and returns where.
func certificate(t *testing.T, life time.Duration, names ...string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bare}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestDoctorOfCertificateFiles(t *testing.T) {
	const day = 24 * time.Hour
	data := newLedger(t).dir
	cert, key := certificate(t, 90*day, "a.example.org", "b.example.org")
	args := []string{"--data", data, "--tls-cert", cert, "--tls-key", key}
	if all := examined(t, "certificate", nil, args...); len(all) != 2 {
		t.Errorf("two names: %+v", all)
	}
	for _, c := range []struct {
		age          time.Duration
		status, says string
	}{
		{0, "ok", "that of a.example.org expires on"}, {75 * day, "ok", "in 14 days"}, {77 * day, "warning", "in 12 days"}, {91 * day, "failed", "has expired"},
	} {
		finds(t, examined(t, "certificate", later(c.age), args...), c.status, c.says)
	}
	_, other := certificate(t, day, "a.example.org")
	finds(t, examined(t, "certificate", nil, "--data", data, "--tls-cert", cert, "--tls-key", other), "failed", "private key does not match")
	finds(t, examined(t, "certificate", nil, "--data", data, "--tls-cert", cert+".none", "--tls-key", key), "failed", "no such file")
	cert, key = certificate(t, day)
	finds(t, examined(t, "certificate", nil, "--data", data, "--tls-cert", cert, "--tls-key", key), "failed", "has no name of a domain")
}

// On mainnet doctor says what serve would refuse, and which line is to be added where.
func TestDoctorOfMainnet(t *testing.T) {
	data := newLedger(t).dir
	file := filepath.Join(t.TempDir(), "concierge.toml")
	look := func(text string, args ...string) []finding {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		// No public chain is to be asked.
		args = append([]string{"doctor", "--json", "--config", file, "--data", data, "--rpc", "http://127.0.0.1:1"}, args...)
		run(t.Context(), args, strings.NewReader(""), &out, &errOut)
		var answer struct{ Findings []finding }
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, &errOut)
		}
		return slices.DeleteFunc(answer.Findings, func(f finding) bool { return f.Check != "mainnet" })
	}
	if all := look("network = \"base-sepolia\"\n"); len(all) > 0 {
		t.Errorf("play money: %+v", all)
	}
	const base = "facilitator = [\"https://127.0.0.1:1\"]\n[env.production]\nnetwork = \"base\"\n"
	all := look(base, "--env", "production")
	finds(t, all, "failed", "settles in real money, and needs your consent")
	if len(all) != 1 || !strings.Contains(all[0].Advice, "put mainnet-consent = true into [env.production] of "+file) {
		t.Errorf("%+v", all)
	}
	finds(t, look(base+"mainnet-consent = true\n", "--env", "production"), "ok", "at "+file+":4 [env.production]")
	all = look(base+"mainnet-consent = true\ncors-origin = [\"*\"]\nregistration = \"open\"\n", "--env", "production")
	finds(t, all, "failed", `--cors-origin "*"`)
	if len(all) != 2 || !strings.Contains(all[1].Says, "--registration open") || !strings.Contains(all[1].Advice, "use invite or closed") {
		t.Errorf("%+v", all)
	}
	t.Setenv(envGasKey, "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	finds(t, look("mainnet-consent = true\nnetwork = \"base\"\nfacilitator = [\"local\"]\n"), "failed", "is a test account of Hardhat and Anvil")
}
