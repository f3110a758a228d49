package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
)

// within is by when anything must have come to its end; no test that passes
// waits for it.
const within = 30 * time.Second

// patient is how long connections are waited for where it does not matter.
const patient = time.Minute

// listening has a door listen, with a user's Host behind it.
func listening(t *testing.T, l server.Limits, header, read, write, idle time.Duration) (d *door, addr, path string) {
	t.Helper()
	d = newDoor(t, l, io.Discard)
	d.SetPatience(header, read, write, idle)
	user, _ := d.user(t, "ada@example.org")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, listener, 0) }() // connections that a test left open are cut
	t.Cleanup(func() {
		cancel()
		<-served
	})
	return d, listener.Addr().String(), "/mcp/users/" + user
}

// line is a connection to a server.
type line struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

func dial(t *testing.T, addr string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(within))
	return &line{conn, bufio.NewReader(conn), t}
}

func (l *line) Read(b []byte) (int, error) { return l.Reader.Read(b) }

func (l *line) send(format string, args ...any) {
	l.t.Helper()
	if _, err := fmt.Fprintf(l.Conn, format, args...); err != nil {
		l.t.Fatal(err)
	}
}

// answer reads one answer.
func (l *line) answer() (status int, body string) {
	l.t.Helper()
	resp, err := http.ReadResponse(l.Reader, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// dribble sends a byte at a time until it can't.
func (l *line) dribble(b string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(l.Conn, b); err != nil {
			return
		}
	}
}

// ends reads until the server closes the connection.
func (l *line) ends() string {
	l.t.Helper()
	rest, err := io.ReadAll(l)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Errorf("the connection is still open")
	}
	return string(rest)
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// Who sends its headers or its body byte by byte is cut off in the time that an
// honest client has.
func TestDribble(t *testing.T) {
	const short = 100 * time.Millisecond
	for _, test := range []struct {
		name         string
		header, read time.Duration
		begins, says string
	}{
		{"headers", short, patient, "POST /api/users HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", ""},
		{"nothing at all", short, patient, "", ""},
		{"body", short, short, "POST /api/users HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{", `"code":"too_slow"`},
		{"chunks", short, short, "POST /api/users HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{", `"code":"too_slow"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, addr, _ := listening(t, server.Limits{}, test.header, test.read, patient, patient)
			l := dial(t, addr)
			l.send("%s", test.begins)
			if test.begins != "" {
				go l.dribble("a") // until the connection is closed
			}
			if rest := l.ends(); !strings.Contains(rest, test.says) {
				t.Errorf("the answer is %s", rest)
			}
		})
	}
}

// A connection that asks nothing more is closed.
func TestIdleConnection(t *testing.T) {
	_, addr, path := listening(t, server.Limits{}, patient, patient, patient, 50*time.Millisecond)
	l := dial(t, addr)
	l.send("%s", post(path, listEvents))
	if status, _ := l.answer(); status != 200 {
		t.Errorf("status %d", status)
	}
	l.ends()
}

// Who asks and asks and reads no answer is cut off.
func TestUnreadAnswers(t *testing.T) {
	_, addr, path := listening(t, server.Limits{}, patient, patient, 200*time.Millisecond, patient)
	l := dial(t, addr)
	ask := post(path, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var err error
	for err == nil {
		_, err = io.WriteString(l.Conn, ask)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// What a request may cost in memory, whatever it is made of.
func TestHugeRequests(t *testing.T) {
	const most = 12 << 20 // the client's own part is in it
	_, addr, path := listening(t, server.Limits{}, patient, patient, patient, patient)
	head := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_events",`
	listen := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true,` +
		`"resourceSubscriptions":["a://b"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	full := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (256<<10-len(head)-len(tail))/len(unit)) + tail
	}
	for _, test := range []struct {
		name, request string
		status        int
	}{
		{"a megabyte of one header", head + "X-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431},
		{"a megabyte of headers", head + strings.Repeat("A: b\r\n", 1<<18) + "\r\n", 431},
		{"as many headers as may be", head + "Content-Length: 2\r\n" + strings.Repeat("A:\r\n", 15_000) + "\r\n{}", 200},
		{"a long path", "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		{"a long body", post(path, strings.Repeat(" ", 300<<10)), 413},
		{"deep arrays", post(path, strings.Repeat("[", 256<<10)), 400},
		{"deep objects", post(path, strings.Repeat(`{"a":`, 50<<10)), 400},
		{"deep meta", post(path, call+`"_meta":{"a":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}}}`), 400},
		{"many arrays", post(path, full(call+`"_meta":{"a":[`, `[],`, `[]]}}}`)), 400},
		{"many numbers", post(path, full(call+`"_meta":{"a":[`, `1,`, `1]}}}`)), 400},
		{"many names", post(path, full(call+`"arguments":{`, `"":1,`, `"":1}}}`)), 400},
		{"many payments", post(path, full(call+`"_meta":{`, `"x402/payment":{},`, `"":1}}}`)), 400},
		{"an id of many parts", post(path, full(`{"jsonrpc":"2.0","method":"tools/list","id":[`, `{},`, `{}]}`)), 400},
		{"as many values as may be", post(path, call+`"_meta":{"a":[`+strings.Repeat(`{},`, 2000)+`{}]}}}`), 200},
		{"a long text", post(path, full(call+`"arguments":{"query":"`, "a", `"}}}`)), 200},
		{"an escaped text", post(path, full(call+`"arguments":{"query":"`, `\u0000`, `"}}}`)), 200},
		{"a batch", post(path, "["+listEvents+","+listEvents+"]"), 400},
		{"a long batch", post(path, full("[", listEvents+",", listEvents+"]")), 400},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403},
		{"an upgrade to it", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200},
		{"a stream of nothing", strings.Replace(post(path, listen), "\r\n", "\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n", 1), 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := dial(t, addr)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(l.Conn, test.request) // the server may hang up on it
			}()
			status, body := l.answer()
			l.Close()
			<-sent
			runtime.ReadMemStats(&after)
			if status != test.status {
				t.Errorf("%d %.200s", status, body)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("it takes %d bytes", took)
			}
		})
	}
}

// A body without an end is read as far as a body may go.
func TestEndlessBody(t *testing.T) {
	_, addr, path := listening(t, server.Limits{}, patient, patient, patient, patient)
	l := dial(t, addr)
	l.send("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat(" ", 32<<10))
	sent := make(chan int)
	go func() {
		n := 0
		for {
			if _, err := io.WriteString(l.Conn, chunk); err != nil {
				sent <- n
				return
			}
			n += len(chunk)
		}
	}()
	if status, body := l.answer(); status != 413 || !strings.Contains(body, "too_large") {
		t.Errorf("%d %s", status, body)
	}
	if n := <-sent; n > 32<<20 { // what fits into the buffers of both sides
		t.Errorf("the server took %d bytes", n)
	}
}

// Requests that come all at once in one connection are each counted.
func TestPipelining(t *testing.T) {
	_, addr, path := listening(t, server.Limits{User: 8}, patient, patient, patient, patient)
	l := dial(t, addr)
	l.send("%s", strings.Repeat(post(path, listEvents), 12))
	for i := range 12 {
		if status, body := l.answer(); status != map[bool]int{true: 200, false: 429}[i < 8] {
			t.Errorf("answer %d: %d %s", i, status, body)
		}
	}
}

// A long body takes more tokens than one, so that few can be sent.
func TestLongBodiesCount(t *testing.T) {
	d := newDoor(t, server.Limits{User: 40}, io.Discard)
	user, _ := d.user(t, "ada@example.org")
	long := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"a":"` + strings.Repeat("a", 200<<10) + `"}}}`
	if n := d.asks(10, loopback, "POST", "/mcp/users/"+user, "", long); n != 3 { // of 40 tokens, 13 each
		t.Errorf("%d long ones passed", n)
	}
	if n := d.asks(1, loopback, "POST", "/mcp/users/"+user, "", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); n != 0 {
		t.Errorf("%d short ones passed", n)
	}
}

// Large bodies that don't come to an end keep other large ones out, and no small
// ones.
func TestManyLargeBodies(t *testing.T) {
	d, addr, path := listening(t, server.Limits{}, patient, patient, patient, patient)
	large := post(path, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"a":"`+strings.Repeat("a", 100<<10)+`"}}}`)
	slow := make([]*line, 64)
	for i := range slow {
		slow[i] = dial(t, addr)
		slow[i].send("%s", large[:len(large)-10])
	}
	until := func(n int) { // so many are being read
		t.Helper()
		for deadline := time.Now().Add(within); d.Large() != n; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d are being read, want %d", d.Large(), n)
			}
		}
	}
	until(len(slow))
	for what, body := range map[int]string{429: large, 200: post(path, listEvents)} {
		l := dial(t, addr)
		l.send("%s", body)
		if status, answer := l.answer(); status != what {
			t.Errorf("%d bytes: %d %s", len(body), status, answer)
		}
	}
	for _, l := range slow[8:] {
		l.Close()
	}
	for _, l := range slow[:8] {
		l.send("%s", large[len(large)-10:])
		if status, body := l.answer(); status != 200 {
			t.Errorf("a slow one: %d %s", status, body)
		}
	}
	until(0)
}

