package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// club is a Host on a server of its own, and a Guest with $10 in a new folder.
type club struct{ web, mcp, events, token, home string }

func newClub(t *testing.T) club {
	t.Helper()
	web := start(t, "serve", "--network", "devnet", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--log-level", "error").url
	user := post(t, web+"/api/users", "", map[string]string{"email": "ada@example.org"})
	fund(t, web+"/devnet")
	id := user["user"].(string)
	return club{web, web + "/mcp/users/" + id, web + "/api/users/" + id + "/events", user["owner_token"].(string), os.Getenv("CONCIERGE_HOME")}
}

func (c club) event(t *testing.T, price string) string {
	t.Helper()
	return post(t, c.events, c.token, map[string]any{"title": "An evening", "price": price, "starts_at": "2031-01-01T00:00:00Z"})["id"].(string)
}

// balance is what the Guest has, in dollars.
func (c club) balance(t *testing.T) string {
	t.Helper()
	var funds struct{ USD string }
	if err := json.Unmarshal([]byte(output(t, "", "guest", "wallet", "--rpc", c.web+"/devnet", "--json")), &funds); err != nil {
		t.Fatal(err)
	}
	return funds.USD
}

// atOnce runs commands in processes of their own, all at a time, and returns what
// they printed, and how many did not fail.
func atOnce(t *testing.T, commands ...[]string) (printed []string, done int) {
	t.Helper()
	outs, errs := make([]bytes.Buffer, len(commands)), make([]error, len(commands))
	var wg sync.WaitGroup
	for i, args := range commands {
		wg.Go(func() {
			c := exec.CommandContext(t.Context(), "concierge", args...)
			c.Stdout = &outs[i]
			errs[i] = c.Run()
		})
	}
	wg.Wait()
	for i, err := range errs {
		printed = append(printed, outs[i].String())
		if err == nil {
			done++
		}
	}
	return printed, done
}

// All processes of a wallet have one purse: together they stay within the budget.
func TestProcessesShareABudget(t *testing.T) {
	c := newClub(t)
	if err := os.WriteFile(filepath.Join(c.home, policyFile), []byte(`per_day = "1.25"`), 0o600); err != nil {
		t.Fatal(err)
	}
	var commands [][]string
	for range 4 {
		commands = append(commands, []string{"guest", "book", c.event(t, "0.50"), "--host", c.mcp, "--json"})
	}
	printed, done := atOnce(t, commands...)
	if refused := strings.Count(strings.Join(printed, ""), `"over_budget"`); done != 2 || refused != 2 {
		t.Errorf("%d booked, %d over budget:\n%s", done, refused, printed)
	}
	if got := c.balance(t); got != "9.00" {
		t.Errorf("the guest has $%s", got)
	}
}

// The same booking in several processes is one, and is paid once.
func TestProcessesBookTheSame(t *testing.T) {
	c := newClub(t)
	same := []string{"guest", "book", c.event(t, "0.50"), "--host", c.mcp, "--json"}
	printed, done := atOnce(t, same, same, same)
	if done == 0 {
		t.Errorf("not booked:\n%s", printed)
	}
	if got := c.balance(t); got != "9.50" {
		t.Errorf("the guest has $%s after:\n%s", got, printed)
	}
}

// Whoever presses Ctrl-C while the Host has the payment is told what to do, and
// then has the booking and has paid once.
func TestInterruptedBooking(t *testing.T) {
	c := newClub(t)
	target, err := url.Parse(c.web)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
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
		interrupt()
		<-r.Context().Done()
	}))
	defer slow.Close()
	book := []string{"guest", "book", c.event(t, "0.50"), "--host", slow.URL + strings.TrimPrefix(c.mcp, c.web), "--json"}
	var out, errOut bytes.Buffer
	if code := run(ctx, book, strings.NewReader(""), &out, &errOut); code != 1 || !strings.Contains(out.String(), `"outcome_unknown"`) ||
		!strings.Contains(errOut.String(), "run the same command again: it goes on with the same payment, which is taken once") {
		t.Errorf("code %d: %s%s", code, &out, &errOut)
	}
	if got := output(t, "", "guest", "spending", "--json"); !strings.Contains(got, `"state": "signed"`) || !strings.Contains(got, `"spent": "0.50"`) {
		t.Errorf("in between: %s", got)
	}
	out.Reset()
	errOut.Reset()
	if code := run(t.Context(), book, strings.NewReader(""), &out, &errOut); code != 0 || !strings.Contains(out.String(), `"confirmed"`) ||
		!strings.Contains(errOut.String(), "once more, with the same payment") {
		t.Errorf("again: code %d: %s%s", code, &out, &errOut)
	}
	if got := c.balance(t); got != "9.50" {
		t.Errorf("the guest has $%s", got)
	}
}
