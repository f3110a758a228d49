//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/process"
)

// served is a server that is restarted: a chain of processes.
type served struct {
	*process.Process
	log  *lockedBuffer
	url  string
	pid  int // of the newest
	seen int // bytes of the log
}

// serveProcess starts a server in a process of its own. All that came after it are
// stopped at the end of the test.
func serveProcess(t *testing.T, program string, args ...string) *served {
	t.Helper()
	s := &served{log: &lockedBuffer{}}
	var err error
	// Of a test's program only the name is left, which is looked for again.
	env := []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")}
	if s.Process, err = process.Start(program, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), env, s.log); err != nil {
		t.Fatal(err)
	}
	s.pid = s.Cmd.Process.Pid
	t.Cleanup(func() {
		select {
		case <-s.Done:
		default:
			for _, m := range append(servesInstead.FindAllStringSubmatch(s.log.String(), -1), []string{"", strconv.Itoa(s.Cmd.Process.Pid)}) {
				if pid, err := strconv.Atoi(m[1]); err == nil {
					_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
				}
			}
			<-s.Done // when nobody writes to its log any more
		}
	})
	if s.url, err = s.Await(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, s.told())
	}
	return s
}

func (s *served) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		t.Fatalf("signal %v: %v\n%s", sig, err, s.told())
	}
}

// told is what the log says besides of requests.
func (s *served) told() string {
	var told []string
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, "msg=request") {
			told = append(told, line)
		}
	}
	return strings.Join(told, "")
}

// await waits until the log has a line, after those that were waited for.
func (s *served) await(t *testing.T, line *regexp.Regexp) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if m := line.FindStringSubmatchIndex(s.log.String()[s.seen:]); m != nil {
			text := s.log.String()[s.seen:]
			s.seen += m[1]
			var found []string
			for i := 0; i < len(m); i += 2 {
				found = append(found, text[m[i]:m[i+1]])
			}
			return found
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no line like %s:\n%s", line, s.told())
		}
	}
}

var servesInstead = regexp.MustCompile(`restart: the new process serves, .* pid=(\d+)`)

// restart has a new process serve.
func (s *served) restart(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGUSR2)
	pid, err := strconv.Atoi(s.await(t, servesInstead)[1])
	if err != nil {
		t.Fatal(err)
	}
	s.pid = pid
}

// restarts is how often the server is restarted under load: RESTARTS, or a few times.
func restarts(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("RESTARTS")); err == nil {
		return n
	}
	return 3
}

