package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
)

// overTLS serves over TLS, with a certificate for a test.
func overTLS(t *testing.T, l server.Limits, header time.Duration) (addr string, client *http.Client) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(lender.Close)
	s := server.New(newDoor(t, l, nil).Config)
	s.SetPatience(header, 30*time.Second, 30*time.Second, 30*time.Second)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, tls.NewListener(listener, &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}), 20*time.Second)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client = lender.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	return listener.Addr().String(), client
}

// A client that does not finish its handshake is not waited for.
func TestSlowHandshake(t *testing.T) {
	addr, _ := overTLS(t, server.Limits{}, 50*time.Millisecond)
	for name, first := range map[string]string{"nothing": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil { // the end comes by the server
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
}

// Connections that say nothing make room for those that do, as without TLS.
func TestConnectionsOverTLS(t *testing.T) {
	addr, client := overTLS(t, server.Limits{Connections: 4}, time.Minute)
	for range 12 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	resp, err := client.Get("https://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}
