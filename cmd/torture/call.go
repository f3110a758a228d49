package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// client calls the servers as guests and owners do: over HTTP, by REST or MCP.
type client struct {
	bases []string // URLs of the servers
	http  *http.Client
	tally *tally

	mu      sync.Mutex
	random  *rand.Rand
	slowest time.Duration
}

func newClient(bases []string, random *rand.Rand, t *tally) *client {
	return &client{bases: bases, random: random, tally: t, http: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// anywhere returns one of the servers.
func (c *client) anywhere() string { return c.bases[c.intn(len(c.bases))] }

func (c *client) intn(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// verdict is what an answer means to a guest.
type verdict string

const (
	quoted    verdict = "quoted"     // it costs money
	confirmed verdict = "confirmed"  // booked and paid
	pending   verdict = "pending"    // held; wait
	owed      verdict = "owed"       // paid, but there is no seat
	denial    verdict = "denied"     // not booked, and nothing was charged
	later     verdict = "later"      // nothing is known; repeat the call
	given     verdict = "given back" // cancelled, by the guest or with the event
	nonsense  verdict = "nonsense"   // no server should answer that
)

// answer is what a guest is told.
type answer struct {
	verdict verdict
	code    string // of a refusal
	rsvp    string
	tx      x402.Bytes32
	quote   x402.PaymentRequired
	note    string // what is strange
}

// final tells whether there is nothing more to ask for.
func (a answer) final() bool {
	return a.verdict != pending && a.verdict != later && a.verdict != quoted
}

// bought is the answer to who pays. A payment that failed is refused, and not
// answered with an RSVP that says so.
func (a answer) bought() answer {
	if a.verdict == denial && a.code == "failed" {
		return answer{verdict: nonsense, rsvp: a.rsvp, note: "a failed RSVP as if it were booked"}
	}
	return a
}

// rsvpBody is an RSVP as the servers describe it.
type rsvpBody struct {
	ID          string       `json:"id"`
	Status      string       `json:"status"`
	Transaction x402.Bytes32 `json:"transaction"`
}

func (r rsvpBody) answer() answer {
	a := answer{rsvp: r.ID, tx: r.Transaction}
	switch {
	case r.ID == "":
		a.verdict, a.note = nonsense, "an RSVP without an id"
	case r.Status == "confirmed" && r.Transaction != x402.Bytes32{}:
		a.verdict = confirmed
	case r.Status == "pending":
		a.verdict = pending
	case r.Status == "failed" && r.Transaction != x402.Bytes32{}:
		a.verdict = owed
	case r.Status == "failed":
		a.verdict, a.code = denial, "failed"
	case r.Status == "cancelled", r.Status == "refunded":
		a.verdict = given
	default:
		a.verdict, a.note = nonsense, fmt.Sprintf("an RSVP of status %q, transaction %s", r.Status, r.Transaction)
	}
	return a
}

// refusal is the answer to a code.
func refusal(code string, paid bool) answer {
	switch code {
	case "payment_unavailable", "internal", "over_limit":
		return answer{verdict: later, code: code}
	case "payment_invalid", "payment_already_used", "event_full", "event_cancelled", "event_past", "already_booked":
		return answer{verdict: denial, code: code}
	}
	return answer{verdict: nonsense, code: code, note: fmt.Sprintf("refused with the code %q", code)}
}

// protocol is how a call is made.
type protocol struct {
	base    string
	mcp     bool
	object  bool // over MCP: the payment as an object, not as base64
	version int  // of x402
}

// protocol chooses one.
func (c *client) protocol() protocol {
	n := c.intn(8)
	return protocol{base: c.anywhere(), mcp: n&1 == 0, object: n&2 == 0, version: 1 + n>>2}
}

// order is what a guest wants.
type order struct {
	event *event
	seats int
	name  string
}

// rsvp calls rsvp_to_event, with a payment if there is one.
func (c *client) rsvp(ctx context.Context, how protocol, o order, p *x402.Payment) answer {
	if p != nil {
		copied := *p
		copied.Version = how.version
		p = &copied
	}
	if how.mcp {
		return c.overMCP(ctx, how, o, p)
	}
	path := "/api/users/" + o.event.owner.User + "/events/" + o.event.id + "/rsvps"
	resp, err := c.post(ctx, how.base, path, map[string]any{"seats": o.seats, "name": o.name}, func(h http.Header) {
		if p != nil {
			value, err := x402.Header(p)
			if err != nil {
				panic(err) // a payment that was made here always marshals
			}
			h.Set(x402.PaymentHeader(p.Version), value)
		}
	})
	if err != nil {
		return answer{verdict: later, code: "lost"}
	}
	switch resp.status {
	case http.StatusCreated, http.StatusAccepted:
		return resp.rsvp().bought()
	case http.StatusPaymentRequired:
		quote, err := x402.DecodeRequiredHeader(resp.header.Get(x402.HeaderRequired))
		return asked(quote, err, p)
	}
	return resp.refusal(p)
}

// asked is the answer that asks for money: to whoever has paid it is a denial.
func asked(quote x402.PaymentRequired, err error, p *x402.Payment) answer {
	switch {
	case err != nil:
		return answer{verdict: nonsense, note: "a request for payment that can't be read: " + err.Error()}
	case p != nil:
		return answer{verdict: denial, code: quote.Error}
	}
	return answer{verdict: quoted, quote: quote}
}

// tool is the result of a tool.
type tool struct {
	IsError    bool            `json:"isError"`
	Structured json.RawMessage `json:"structuredContent"`
}

// callTool calls a tool over MCP: as the owner, if their token is given.
func (c *client) callTool(ctx context.Context, base string, o owner, name string, arguments, meta map[string]any) (tool, *answer) {
	params := map[string]any{"name": name, "arguments": arguments}
	if meta != nil {
		params["_meta"] = meta
	}
	resp, err := c.post(ctx, base, "/mcp/users/"+o.User,
		map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, bearer(o.Token))
	if err != nil {
		return tool{}, &answer{verdict: later, code: "lost"}
	}
	if resp.status != http.StatusOK {
		a := resp.refusal(nil)
		return tool{}, &a
	}
	var message struct {
		Result *tool           `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := resp.decode(&message); err != nil || message.Result == nil {
		return tool{}, &answer{verdict: nonsense, note: fmt.Sprintf("no result over MCP: %s", message.Error)}
	}
	return *message.Result, nil
}

// read is the answer in a tool's result.
func (t tool) read(p *x402.Payment) answer {
	if !t.IsError {
		return response{body: t.Structured}.rsvp()
	}
	var e struct {
		Version int    `json:"x402Version"`
		Code    string `json:"code"`
	}
	if err := json.Unmarshal(t.Structured, &e); err != nil {
		return answer{verdict: nonsense, note: "a refusal over MCP that can't be read"}
	}
	if e.Version != 0 {
		quote, err := x402.DecodeRequired(t.Structured)
		return asked(quote, err, p)
	}
	return refusal(e.Code, p != nil)
}

func (c *client) overMCP(ctx context.Context, how protocol, o order, p *x402.Payment) answer {
	var meta map[string]any
	if p != nil {
		meta = map[string]any{x402.MetaPayment: p}
		if !how.object {
			raw, err := json.Marshal(p)
			if err != nil {
				panic(err) // as above
			}
			meta[x402.MetaPayment] = base64.StdEncoding.EncodeToString(raw)
		}
	}
	t, failed := c.callTool(ctx, how.base, owner{User: o.event.owner.User}, "rsvp_to_event",
		map[string]any{"event_id": o.event.id, "seats": o.seats, "name": o.name}, meta)
	if failed != nil {
		return *failed
	}
	return t.read(p).bought()
}

// about calls get_rsvp or cancel_rsvp.
func (c *client) about(ctx context.Context, name, user, id string) answer {
	t, failed := c.callTool(ctx, c.anywhere(), owner{User: user}, name, map[string]any{"rsvp_id": id}, nil)
	if failed != nil {
		return *failed
	}
	return t.read(nil)
}

// bearer adds a token, if there is one.
func bearer(token string) func(http.Header) {
	return func(h http.Header) {
		if token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
	}
}

// response is a whole HTTP response.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) decode(into any) error { return json.Unmarshal(r.body, into) }

func (r response) rsvp() answer {
	var body rsvpBody
	if err := r.decode(&body); err != nil {
		return answer{verdict: nonsense, note: "an RSVP that can't be read: " + err.Error()}
	}
	return body.answer()
}

func (r response) refusal(p *x402.Payment) answer {
	var problem struct {
		Code string `json:"code"`
	}
	if err := r.decode(&problem); err != nil {
		return answer{verdict: nonsense, note: fmt.Sprintf("status %d without a problem", r.status)}
	}
	return refusal(problem.Code, p != nil)
}

// slowestAllowed is when desktop clients give up.
const slowestAllowed = time.Minute

// post sends JSON.
func (c *client) post(ctx context.Context, base, path string, body any, edit func(http.Header)) (response, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(raw))
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	edit(req.Header)
	return c.do(req)
}

// do sends a request and reads the whole answer.
func (c *client) do(req *http.Request) (response, error) {
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return response{}, err
	}
	c.mu.Lock()
	c.slowest = max(c.slowest, time.Since(start))
	c.mu.Unlock()
	return response{status: resp.StatusCode, header: resp.Header, body: answer}, nil
}
