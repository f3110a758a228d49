//go:build unix

package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A conversation that is ended while the Host has the payment goes on with it the
// next time, and has paid once.
func TestTerminatedChat(t *testing.T) {
	c := newClub(t)
	target, err := url.Parse(c.web)
	if err != nil {
		t.Fatal(err)
	}
	there := make(chan struct{})
	paid := 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pays := r.Header.Get("Payment-Signature") != ""
		if pays {
			paid++
		}
		if !pays || paid > 1 {
			httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
			return
		}
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(httptest.NewRecorder(), r)
		close(there)
		<-r.Context().Done()
	}))
	defer slow.Close()
	chat := exec.CommandContext(t.Context(), "concierge", "guest", "chat", "--host", slow.URL+strings.TrimPrefix(c.mcp, c.web))
	chat.Stdin = strings.NewReader("book " + c.event(t, "0.50") + "\napprove 1\n")
	if err := chat.Start(); err != nil {
		t.Fatal(err)
	}
	<-there
	if err := chat.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := chat.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if got := output(t, "", "guest", "chat"); !strings.Contains(got, "Paid $0.50 to 0x") {
		t.Errorf("the next time: %s", got)
	}
	if got := c.balance(t); got != "9.50" || paid != 2 {
		t.Errorf("the guest has $%s, and has sent the payment %d times", got, paid)
	}
}
