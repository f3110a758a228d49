package guest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// call is a JSON-RPC message as a Host got it.
type call struct {
	id      json.RawMessage
	version string // of the protocol that a client initializes
	method  string
	tool    string
	cursor  string
	args    string
	meta    map[string]json.RawMessage
	header  http.Header
}

func readCall(body []byte, header http.Header) call {
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Name, Cursor, ProtocolVersion string
			Arguments                     json.RawMessage
			Meta                          map[string]json.RawMessage `json:"_meta"`
		}
	}
	_ = json.Unmarshal(body, &m) // a GET has none
	return call{m.ID, m.Params.ProtocolVersion, m.Method, m.Params.Name, m.Params.Cursor, string(m.Params.Arguments), m.Params.Meta, header}
}

// headers returns the payment headers of a call.
func (c call) headers() (v1, v2 string) {
	return c.header.Get(x402.HeaderPaymentV1), c.header.Get(x402.HeaderPaymentV2)
}

func (c call) paid() bool {
	v1, v2 := c.headers()
	return v1 != "" || v2 != "" || c.meta[x402.MetaPayment] != nil
}

// raw is the JSON of the payment, from wherever it is.
func (c call) raw(t *testing.T) []byte {
	t.Helper()
	v1, v2 := c.headers()
	if meta := c.meta[x402.MetaPayment]; meta != nil {
		return meta
	}
	return unbase64(t, v1+v2)
}

func (c call) payment(t *testing.T) x402.Payment {
	t.Helper()
	p, err := x402.DecodePayment(c.raw(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// puppet is a Host whose answers are written by a test, byte for byte. It
// speaks as little MCP as a client needs, of both generations.
type puppet struct {
	// answer returns the result of a tool call. n counts them from 1.
	answer func(n int, c call) string
	// tools returns the result of tools/list.
	tools func(c call) string

	mu   sync.Mutex
	seen []call // tool calls
}

// message answers a JSON-RPC message; nothing is said to a notice.
func (p *puppet) message(c call) string {
	result := ""
	switch c.method {
	case "server/discover":
		result = `{"resultType":"complete","supportedVersions":["2026-07-28","2025-06-18"],"capabilities":{"tools":{}},"ttlMs":0}`
	case "initialize":
		result = fmt.Sprintf(`{"protocolVersion":%q,"capabilities":{"tools":{}},"serverInfo":{"name":"puppet","version":"0"}}`, c.version)
	case "tools/list":
		result = p.tools(c)
	case "tools/call":
		p.mu.Lock()
		p.seen = append(p.seen, c)
		n := len(p.seen)
		p.mu.Unlock()
		if result = p.answer(n, c); strings.HasPrefix(result, `{"jsonrpc"`) { // all of it is scripted
			return strings.Replace(result, "ID", string(c.id), 1)
		}
	default:
		return ""
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, c.id, result)
}

func (p *puppet) calls() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *puppet) paidCalls() []call {
	return slices.DeleteFunc(p.calls(), func(c call) bool { return !c.paid() })
}

// web serves the puppet over HTTP and returns its URL.
func (p *puppet) web(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

func (p *puppet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := readCall(body, r.Header)
	if c.id == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, p.message(c))
}

// pipes returns a way to connect to the puppet as one does over stdio.
func (p *puppet) pipes() mcp.Transport {
	in, toPuppet := io.Pipe()
	fromPuppet, out := io.Pipe()
	go p.serve(in, out)
	return &mcp.IOTransport{Reader: fromPuppet, Writer: toPuppet}
}

func (p *puppet) serve(in io.ReadCloser, out io.WriteCloser) {
	defer out.Close()
	defer in.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if answer := p.message(readCall(lines.Bytes(), nil)); answer != "" {
			fmt.Fprintln(out, answer)
		}
	}
}

// puppetEnv makes the test's own program be a puppet on its stdin and stdout:
// a free Host that dies in its second call.
const puppetEnv = "GUEST_TEST_PUPPET"

func runPuppet() int {
	p := &puppet{answer: func(n int, c call) string {
		if n == 2 {
			os.Exit(3)
		}
		return rsvp("confirmed", "free")
	}}
	p.serve(os.Stdin, os.Stdout)
	return 0
}
