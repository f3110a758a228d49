package evm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/events-concierge/concierge/payments/evm"
)

// node serves a chain over HTTP and gets wrong what a test tells it to. What
// is not told is answered by the chain.
type node struct {
	chain http.Handler
	url   string

	mu     sync.Mutex
	faults map[string]fault
	counts map[string]int
	asked  int
}

// fault answers a call in the chain's place; nil ends the connection without
// an answer.
type fault func(call) []byte

// call is one JSON-RPC call on its way to the chain.
type call struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	Nth    int               `json:"-"` // 1 for the first call of this method
	chain  http.Handler
	status *int // of the HTTP answer
}

func serve(tb testing.TB, c *chain) *node {
	tb.Helper()
	n := &node{chain: c.Handler(), faults: map[string]fault{}, counts: map[string]int{}}
	server := httptest.NewServer(n)
	tb.Cleanup(server.Close)
	n.url = server.URL
	return n
}

// dial returns a client of the node.
func (n *node) dial(tb testing.TB, opts evm.Options) *evm.Client {
	tb.Helper()
	if opts.Poll == 0 {
		opts.Poll = time.Millisecond
	}
	client, err := evm.Dial(tb.Context(), n.url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// on has the calls of a method answered by f.
func (n *node) on(method string, f fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults[method] = f
	n.counts[method] = 0
}

// until has f answer the calls of a method, and returns a context that ends with
// the nth of them.
func (n *node) until(tb testing.TB, method string, nth int, f fault) context.Context {
	ctx, cancel := context.WithCancel(tb.Context())
	tb.Cleanup(cancel)
	n.on(method, func(c call) []byte {
		if c.Nth == nth {
			cancel()
		}
		return f(c)
	})
	return ctx
}

// tally returns how many calls there were since it was last asked.
func (n *node) tally() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = 0
	return asked
}

// heal has the chain answer everything again.
func (n *node) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.faults)
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	status := http.StatusOK
	c := call{chain: n.chain, status: &status}
	if err := json.Unmarshal(body, &c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	f := n.faults[c.Method]
	n.counts[c.Method]++
	n.asked++
	c.Nth = n.counts[c.Method]
	n.mu.Unlock()
	if f == nil {
		f = call.forward
	}
	answer := f(c)
	if answer == nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

// forward has the chain answer.
func (c call) forward() []byte { return c.ask(c.Params...) }

// ask has the chain answer the same method with these parameters.
func (c call) ask(params ...json.RawMessage) []byte {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.ID, "method": c.Method, "params": params})
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	c.chain.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
	return w.Body.Bytes()
}

// result answers with v.
func (c call) result(v any) []byte {
	return must(json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.ID, "result": v}))
}

// refuse answers with a JSON-RPC error; data may be nil.
func (c call) refuse(code int, message string, data any) []byte {
	return must(json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.ID,
		"error": map[string]any{"code": code, "message": message, "data": data}}))
}

// fail answers with an HTTP error.
func (c call) fail(status int) []byte {
	*c.status = status
	return []byte(http.StatusText(status))
}

// edit answers with the chain's result after change.
func (c call) edit(change func(map[string]any)) []byte {
	var answer struct {
		Result map[string]any `json:"result"`
	}
	if err := json.Unmarshal(c.forward(), &answer); err != nil {
		panic(err)
	}
	change(answer.Result)
	return c.result(answer.Result)
}

// number reads a block number as JSON-RPC writes it.
func number(tb testing.TB, s string) uint64 {
	tb.Helper()
	n, err := hexutil.DecodeUint64(s)
	if err != nil {
		tb.Error(err)
	}
	return n
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
