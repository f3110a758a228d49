package host_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/server/host"
)

// echoServer has a tool that waits until it is released, one that answers at
// once, and one that asks the client.
func echoServer(begun chan<- struct{}, release <-chan struct{}) *server.MCPServer {
	s := server.NewMCPServer("echo", "1")
	s.AddTool(mcp.NewTool("slow"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		select {
		case <-release:
			return mcp.NewToolResultText("done"), nil
		case <-ctx.Done():
			return mcp.NewToolResultError("cut off"), nil
		}
	})
	s.AddTool(mcp.NewTool("fast"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("fast"), nil
	})
	s.AddTool(mcp.NewTool("ask"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		r, err := s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{Message: "Well?", RequestedSchema: map[string]any{}}})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprint(r.Action, r.Content)), nil
	})
	return s
}

func same(ctx context.Context) (context.Context, error) { return ctx, nil }

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n"

func callLine(id int, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q}}`+"\n", id, tool)
}

// answers reads JSON-RPC lines and returns their results by id. A line that is
// not JSON-RPC fails the test.
func answers(t *testing.T, r io.Reader) map[int]string {
	t.Helper()
	got := map[int]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*host.MaxMessage)
	for lines.Scan() {
		var m struct {
			JSONRPC       string
			ID            *int
			Result, Error json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.JSONRPC != "2.0" {
			t.Fatalf("stdout has %q: %v", lines.Text(), err)
		}
		id := -1
		if m.ID != nil {
			id = *m.ID
		}
		got[id] += string(m.Result) + string(m.Error)
	}
	return got
}

// When stdin ends, or the program is told to stop, calls under way finish and
// are answered.
func TestCallsFinishAtTheEnd(t *testing.T) {
	for _, by := range []string{"end of input", "signal"} {
		t.Run(by, func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			in, client := io.Pipe()
			var out bytes.Buffer
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- host.ServeStdio(ctx, echoServer(begun, release), in, &out, same) }()
			if _, err := io.WriteString(client, hello+callLine(1, "slow")+callLine(2, "slow")); err != nil {
				t.Fatal(err)
			}
			<-begun
			<-begun
			if by == "signal" {
				stop()
			} else {
				client.Close()
			}
			close(release)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			stop()
			client.Close()
			got := answers(t, &out)
			for _, id := range []int{1, 2} {
				if !strings.Contains(got[id], "done") {
					t.Errorf("call %d: %s", id, got[id])
				}
			}
		})
	}
}

// A call that waits does not hold up others.
func TestCallsRunBesideEachOther(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	serverIn, client := io.Pipe()
	fromServer, serverOut := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- host.ServeStdio(t.Context(), echoServer(begun, release), serverIn, serverOut, same)
		serverOut.Close()
	}()
	var reading sync.WaitGroup
	lines := make(chan string, 10)
	reading.Go(func() {
		for s := bufio.NewScanner(fromServer); s.Scan(); {
			lines <- s.Text()
		}
	})
	if _, err := io.WriteString(client, hello+callLine(1, "slow")); err != nil {
		t.Fatal(err)
	}
	<-begun
	if _, err := io.WriteString(client, callLine(2, "fast")); err != nil {
		t.Fatal(err)
	}
	<-lines // of initialize
	if got := <-lines; !strings.Contains(got, `"id":2`) {
		t.Errorf("%s came first", got)
	}
	close(release)
	client.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	reading.Wait()
}

// What a client answers to a question reaches the call that asked, also when as
// many calls wait as are worked on at a time. What answers no question is dropped.
func TestQuestions(t *testing.T) {
	in, client := io.Pipe()
	fromServer, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- host.ServeStdio(t.Context(), echoServer(nil, nil), in, out, same)
		out.Close()
	}()
	const calls = 32
	results := map[string]int{}
	answered := map[string]bool{}
	write := func(line string) {
		if _, err := io.WriteString(client, line+"\n"); err != nil {
			t.Error(err)
		}
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		write(strings.TrimSpace(hello))
		for id := range calls {
			write(strings.TrimSpace(callLine(id+1, "ask")))
		}
	})
	var questions []string
	lines := bufio.NewScanner(fromServer)
	for len(questions) < calls && lines.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Method == "elicitation/create" {
			questions = append(questions, string(m.ID))
		}
	}
	writing.Wait()
	writing.Go(func() {
		for i, id := range questions {
			answer := `"result":{"action":"accept","content":{"n":1}}`
			switch i {
			case 0:
				answer = `"error":{"code":-1,"message":"no"}`
			case 1:
				answer = `"result":7`
			case 2: // left open: the end of the input is its answer
				continue
			}
			write(`{"jsonrpc":"2.0","id":"` + id + `",` + answer + `}`)
			write(`{"jsonrpc":"2.0","id":999,` + answer + `}`)
			write(`{"jsonrpc":"2.0","id":` + id + `,` + answer + `}`)
			write(`{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"decline"}}`)
		}
		client.Close()
	})
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage
			Result struct{ Content []struct{ Text string } }
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || len(m.Result.Content) != 1 || answered[string(m.ID)] {
			t.Fatalf("%s, %v", lines.Text(), err)
		}
		answered[string(m.ID)] = true
		results[strings.SplitN(m.Result.Content[0].Text, ":", 2)[0]]++
	}
	writing.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	want := map[string]int{"acceptmap[n": calls - 3, "the client can't ask": 1, "the client's answer": 1, "the client has gone": 1}
	if !maps.Equal(results, want) {
		t.Errorf("got %v", results)
	}
}

func TestDamagedInput(t *testing.T) {
	huge := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + strings.Repeat("x", 2*host.MaxMessage) + `"}}` + "\n"
	var out bytes.Buffer
	in := hello + "\n  \nnot JSON\n" + huge + `{"jsonrpc":"2.0","id":8,"method":"no/such"}` + "\n" + callLine(9, "fast")
	if err := host.ServeStdio(t.Context(), echoServer(nil, nil), strings.NewReader(strings.TrimSuffix(in, "\n")), &out, same); err != nil {
		t.Fatal(err)
	}
	got := answers(t, &out)
	if n := strings.Count(got[-1], "-32700"); n != 2 {
		t.Errorf("%d parse errors, want one for the garbage and one for the line that is too long: %.300s", n, got[-1])
	}
	if !strings.Contains(got[8], "-32601") || !strings.Contains(got[9], "fast") || got[7] != "" {
		t.Errorf("%.500v", got)
	}
}

// A client that has gone does not keep the server from ending.
func TestClientGone(t *testing.T) {
	err := host.ServeStdio(t.Context(), echoServer(nil, nil), strings.NewReader(hello+callLine(1, "fast")), brokenPipe{}, same)
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }
