//go:build unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// certificateFiles writes a certificate for this machine, and returns who trusts it.
func certificateFiles(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"events.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	signed, err := x509.CreateCertificate(rand.Reader, is, is, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots = x509.NewCertPool()
	for name, block := range map[string]pem.Block{cert: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: sealed}} {
		text := pem.EncodeToMemory(&block)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		roots.AppendCertsFromPEM(text) // the key is none
	}
	return cert, key, roots
}

// slowly is a call of which the half has been sent.
type slowly struct {
	rest *io.PipeWriter
	over chan error
}

// begin sends the first half of a call, which is longer than what any buffer on the way
// holds back.
func (s *slowly) begin(c *http.Client, url, line, want string) error {
	r, w := io.Pipe()
	*s = slowly{w, make(chan error, 1)}
	go func() { s.over <- callOnce(c, url, r, want) }()
	if _, err := io.WriteString(w, line[:10]+strings.Repeat(" ", 16<<10)); err != nil {
		return errors.Join(err, <-s.over) // which tells why nobody took it
	}
	return nil
}

// end sends the rest and returns what became of the call.
func (s *slowly) end(line string) error {
	_, err := io.WriteString(s.rest, line[10:])
	if closed := s.rest.Close(); err == nil {
		err = closed
	}
	if called := <-s.over; called != nil {
		return called // which tells why nobody took the rest
	}
	return err
}

// Over TLS as well restarts fail no call: over connections that are kept or not, of
// HTTP/1.1 and of HTTP/2, of which many share one, and none whose body is on its way
// meanwhile. What comes over plain HTTP is redirected all the time.
func TestRestartOverTLS(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0", "--log-level", "error")
	cert, key, roots := certificateFiles(t)
	plain, _ := freePort(t)
	web := serveProcess(t, "concierge", "--data", t.TempDir(), "--rpc", chain.url, "--tls-cert", cert, "--tls-key", key, "--http-addr", plain,
		"--rate-user", "0", "--quota-requests", "0")
	http2 := [4]bool{false, true, false, true}
	client := func(http2, kept bool) *http.Client {
		return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2, DisableKeepAlives: !kept, MaxIdleConnsPerHost: 64}}
	}
	clients := [4]*http.Client{client(http2[0], true), client(http2[1], true), client(http2[2], false), client(http2[3], false)}
	user := postBy(t, clients[0], web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	id, token := user["user"].(string), user["owner_token"].(string)
	shown := postBy(t, clients[1], web.url+"/api/users/"+id+"/events", token,
		map[string]any{"title": "An evening", "price": "0", "starts_at": "2035-01-01T00:00:00Z"})["id"].(string)
	at, line := web.url+"/mcp/users/"+id, toolLine(1, "get_event", `{"event_id":"`+shown+`"}`)

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls [4]atomic.Int64
	for i := range 24 {
		which, pause := i%2, time.Duration(i%4)*7*time.Millisecond
		if i%8 >= 6 {
			which += 2
		}
		load.Go(func() {
			for ctx.Err() == nil {
				req, err := toolRequest(at, strings.NewReader(line))
				if err != nil {
					t.Error(err)
					return
				}
				if !http2[which] { // GOAWAY tells what nobody has looked at, and that is sent again
					req.GetBody = nil
				}
				if err := answered(clients[which], req, shown); err != nil {
					t.Errorf("client %d: %v", which, err)
					return
				}
				calls[which].Add(1)
				idle(ctx, pause)
			}
		})
	}
	load.Go(func() {
		for ctx.Err() == nil {
			if err := redirected(ctx, clients[0], "http://"+plain+"/mcp/info"); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for n := range restarts(t) {
		slow := make([]slowly, 4)
		for i := range slow {
			// Over a new connection: one that was left alone for 10 s may be closed at
			// this very moment, and a body that comes through a pipe can't be sent again.
			c := client(http2[i], i < 2)
			defer c.CloseIdleConnections()
			if err := slow[i].begin(c, at, line, shown); err != nil {
				t.Fatalf("a call of client %d: %v", i, err)
			}
		}
		web.restart(t)
		var before [4]int64
		for i := range calls {
			before[i] = calls[i].Load()
		}
		for i := range calls { // the new process has its share of each kind
			for calls[i].Load() < before[i]+16 && !t.Failed() {
				idle(ctx, time.Millisecond)
			}
		}
		for i := range slow {
			if err := slow[i].end(line); err != nil {
				t.Errorf("a call that was under way, of client %d: %v", i, err)
			}
		}
		t.Logf("restart %d: process %d", n+1, web.pid)
	}
	stop()
	load.Wait()
	for i, c := range clients {
		resp, err := c.Get(web.url + "/healthz")
		if err != nil || (resp.ProtoMajor == 2) != http2[i] {
			t.Fatalf("client %d: %v, %v", i, resp, err)
		}
		resp.Body.Close()
	}
	if log := web.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
		t.Errorf("the log has errors:\n%s", log)
	}
	web.signal(t, syscall.SIGTERM)
	<-web.Done
	for i := range calls {
		t.Logf("client %d: %d calls", i, calls[i].Load())
	}
}

// redirected asks over plain HTTP, and wants to be sent elsewhere.
func redirected(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Host = "events.example.org"
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if location := resp.Header.Get("Location"); location != "https://events.example.org/mcp/info" {
		return fmt.Errorf("%s is answered %s, and sent to %q", url, resp.Status, location)
	}
	return nil
}
