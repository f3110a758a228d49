package evm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

func TestDial(t *testing.T) {
	n := serve(t, startChain(t, evm.Options{}))
	if got := n.dial(t, evm.Options{}).ChainID(); got != devnet.ChainID {
		t.Errorf("chain id %d", got)
	}
}

// "stdio" and a path are addresses too for go-ethereum's client; a typing error
// must not end there.
func TestDialRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "/", "stdio", "stdio://x", "node.ipc", "/node.ipc", "localhost:8545",
		"ws://127.0.0.1:1", "wss://127.0.0.1:1", "ftp://127.0.0.1:1", "http://", "https:///path", "http://[::1", "://"} {
		t.Run(address, func(t *testing.T) {
			if c, err := evm.Dial(t.Context(), address, evm.Options{}); err == nil {
				c.Close()
				t.Error("connected")
			} else if !strings.Contains(err.Error(), "http") {
				t.Errorf("the error does not tell what is wanted: %v", err)
			}
		})
	}
}

// deadAddress is one at which nobody listens any more.
func deadAddress(t *testing.T) string {
	server := httptest.NewServer(nil)
	server.Close()
	return server.URL
}

// The key of an account with a provider is part of the URL, and errors end in
// logs.
func TestErrorsHideTheKey(t *testing.T) {
	const key = "Sup3rS3cret"
	withKey := func(address string) map[string]string {
		host := strings.TrimPrefix(address, "http://")
		return map[string]string{
			"path": address + "/v3/" + key, "query": address + "/?key=" + key,
			"user": "http://" + key + "@" + host, "password": "http://me:" + key + "@" + host,
		}
	}
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	for name, address := range map[string]string{"dead": deadAddress(t), "refusing": refusing.URL} {
		for where, address := range withKey(address) {
			t.Run(name+", "+where, func(t *testing.T) {
				_, err := evm.Dial(t.Context(), address, evm.Options{})
				if err == nil {
					t.Fatal("connected")
				}
				if strings.Contains(err.Error(), key) {
					t.Errorf("the key is in %q", err)
				}
			})
		}
	}
	if _, err := evm.Dial(t.Context(), "http://127.0.0.1:1/\x00"+key, evm.Options{}); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("bad URL: %v", err)
	}
}

// The whole URL is used all the same.
func TestDialUsesTheWholeURL(t *testing.T) {
	c := startChain(t, evm.Options{})
	var path, query, user, password string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query = r.URL.Path, r.URL.RawQuery
		user, password, _ = r.BasicAuth()
		r.URL.Path = "/"
		c.Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	client, err := evm.Dial(t.Context(), "http://me:pass@"+strings.TrimPrefix(server.URL, "http://")+"/v3/abc?x=1", evm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if path != "/v3/abc" || query != "x=1" || user != "me" || password != "pass" {
		t.Errorf("asked %s?%s as %s:%s", path, query, user, password)
	}
}

func TestDialBadAnswers(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"empty":    func(http.ResponseWriter, *http.Request) {},
		"no result": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1}`)
		},
		"chain id beyond 64 bits": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x10000000000014a34"}`)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			if c, err := evm.Dial(t.Context(), server.URL, evm.Options{}); err == nil {
				t.Errorf("connected to chain %d", c.ChainID())
			}
		})
	}
}

// A node has no reason to send its clients, and what they carry, elsewhere.
func TestDialFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				http.Redirect(w, r, "/elsewhere", status)
			}))
			defer server.Close()
			if _, err := evm.Dial(t.Context(), server.URL, evm.Options{}); err == nil {
				t.Error("connected")
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestOversizeAnswers(t *testing.T) {
	c := startChain(t, evm.Options{})
	zeros := bytes.Repeat([]byte("0"), 1<<20)
	endless := func(w http.ResponseWriter) (written int) {
		for written < 64<<20 {
			n, err := w.Write(zeros)
			if written += n; err != nil {
				break
			}
		}
		return written
	}
	t.Run("result", func(t *testing.T) {
		written := make(chan int, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if !bytes.Contains(body, []byte("eth_call")) {
				r.Body = io.NopCloser(bytes.NewReader(body))
				c.Handler().ServeHTTP(w, r)
				return
			}
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":2,"result":"0x`)
			written <- endless(w)
		}))
		defer server.Close()
		client, err := evm.Dial(t.Context(), server.URL, evm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Balance(t.Context(), c.usdc, x402.Address{1}); err == nil {
			t.Error("no error")
		} else if len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if n := <-written; n >= 64<<20 {
			t.Errorf("all %d bytes were read", n)
		}
	})
	t.Run("HTTP error", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			endless(w)
		}))
		defer server.Close()
		_, err := evm.Dial(t.Context(), server.URL, evm.Options{})
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if err != nil && !strings.Contains(err.Error(), "502") {
			t.Errorf("the status is not in %.100q", err)
		}
	})
}

func TestDialCancelled(t *testing.T) {
	n := serve(t, startChain(t, evm.Options{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evm.Dial(ctx, n.url, evm.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