// However many connections are opened and left alone, a new one is served, and
// one that is being answered stays.
func TestTooManyConnections(t *testing.T) {
	_, addr, path := listening(t, server.Limits{Connections: 30}, patient, patient, patient, patient)
	body := listEvents
	busy := dial(t, addr)
	busy.send("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path, len(body))
	if hint, err := busy.ReadString('\n'); err != nil || !strings.Contains(hint, "100 Continue") { // its body is being read
		t.Fatal(hint, err)
	}
	if _, err := busy.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	silent := make([]*line, 100)
	for i := range silent {
		silent[i] = dial(t, addr)
		if i%2 == 0 {
			silent[i].send("GET /healthz HTTP/1.1\r\nHost: loc") // and no more
		}
	}
	l := dial(t, addr)
	l.send("%s", post(path, listEvents))
	if status, _ := l.answer(); status != 200 {
		t.Errorf("a new connection: %d", status)
	}
	busy.send("%s", body)
	if status, _ := busy.answer(); status != 200 {
		t.Errorf("the busy one: %d", status)
	}
	for _, l := range silent[:70] {
		l.ends()
	}
}

// What a connection costs that is left alone after a request.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const connections, most = 500, 100 << 10 // both sides of each are in this process
	_, addr, path := listening(t, server.Limits{Connections: 2 * connections}, patient, patient, patient, patient)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := memory()
	lines := make([]*line, connections)
	for i := range lines {
		lines[i] = dial(t, addr)
		lines[i].send("%s", post(path, listEvents))
		if status, _ := lines[i].answer(); status != 200 {
			t.Fatalf("connection %d: %d", i, status)
		}
	}
	each := (memory() - before) / connections
	t.Logf("%d bytes a connection, both sides", each)
	if each > most {
		t.Errorf("a connection takes %d bytes", each)
	}
	runtime.KeepAlive(lines)
}
