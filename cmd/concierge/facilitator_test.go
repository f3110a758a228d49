package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// fund makes a Guest's wallet with a folder of its own, and fills it.
func fund(t *testing.T, rpc string) {
	t.Helper()
	t.Setenv(envWalletKey, newKey(t))
	t.Setenv("CONCIERGE_HOME", t.TempDir())
	output(t, "", "guest", "wallet", "--fund", "--rpc", rpc)
}

// book sells a seat of a new event on a server, and returns the answer to the Guest.
func book(t *testing.T, server string) (rsvp struct{ ID, Status, Transaction string }) {
	t.Helper()
	user := post(t, server+"/api/users", "", map[string]string{"email": "ada" + rand.Text() + "@example.org"})
	event := post(t, server+"/api/users/"+user["user"].(string)+"/events", user["owner_token"].(string),
		map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	var booked struct {
		RSVP struct{ ID, Status, Transaction string }
		Paid string
	}
	answer := output(t, "", "guest", "book", event, "--host", server+"/mcp/users/"+user["user"].(string), "--json")
	if err := json.Unmarshal([]byte(answer), &booked); err != nil || booked.Paid != "50000" {
		t.Fatalf("%s, %v", answer, err)
	}
	return booked.RSVP
}

// A server without a gas key: a devnet's facilitator settles for it, or one
// that runs alone. The first of the two that are named is not there.
func TestRemoteFacilitators(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	alone := start(t, "facilitator", "--addr", "127.0.0.1:0", "--rpc", chain.url)
	for name, facilitators := range map[string]string{
		"the devnet's": chain.url + "/facilitator",
		"alone":        "http://127.0.0.1:1/k3y," + alone.url,
	} {
		t.Run(name, func(t *testing.T) {
			fund(t, chain.url)
			web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--rpc", chain.url, "--facilitator", facilitators)
			if rsvp := book(t, web.url); rsvp.Status != "confirmed" || len(rsvp.Transaction) != 66 {
				t.Errorf("%+v", rsvp)
			}
			resp, err := http.Get(web.url + "/readyz")
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("not ready: %v, %v", resp, err)
			}
			resp.Body.Close()
			if code := web.stop(); code != 0 || strings.Contains(web.stderr.String(), "k3y") {
				t.Errorf("the server ended with code %d:\n%s", code, web.stderr)
			}
		})
	}
	if code := alone.stop(); code != 0 || !strings.Contains(alone.stderr.String(), "op=settle status=200") {
		t.Errorf("the facilitator ended with code %d:\n%s", code, alone.stderr)
	}
}

// What a facilitator says of itself.
func TestSupported(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	resp, err := http.Get(chain.url + "/facilitator/supported")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s x402.Supported
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if !s.Supports(1, x402.BaseSepolia) || !s.Supports(2, x402.BaseSepolia) || len(s.Signers["eip155:*"]) != 1 {
		t.Errorf("%+v", s)
	}
}

// Stopping lets calls in flight finish; what stands behind them stops after them.
func TestServeHTTPStops(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	inFlight := false
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inFlight = true
		stop()
		for { // until nobody is let in any more
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				break
			}
			conn.Close()
		}
		inFlight = false
		fmt.Fprint(w, "done")
	})
	ended := make(chan error, 1)
	go func() {
		ended <- serveHTTP(ctx, listener, h, grace, func(context.Context) error {
			if inFlight {
				t.Error("a call was in flight")
			}
			return errors.New("stopped")
		})
	}()
	resp, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || string(said) != "done" {
		t.Errorf("%q, %v", said, err)
	}
	if err := <-ended; err == nil || err.Error() != "stopped" {
		t.Errorf("%v", err)
	}
}

// Behind a proxy each client is counted by itself, if the proxy is declared.
func TestFacilitatorBehindProxy(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	refused := func(args ...string) (n int) {
		t.Helper()
		alone := start(t, append([]string{"facilitator", "--addr", "127.0.0.1:0", "--rpc", chain.url, "--rate", "0.5"}, args...)...)
		defer alone.stop()
		for i := range 50 { // in less than the 100 s in which one client may make so many
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, alone.url+"/supported", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", fmt.Sprint("192.0.2.", i))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}
	if n := refused("--trusted-proxy", "127.0.0.1"); n != 0 {
		t.Errorf("%d of 50 clients were refused", n)
	}
	if refused() == 0 {
		t.Error("a client that says that it is another is believed")
	}
}
