package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// desktop is an MCP client with a server that it has started, as Claude Desktop
// does.
type desktop struct {
	t      *testing.T
	modern bool           // it speaks 2026-07-28, else 2025-06-18
	can    map[string]any // how it can ask its user; nil: it can't
	person func(params map[string]any) map[string]any

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
	lastID int
}

// message is what a server writes.
type message struct {
	JSONRPC string
	ID      json.RawMessage
	Method  string
	Params  map[string]any
	Result  map[string]any
	Error   *struct{ Message string }
}

// startServer starts the program itself, as another process.
func (d *desktop) startServer(env []string, args ...string) {
	d.t.Helper()
	d.cmd = exec.CommandContext(d.t.Context(), "concierge", args...)
	d.cmd.Env, d.cmd.Stderr = append(d.cmd.Environ(), env...), &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		d.in, err = d.cmd.StdinPipe()
	}
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.out = bufio.NewScanner(out)
	d.out.Buffer(nil, 4<<20)
}

func (d *desktop) write(m map[string]any) {
	d.t.Helper()
	m["jsonrpc"] = "2.0"
	line, err := json.Marshal(m)
	if err == nil {
		_, err = d.in.Write(append(line, '\n'))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// send sends a request and returns its id.
func (d *desktop) send(method string, params map[string]any) string {
	d.t.Helper()
	d.lastID++
	params = maps.Clone(params)
	if d.modern {
		capabilities := map[string]any{}
		if d.can != nil {
			capabilities["elicitation"] = d.can
		}
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": capabilities}
	}
	d.write(map[string]any{"id": d.lastID, "method": method, "params": params})
	return fmt.Sprint(d.lastID)
}

// next returns the next message. What is no JSON-RPC fails the test.
func (d *desktop) next() (m message, ok bool) {
	d.t.Helper()
	if !d.out.Scan() {
		return m, false
	}
	if err := json.Unmarshal(d.out.Bytes(), &m); err != nil || m.JSONRPC != "2.0" || m.Method == "" && m.Result == nil && m.Error == nil {
		d.t.Fatalf("stdout has %q: %v", d.out.Text(), err)
	}
	return m, true
}

// answer waits for the answer to a request, and has the person asked meanwhile.
func (d *desktop) answer(id string) map[string]any {
	d.t.Helper()
	for {
		m, ok := d.next()
		switch {
		case !ok:
			d.t.Fatalf("no answer to %s; stderr:\n%s", id, &d.stderr)
		case m.Method == "elicitation/create":
			d.write(map[string]any{"id": m.ID, "result": d.person(m.Params)})
		case m.Method != "":
		case m.Error != nil:
			d.t.Fatalf("answer to %s: %s", m.ID, m.Error.Message)
		case string(m.ID) == id:
			return m.Result
		}
	}
}

func (d *desktop) request(method string, params map[string]any) map[string]any {
	d.t.Helper()
	return d.answer(d.send(method, params))
}

// greet is the handshake, where there is one.
func (d *desktop) greet() {
	d.t.Helper()
	if d.modern {
		d.request("server/discover", map[string]any{})
		return
	}
	capabilities := map[string]any{}
	if d.can != nil {
		capabilities["elicitation"] = d.can
	}
	d.request("initialize", map[string]any{"protocolVersion": "2025-06-18", "capabilities": capabilities,
		"clientInfo": map[string]any{"name": "desktop", "version": "1"}})
	d.write(map[string]any{"method": "notifications/initialized"})
}

// call calls a tool and returns its texts in one; it answers what the server
// wants to know first.
func (d *desktop) call(tool string, arguments map[string]any) (text string, structured map[string]any) {
	d.t.Helper()
	params := map[string]any{"name": tool, "arguments": arguments}
	result := d.request("tools/call", params)
	for result["resultType"] == "input_required" {
		responses := map[string]any{}
		for id, r := range result["inputRequests"].(map[string]any) {
			responses[id] = d.person(r.(map[string]any)["params"].(map[string]any))
		}
		params["inputResponses"], params["requestState"] = responses, result["requestState"]
		result = d.request("tools/call", params)
	}
	for _, c := range result["content"].([]any) {
		text += c.(map[string]any)["text"].(string) + "\n"
	}
	structured, _ = result["structuredContent"].(map[string]any)
	return text, structured
}

func (d *desktop) tools() (names []string) {
	d.t.Helper()
	for _, tool := range d.request("tools/list", map[string]any{})["tools"].([]any) {
		names = append(names, tool.(map[string]any)["name"].(string))
	}
	return names
}

// end closes stdin; the server ends by itself, with nothing more to say but
// answers. It returns what those say.
func (d *desktop) end() (rest string) {
	d.t.Helper()
	if err := d.in.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		d.t.Fatal(err)
	}
	for {
		if _, ok := d.next(); !ok {
			break
		}
		rest += d.out.Text() + "\n"
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Fatalf("the server ended with %v:\n%s", err, &d.stderr)
	}
	return rest
}

// market is a server with one Host and two events, and a funded Guest.
type market struct {
	t                *testing.T
	web              *program
	rpc, host, home  string
	cheap, dear, key string
	owner            map[string]any
}

func newMarket(t *testing.T) *market {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	m := &market{t: t, rpc: chain.url, web: start(t, "serve", "--addr", "127.0.0.1:0", "--data", t.TempDir(), "--rpc", chain.url)}
	m.owner = post(t, m.web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	m.host = m.web.url + "/mcp/users/" + m.owner["user"].(string)
	m.newGuest()
	return m
}

// newEvents adds an event below what the Guest pays without asking, and one above.
func (m *market) newEvents() {
	m.t.Helper()
	for price, id := range map[string]*string{"0.05": &m.cheap, "2.50": &m.dear} {
		*id = post(m.t, m.web.url+"/api/users/"+m.owner["user"].(string)+"/events", m.owner["owner_token"].(string),
			map[string]any{"title": "An evening", "price": price, "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	}
}

func (m *market) newGuest() {
	m.t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		m.t.Fatal(err)
	}
	m.key, m.home = hex.EncodeToString(crypto.FromECDSA(key)), m.t.TempDir()
	post(m.t, m.rpc+"/faucet", "", map[string]string{"address": crypto.PubkeyToAddress(key.PublicKey).Hex(), "usdc": "10.00"})
}

// proxy starts `mcp guest` for Hosts.
func (m *market) proxy(d *desktop, hosts ...string) {
	m.t.Helper()
	args := []string{"mcp", "guest", "--home", m.home, "--rpc", m.rpc, "--browser=false"}
	for _, h := range hosts {
		args = append(args, "--host", h)
	}
	d.startServer([]string{envWalletKey + "=" + m.key}, args...)
}

// purse opens the Guest's books, as another process does.
func (m *market) purse(use func(*store.Purse)) {
	m.t.Helper()
	p, err := store.OpenPurse(m.t.Context(), filepath.Join(m.home, purseFile), store.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	use(p)
	if err := p.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func fillForm(params map[string]any) map[string]any {
	return map[string]any{"action": "accept", "content": map[string]any{"approve": true}}
}

// pressApprove opens the page that a client is told of, and approves.
func pressApprove(t *testing.T) func(map[string]any) map[string]any {
	return func(params map[string]any) map[string]any {
		address := params["url"].(string)
		page, err := http.Get(address)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer page.Body.Close()
		body, err := io.ReadAll(page.Body)
		token := regexp.MustCompile(`name="token" value="([^"]+)"`).FindSubmatch(body)
		if err != nil || token == nil {
			t.Errorf("%v: %s", err, body)
			return nil
		}
		done, err := http.PostForm(address, url.Values{"token": {string(token[1])}, "answer": {"approve"}})
		if err != nil {
			t.Error(err)
			return nil
		}
		done.Body.Close()
		return map[string]any{"action": "accept"}
	}
}

// The way of a guest with Claude Desktop: list, book what is cheap, be asked
// about what is not, on both generations of the protocol and with all ways to
// ask.
func TestTranscriptGuest(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	for _, modern := range []bool{false, true} {
		for name, c := range map[string]struct {
			can    map[string]any
			person func(map[string]any) map[string]any
		}{
			"form": {map[string]any{}, fillForm},
			"both": {map[string]any{"form": map[string]any{}, "url": map[string]any{}}, fillForm},
			"URL":  {map[string]any{"url": map[string]any{}}, pressApprove(t)},
			"none": {nil, nil},
		} {
			t.Run(fmt.Sprintf("modern %t/%s", modern, name), func(t *testing.T) {
				t.Parallel()
				m := *m
				m.t = t
				m.newGuest()
				m.newEvents()
				d := &desktop{t: t, modern: modern, can: c.can, person: c.person}
				m.proxy(d, m.host)
				d.greet()
				if got := d.tools(); !slices.Contains(got, "rsvp_to_event") || !slices.Contains(got, "find_events") {
					t.Errorf("tools: %v", got)
				}
				if text, _ := d.call("rsvp_to_event", map[string]any{"event_id": m.cheap}); !strings.Contains(text, "Paid $0.05") {
					t.Errorf("got %s", text)
				}
				text, _ := d.call("rsvp_to_event", map[string]any{"event_id": m.dear})
				if c.can == nil {
					if !strings.Contains(text, "concierge guest approve") {
						t.Errorf("got %s", text)
					}
					m.purse(func(p *store.Purse) {
						asked, err := p.Asked(t.Context(), x402.Address{})
						if err == nil {
							_, err = p.Answer(t.Context(), asked[0].ID, true)
						}
						if err != nil {
							t.Fatal(err)
						}
					})
					text, _ = d.call("rsvp_to_event", map[string]any{"event_id": m.dear})
				}
				if !strings.Contains(text, "Paid $2.50") || strings.Contains(text, "/approve/") {
					t.Errorf("got %s", text)
				}
				if _, spending := d.call("spending", map[string]any{}); spending["spent"] != "2.55" {
					t.Errorf("spending: %v", spending)
				}
				if rest := d.end(); strings.Contains(rest, "result") {
					t.Errorf("at the end: %s", rest)
				}
			})
		}
	}
}

// The way of an owner.
func TestTranscriptHost(t *testing.T) {
	for _, modern := range []bool{false, true} {
		for name, can := range map[string]map[string]any{"form": {}, "URL": {"url": map[string]any{}}, "none": nil} {
			t.Run(fmt.Sprintf("modern %t/%s", modern, name), func(t *testing.T) {
				d := &desktop{t: t, modern: modern, can: can}
				d.startServer(nil, "mcp", "host", "--user", "ada@example.org", "--data", t.TempDir())
				d.greet()
				if got := d.tools(); !slices.Contains(got, "create_event") || !slices.Contains(got, "get_revenue") {
					t.Errorf("tools: %v", got)
				}
				_, event := d.call("create_event", map[string]any{"title": "An evening", "starts_at": "2030-01-01T00:00:00Z", "price": "2.50"})
				if _, asked := d.call("rsvp_to_event", map[string]any{"event_id": event["id"]}); asked["x402Version"] != 2.0 {
					t.Errorf("asked for %v", asked)
				}
				if rest := d.end(); strings.Contains(rest, "result") {
					t.Errorf("at the end: %s", rest)
				}
			})
		}
	}
}

// The demo needs nothing: no folder, no key, no network.
func TestTranscriptDemo(t *testing.T) {
	d := &desktop{t: t, can: map[string]any{}, person: fillForm}
	d.startServer([]string{"HOME=", "XDG_CONFIG_HOME=", "TMPDIR=" + t.TempDir()}, "mcp", "guest", "--demo", "--browser=false")
	d.greet()
	_, found := d.call("find_events", map[string]any{"query": "Bread"})
	event := found["events"].([]any)[0].(map[string]any)
	if text, _ := d.call("rsvp_to_event_2", map[string]any{"event_id": event["id"]}); !strings.Contains(text, "Paid $2.50") {
		t.Errorf("got %s", text)
	}
	if _, funds := d.call("wallet", map[string]any{}); funds["usd"] != "17.50" {
		t.Errorf("wallet: %v", funds)
	}
	d.end()
}

// While all Hosts hang, and the wallet is being opened, the client is answered.
func TestFirstAnswer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern %t", modern), func(t *testing.T) {
			t.Parallel()
			d := &desktop{t: t, modern: modern}
			began := time.Now()
			d.startServer([]string{envWalletKey + "=" + strings.Repeat("1", 64)}, "mcp", "guest", "--home", t.TempDir(), "--browser=false",
				"--host", "http://"+silent.Addr().String()+"/a", "--host", "http://"+silent.Addr().String()+"/b")
			d.greet()
			t.Logf("the first answer came after %v, with the start of the process", time.Since(began))
			if text, _ := d.call("spending", map[string]any{}); !strings.Contains(text, `"per_payment":"25.00"`) {
				t.Errorf("got %s", text)
			}
			d.end()
		})
	}
}

// A client that goes while its person is asked is answered at once, and nothing
// is paid.
func TestStdinEndsWhileAsking(t *testing.T) {
	m := newMarket(t)
	m.newEvents()
	d := &desktop{t: t, can: map[string]any{}}
	m.proxy(d, m.host)
	d.greet()
	id := d.send("tools/call", map[string]any{"name": "rsvp_to_event", "arguments": map[string]any{"event_id": m.dear}})
	for asked := false; !asked; {
		question, ok := d.next()
		if !ok {
			t.Fatalf("it ended: %s", &d.stderr)
		}
		asked = question.Method == "elicitation/create"
	}
	if rest := d.end(); !strings.Contains(rest, `"id":`+id) || !strings.Contains(rest, "has to approve $2.50") {
		t.Errorf("the last answer: %s", rest)
	}
	m.purse(func(p *store.Purse) {
		asked, err := p.Asked(t.Context(), x402.Address{})
		if err != nil || len(asked) != 1 {
			t.Fatalf("asked: %+v, %v", asked, err)
		}
		if spent, err := p.Spent(t.Context(), asked[0].Payer, asked[0].Network, ""); err != nil || spent != 0 {
			t.Errorf("spent %s, %v", spent, err)
		}
	})
}

// A client that goes while a payment is under way loses nothing: the payment is
// in the books, and the RSVP is confirmed.
func TestStdinEndsWhilePaying(t *testing.T) {
	m := newMarket(t)
	m.newEvents()
	target, err := url.Parse(m.web.url)
	if err != nil {
		t.Fatal(err)
	}
	paying, gone := make(chan struct{}), make(chan struct{})
	forward := httputil.NewSingleHostReverseProxy(target)
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// All of it before it is passed on: an answer that comes before a ReverseProxy has
		// seen the end of a body closes that, and then the connection of the answer.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.Header.Get(x402.HeaderPaymentV2) != "" {
			close(paying)
			<-gone
		}
		forward.ServeHTTP(w, r)
	}))
	defer way.Close()
	d := &desktop{t: t}
	m.proxy(d, way.URL+strings.TrimPrefix(m.host, m.web.url))
	d.greet()
	id := d.send("tools/call", map[string]any{"name": "rsvp_to_event", "arguments": map[string]any{"event_id": m.cheap}})
	// An answer before it is paid is an error, of which the test is to tell.
	answered := make(chan string, 1)
	go func() {
		m, ok := d.next()
		answered <- fmt.Sprintf("%s %s (%t)\n", d.out.Text(), m.ID, ok)
	}()
	select {
	case <-paying:
	case early := <-answered:
		t.Fatalf("answered before it was paid: %s", early)
	}
	if err := d.in.Close(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	if rest := <-answered + d.end(); !strings.Contains(rest, `"id":`+id) || !strings.Contains(rest, "Paid $0.05") {
		t.Errorf("the last answer: %s", rest)
	}
	m.purse(func(p *store.Purse) {
		key, err := crypto.HexToECDSA(m.key)
		if err != nil {
			t.Fatal(err)
		}
		payer := x402.Address(crypto.PubkeyToAddress(key.PublicKey))
		kept, err := p.RSVPs(t.Context(), payer, 9)
		if err != nil || len(kept) != 1 || kept[0].Status != "confirmed" {
			t.Errorf("RSVPs: %+v, %v", kept, err)
		}
		paid, err := p.Expenses(t.Context(), payer, 9)
		if err != nil || len(paid) != 1 || paid[0].State != store.ExpensePaid || paid[0].RSVP != kept[0].ID {
			t.Errorf("expenses: %+v, %v", paid, err)
		}
	})
}