// Restarts under load fail no call: not of clients that keep their connections, not
// of those that open one for each call, and no booking that is paid.
func TestRestartUnderLoad(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0", "--log-level", "error")
	archive := t.TempDir()
	data := t.TempDir()
	web := serveProcess(t, "concierge", "--data", data, "--rpc", chain.url, "--backup", archive, "--log-level", "info", "--rate-user", "0", "--quota-requests", "0")
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	id, token := user["user"].(string), user["owner_token"].(string)
	events := web.url + "/api/users/" + id + "/events"
	event := func(price string) string {
		return post(t, events, token, map[string]any{"title": "An evening", "price": price, "starts_at": "2035-01-01T00:00:00Z"})["id"].(string)
	}
	fund(t, chain.url)
	shown := event("0")

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls, bookings atomic.Int64
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range 32 {
		client, pause := kept, time.Duration(i%4)*7*time.Millisecond // some are always idle when it matters
		if i%8 == 7 {
			client = fresh
		}
		load.Go(func() {
			for ctx.Err() == nil {
				if err := call(client, web.url+"/mcp/users/"+id, "get_event", `{"event_id":"`+shown+`"}`, shown); err != nil {
					t.Error(err)
					return
				}
				calls.Add(1)
				idle(ctx, pause)
			}
		})
	}
	load.Go(func() {
		for ctx.Err() == nil {
			var out, errOut bytes.Buffer
			e := event("0.05")
			if code := run(t.Context(), []string{"guest", "book", e, "--host", web.url + "/mcp/users/" + id, "--json"}, strings.NewReader(""), &out, &errOut); code != 0 ||
				!strings.Contains(out.String(), `"confirmed"`) {
				t.Errorf("booking ended with code %d: %s%s", code, &out, &errOut)
				return
			}
			bookings.Add(1)
		}
	})
	for n := range restarts(t) {
		before, booked := calls.Load(), bookings.Load()
		web.restart(t)
		for calls.Load() < before+64 && !t.Failed() { // the new process has its share
			idle(ctx, time.Millisecond)
		}
		t.Logf("restart %d: process %d; %d calls and %d bookings meanwhile", n+1, web.pid, calls.Load()-before, bookings.Load()-booked)
	}
	stop()
	load.Wait()
	revenue := output(t, "", "guest", "wallet", "--json", "--rpc", chain.url)
	want := 10_000_000 - 50_000*bookings.Load()
	if !strings.Contains(revenue, fmt.Sprintf(`"%d.%02d"`, want/1_000_000, want%1_000_000/10_000)) {
		t.Errorf("after %d bookings for 0.05 the guest of 10.00 has %s", bookings.Load(), revenue)
	}
	if log := web.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
		t.Errorf("the log has errors:\n%s", log)
	}
	web.signal(t, syscall.SIGTERM)
	<-web.Done
	if told := web.told(); strings.Contains(told, "new generation") {
		t.Errorf("the archive has a gap where it was handed over:\n%s", told)
	}
	again := t.TempDir()
	secret, err := os.ReadFile(filepath.Join(data, "secret.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(again, "secret.key"), secret, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	output(t, "", "restore", "--from", archive, "--data", again)
	copied := start(t, "serve", "--addr", "127.0.0.1:0", "--data", again, "--rpc", chain.url)
	if revenue := get(t, copied.url+"/api/users/"+id+"/revenue", token); !strings.Contains(revenue, fmt.Sprintf(`"settled":{"amount":"%d"`, 50_000*bookings.Load())) {
		t.Errorf("the archive of %d bookings for 0.05 has %s", bookings.Load(), revenue)
	}
	t.Logf("%d calls, %d bookings", calls.Load(), bookings.Load())
}

// idle is the pause of a client between two calls.
func idle(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A program that does not come to serve takes nothing over: the old process goes on,
// and says why. One that does is started from the same path.
func TestRestartThatFails(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0", "--log-level", "error")
	real, err := exec.LookPath("concierge")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "concierge")
	copyProgram(t, program)
	web := serveProcess(t, program, "--data", t.TempDir(), "--rpc", chain.url)
	for _, c := range []struct{ name, script, says string }{
		{"ends", "#!/bin/sh\nexit 3\n", `no restart: this process goes on.*exit status 3`},
		{"is wrong usage", "#!/bin/sh\nexec " + real + " serve --no-such-flag\n", `no restart: this process goes on.*exit status 2`},
		{"says why", "#!/bin/sh\nexec " + real + " serve --data /dev/null/nowhere --addr 127.0.0.1:0\n", `no restart: this process goes on.*not a directory.*exit status 1`},
		{"is not there", "", `no restart: this process goes on.*no such file`},
	} {
		if err := os.Remove(program); err != nil {
			t.Fatal(err)
		}
		if c.script != "" {
			if err := os.WriteFile(program, []byte(c.script), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		web.signal(t, syscall.SIGUSR2)
		web.await(t, regexp.MustCompile(c.says))
		if resp, err := http.Get(web.url + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("a program that %s: %v", c.name, err)
		}
	}
	copyProgram(t, program)
	web.restart(t)
	if resp, err := http.Get(web.url + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, raw, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Who follows sees both processes while there are two, and goes on with the new one.
func TestTailAcrossRestart(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0", "--log-level", "error")
	data := t.TempDir()
	web := serveProcess(t, "concierge", "--data", data, "--rpc", chain.url)
	id := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})["user"].(string)
	at := web.url + "/mcp/users/" + id
	get := func(event string) string { return toolLine(1, "get_event", `{"event_id":"`+event+`"}`) }
	f := follow(t, "--data", data, "--level", "info", "--format", "json", "-n", "0")
	connected(t, data, 1)
	shows := func(want string) {
		t.Helper()
		for !strings.Contains(f.next(), want) {
			continue
		}
	}
	var slow slowly // has the old process stay
	if err := slow.begin(&http.Client{Transport: &http.Transport{}}, at, get("evt_0d"), "event_not_found"); err != nil {
		t.Fatal(err)
	}
	web.restart(t)
	shows(`"msg":"serving"`) // of the new one, before the old one has ended
	if note := <-f.notes; !strings.HasPrefix(note, "The server hands over") {
		t.Errorf("note: %s", note)
	}
	rpc(t, at, "get_event", `{"event_id":"evt_0a"}`)
	shows("evt_0a")
	if err := slow.end(get("evt_0d")); err != nil {
		t.Fatal(err)
	}
	shows("evt_0d")
	web.restart(t)
	shows(`"msg":"serving"`)
	rpc(t, at, "get_event", `{"event_id":"evt_0b"}`)
	shows("evt_0b")
	f.stop()
	if code := <-f.code; code != 0 {
		t.Errorf("Ctrl-C ends it with code %d", code)
	}
}

// An embedded chain can't be handed over.
func TestNoRestartWithAnEmbeddedChain(t *testing.T) {
	web := serveProcess(t, "concierge", "--data", t.TempDir())
	web.signal(t, syscall.SIGUSR2)
	web.await(t, regexp.MustCompile(`no restart.*the embedded chain would be lost.*concierge devnet`))
}

// call calls a tool and wants a text in its answer.
func call(c *http.Client, url, tool, arguments, want string) error {
	return callOnce(c, url, strings.NewReader(toolLine(1, tool, arguments)), want)
}

// callOnce makes a call that no client could send again, for it might book.
func callOnce(c *http.Client, url string, body io.Reader, want string) error {
	req, err := toolRequest(url, body)
	if err != nil {
		return err
	}
	req.GetBody = nil
	return answered(c, req, want)
}

func toolRequest(url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	return req, nil
}

// answered wants a text in what a request is answered.
func answered(c *http.Client, req *http.Request, want string) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !json.Valid(raw) || !bytes.Contains(raw, []byte(want)) {
		return fmt.Errorf("%s: %s", resp.Status, raw)
	}
	return nil
}
