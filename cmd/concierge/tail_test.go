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
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/admin"
)

// following is a 'concierge tail' that runs. What it prints is read as it comes.
type following struct {
	*testing.T
	lines, notes chan string
	stop         context.CancelFunc
	code         chan int
}

func follow(t *testing.T, args ...string) *following {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &following{T: t, lines: make(chan string, 100), notes: make(chan string, 100), stop: stop, code: make(chan int, 1)}
	out, notes := f.reads(f.lines), f.reads(f.notes)
	go func() {
		f.code <- run(ctx, append([]string{"tail"}, args...), strings.NewReader(""), out, notes)
		out.Close()
		notes.Close()
	}()
	t.Cleanup(stop)
	return f
}

// reads returns what to write lines to that are to be read from a channel.
func (f *following) reads(to chan<- string) io.WriteCloser {
	r, w := io.Pipe()
	go func() {
		defer close(to)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			to <- lines.Text()
		}
	}()
	return w
}

// next returns the next record.
func (f *following) next() string {
	f.Helper()
	line, ok := <-f.lines
	if !ok {
		f.Fatalf("the tail ended with code %d: %s", <-f.code, <-f.notes)
	}
	return line
}

// A call is shown as it is answered: nothing but what is pushed ends this test.
func TestTail(t *testing.T) {
	data := t.TempDir()
	serve := func() *program {
		return start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--log-level", "error")
	}
	web := serve()
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	id, token := user["user"].(string), user["owner_token"].(string)
	all := follow(t, "--data", data, "--format", "json", "-n", "1")
	if got := all.next(); !strings.Contains(got, `"route":"POST /api/users"`) {
		t.Fatalf("of before: %s", got)
	}
	errs := follow(t, "--data", data, "--status", "error", "--user", "Ada@example.org", "-n", "0")
	made := follow(t, "--data", data, "--tool", "create_event", "--method", "post", "-n", "0", "--format", "json")
	connected(t, data, 3)

	event := post(t, web.url+"/api/users/"+id+"/events", token, map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	var record struct {
		Msg, Method, Tool, User, Event, Client string
		RequestID                              string `json:"request_id"`
		Status                                 int
		Dur, Seq                               int64
	}
	line := all.next()
	if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg != "request" || record.Method != "POST" || record.Tool != "create_event" ||
		record.User != id || record.Event != event || record.Client != "127.0.0.1" || record.Status != 201 || record.Dur <= 0 || record.Seq == 0 || len(record.RequestID) != 26 {
		t.Errorf("%+v of %s", record, line)
	}
	if got := made.next(); got != line {
		t.Errorf("filtered: %s", got)
	}
	// An error of a tool, in an answer with status 200.
	resp := rpc(t, web.url+"/mcp/users/"+id, "get_event", `{"event_id":"evt_00"}`)
	want := regexp.MustCompile(`^[0-9:.]{12}  200  POST    get_event +\S+s  client=127\.0\.0\.1  user=` + id + `  event=evt_00  code=event_not_found  id=` + resp + `$`)
	if got := errs.next(); !want.MatchString(got) {
		t.Errorf("pretty: %s", got)
	}

	// The server is restarted; the tail goes on with the new one.
	if code := web.stop(); code != 0 {
		t.Fatalf("the server ended with %d", code)
	}
	if note := <-errs.notes; !strings.HasPrefix(note, "The server is gone") {
		t.Errorf("note: %s", note)
	}
	web = serve()
	if note := <-errs.notes; !strings.HasPrefix(note, "The server was started anew") {
		t.Errorf("note: %s", note)
	}
	rpc(t, web.url+"/mcp/users/"+id, "get_event", `{"event_id":"evt_01"}`)
	if got := errs.next(); !strings.Contains(got, "event=evt_01") {
		t.Errorf("after: %s", got)
	}
	for _, f := range []*following{all, errs, made} {
		f.stop()
		if code := <-f.code; code != 0 {
			t.Errorf("Ctrl-C ends it with code %d", code)
		}
	}
	if log := web.stderr.String(); strings.Contains(log, "msg=request") {
		t.Errorf("--log-level error: %s", log)
	}
}

// connected waits until so many follow.
func connected(t *testing.T, data string, n int) {
	t.Helper()
	c, err := admin.NewClient(data)
	if err != nil {
		t.Fatal(err)
	}
	for {
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Followers >= n {
			return
		}
	}
}

// rpc calls a tool over HTTP and returns the request's id.
func rpc(t *testing.T, url, tool, arguments string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(toolLine(1, tool, arguments)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("X-Request-Id")
}

// What is booked and paid leaves a record with all that an operator asks for.
func TestTailShowsAPayment(t *testing.T) {
	data := t.TempDir()
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--log-level", "error", "--log-clients=false")
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	id := user["user"].(string)
	event := post(t, web.url+"/api/users/"+id+"/events", user["owner_token"].(string),
		map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	fund(t, web.url+"/devnet")
	var booked struct {
		RSVP struct{ Payer, Transaction string }
	}
	if err := json.Unmarshal([]byte(output(t, "", "guest", "book", event, "--host", web.url+"/mcp/users/"+id, "--json")), &booked); err != nil {
		t.Fatal(err)
	}
	args := []string{"tail", "--data", data, "--follow=false", "--tool", "rsvp_to_event", "-n", "1"}
	got := output(t, "", append(args, "--format", "json")...)
	for key, want := range map[string]string{"user": id, "tool": "rsvp_to_event", "event": event, "payer": booked.RSVP.Payer, "amount": "50000", "tx": booked.RSVP.Transaction} {
		if !strings.Contains(got, fmt.Sprintf("%q:%q", key, want)) {
			t.Errorf("%s is not %s in %s", key, want, got)
		}
	}
	if strings.Contains(got, `"client"`) || strings.Contains(got, "code") {
		t.Errorf("got %s", got)
	}
	if pretty := output(t, "", args...); !strings.Contains(pretty, "amount=$0.05") {
		t.Errorf("got %s", pretty)
	}
}

// The program itself, killed: whoever follows goes on with the next one.
func TestTailOfAKilledServer(t *testing.T) {
	data := t.TempDir()
	serve := func() *exec.Cmd {
		c := exec.CommandContext(t.Context(), "concierge", "serve", "--addr", "127.0.0.1:0", "--data", data)
		r, err := c.StderrPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if listening.MatchString(lines.Text()) {
				return c
			}
		}
		t.Fatalf("it ended: %v", c.Wait())
		return nil
	}
	server := serve()
	f := follow(t, "--data", data, "--level", "info", "--format", "json")
	if got := f.next(); !strings.Contains(got, `"msg":"serving"`) {
		t.Errorf("got %s", got)
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	if _, err := os.Lstat(filepath.Join(data, "admin.sock")); err != nil {
		t.Fatalf("the dead server's socket: %v", err)
	}
	server = serve()
	if got := f.next(); !strings.Contains(got, `"msg":"serving"`) {
		t.Errorf("got %s", got)
	}
	f.stop()
	if code := <-f.code; code != 0 {
		t.Errorf("code %d", code)
	}
	_ = server.Process.Kill()
	_ = server.Wait()
}

func TestRecordPrinter(t *testing.T) {
	var out bytes.Buffer
	p := recordPrinter{out: &out}
	at := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.Local).Format(time.RFC3339Nano)
	for _, line := range []string{
		`{"time":"` + at + `","level":"INFO","msg":"request","method":"GET","route":"GET /healthz","status":200,"dur":1234567,"request_id":"R","seq":1}`,
		`{"time":"` + at + `","level":"ERROR","msg":"tool \u001b[31mfailed","err":"a \u001b]0;b","n":7,"o":{"x":[1]},"seq":2}`,
		`{"level":"WARN","msg":"records lost","lost":12}`,
	} {
		if err := p.print([]byte(line)); err != nil {
			t.Error(err)
		}
	}
	want := `03:04:05.006  200  GET     /healthz                               1.2ms  id=R
03:04:05.006  ERROR tool ` + "\uFFFD" + `[31mfailed  err="a \x1b]0;b"  n=7  o="{\"x\":[1]}"
              WARN  records lost  lost=12
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	out.Reset()
	p.colour = true
	if err := p.print([]byte(`{"msg":"request","status":500,"code":"internal"}`)); err != nil || !strings.Contains(out.String(), "\x1b[31m500\x1b[0m") {
		t.Errorf("in colour: %q, %v", &out, err)
	}
	if err := p.print([]byte(`[1]`)); err == nil {
		t.Error("what is no record is shown")
	}
}

func FuzzFieldsOf(f *testing.F) {
	f.Add([]byte(`{"a":"b","c":1,"d":{"e":[null]}}`))
	f.Add([]byte(`{"a":`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var out bytes.Buffer
		if err := (recordPrinter{out: &out}).print(line); err != nil {
			return
		}
		if text := strings.TrimSuffix(out.String(), "\n"); printable(text) != text {
			t.Errorf("%q is shown as %q", line, text)
		}
	})
}
