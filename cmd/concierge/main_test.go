package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/events-concierge/concierge/server/testlog"
)

// Tests must not put anything into the keyring of whoever runs them.
const envKeyring = "CONCIERGE_KEYRING"

// Nor copy themselves, of a hundred megabytes, into each data directory.
const envKeepPrograms = "CONCIERGE_KEEP_PROGRAMS"

func TestMain(m *testing.M) {
	os.Setenv(envKeyring, "false")
	os.Setenv(envKeepPrograms, "0")
	testscript.Main(m, map[string]func(){"concierge": collecting})
}

// collecting is main, of which the logs of tests that are collected have what it says
// on standard error.
func collecting() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, testlog.Tee(os.Stderr)))
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, Cmds: newStage(t).commands(),
		Setup: func(e *testscript.Env) error {
			e.Setenv("CONCIERGE_HOME", e.WorkDir+"/home") // nobody's real purse
			e.Setenv(envKeyring, "false")
			e.Setenv(envKeepPrograms, "0")
			e.Setenv(testlog.Dir, os.Getenv(testlog.Dir))
			return nil
		}})
}

// program is a concierge that runs in the background of a test.
type program struct {
	url    string
	stderr *lockedBuffer
	stop   func() int
}

var listening = regexp.MustCompile(`Listening on (https?://\S+)`)

// start runs a command that listens, and waits until it does.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	p := &program{stderr: &lockedBuffer{}}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, strings.NewReader(""), io.Discard, testlog.Tee(w))
		w.Close()
	}()
	p.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { p.stop() })
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(io.TeeReader(r, p.stderr))
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	url, ok := <-found
	if !ok {
		t.Fatalf("%v ended with code %d:\n%s", args, p.stop(), p.stderr)
	}
	p.url = url
	return p
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// output runs a command to its end.
func output(t *testing.T, in string, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(in), &out, testlog.Tee(&errOut)); code != 0 {
		t.Fatalf("%v ended with code %d:\n%s", args, code, &errOut)
	}
	return out.String()
}

// post makes a request of the REST API.
func post(t *testing.T, url, token string, body any) map[string]any {
	t.Helper()
	return postBy(t, http.DefaultClient, url, token, body)
}

func postBy(t *testing.T, client *http.Client, url, token string, body any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s %v, %v", url, resp.Status, answer, err)
	}
	return answer
}

// The chain outlives the server, and what was booked is still booked after a
// restart: the way of a guest at a terminal.
func TestServerComesAndGoes(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	data := t.TempDir()
	serve := func() *program {
		return start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url, "--sign-receipts")
	}
	web := serve()
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	event := post(t, web.url+"/api/users/"+user["user"].(string)+"/events", user["owner_token"].(string),
		map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)

	fund(t, chain.url)
	if got := output(t, "", "guest", "wallet", "--rpc", chain.url); !strings.Contains(got, "10.00 USDC") {
		t.Errorf("wallet: %s", got)
	}
	hostURL := func(p *program) string { return p.url + "/mcp/users/" + user["user"].(string) }
	if got := output(t, "", "guest", "events", "--host", hostURL(web)); !strings.Contains(got, event) || !strings.Contains(got, "$0.05") {
		t.Errorf("events: %s", got)
	}
	var booked struct {
		RSVP    struct{ ID, Status, Transaction string }
		Paid    string
		Receipt json.RawMessage
	}
	if err := json.Unmarshal([]byte(output(t, "", "guest", "book", event, "--host", hostURL(web), "--json")), &booked); err != nil {
		t.Fatal(err)
	}
	if booked.Paid != "50000" || booked.RSVP.Status != "confirmed" {
		t.Errorf("booked: %+v", booked)
	}
	if got := output(t, string(booked.Receipt), "receipt", "verify", "--signer", user["wallet_address"].(string)); !strings.Contains(got, booked.RSVP.Transaction) ||
		!strings.Contains(got, "rsvp_to_event?event="+event+"&seats=1") {
		t.Errorf("receipt: %s", got)
	}
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with code %d:\n%s", code, web.stderr)
	}

	web = serve()
	if got := output(t, "", "guest", "wallet", "--json", "--rpc", chain.url); !strings.Contains(got, `"9.95"`) {
		t.Errorf("wallet after: %s", got)
	}
	// Over stdio, as Claude Desktop would: the event is booked already, the RSVP
	// can be seen.
	lines := output(t, hello+toolLine(1, "rsvp_to_event", `{"event_id":"`+event+`"}`)+toolLine(2, "get_rsvp", `{"rsvp_id":"`+booked.RSVP.ID+`"}`),
		"mcp", "guest", "--host", hostURL(web))
	if !strings.Contains(lines, "already_booked") || !strings.Contains(lines, booked.RSVP.Transaction) {
		t.Errorf("mcp guest: %s", lines)
	}
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("stdout has %q", line)
		}
	}
	if log := web.stderr.String(); strings.Contains(log, "ada@") || strings.Contains(log, user["owner_token"].(string)) {
		t.Errorf("an email or a token is in the log:\n%s", log)
	}
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n"

func toolLine(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`+"\n", id, tool, arguments)
}

// The owner's Host over stdio, on a fresh directory, with the owner's rights.
func TestMCPHost(t *testing.T) {
	data := t.TempDir()
	lines := output(t, hello+toolLine(1, "create_event", `{"title":"An evening","starts_at":"2030-01-01T00:00:00Z","price":"2.50"}`),
		"mcp", "host", "--user", "ada@example.org", "--data", data)
	event := regexp.MustCompile(`evt_[0-9a-f]+`).FindString(lines)
	if event == "" {
		t.Fatalf("no event: %s", lines)
	}
	lines = output(t, hello+toolLine(1, "rsvp_to_event", `{"event_id":"`+event+`"}`)+toolLine(2, "get_revenue", `{}`),
		"mcp", "host", "--user", "ADA@example.org", "--data", data)
	if !strings.Contains(lines, `"amount":"2500000"`) || !strings.Contains(lines, `"settled":{"amount":"0"`) {
		t.Errorf("%s", lines)
	}
}
