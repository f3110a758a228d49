package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

// settlement is what a facilitator does to settle.
type settlement func(context.Context, x402.Payment, x402.Requirements) (x402.SettleResponse, error)

// fate is a facilitator that settles, or not, as a test says.
type fate struct {
	payments.Facilitator
	mu     sync.Mutex
	settle settlement
}

// set has payments settled in this way, or with nil in the right one.
func (f *fate) set(settle settlement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle = settle
}

func (f *fate) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	f.mu.Lock()
	settle := f.settle
	f.mu.Unlock()
	if settle == nil {
		settle = f.Facilitator.Settle
	}
	return settle(ctx, p, r)
}

func fatedShop(t *testing.T) (*shop, *fate) {
	t.Helper()
	f := &fate{}
	return newShop(t, func(real payments.Facilitator) payments.Facilitator { f.Facilitator = real; return f }), f
}

func fails(context.Context, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil
}

func isLost(context.Context, x402.Payment, x402.Requirements) (x402.SettleResponse, error) {
	return x402.SettleResponse{}, errors.New("no answer")
}

// way is how a client pays.
type way struct {
	name   string
	header string // or "" for `_meta`
	base64 bool
}

var ways = []way{
	{"an object in _meta", "", false},
	{"base64 in _meta", "", true},
	{"PAYMENT-SIGNATURE", x402.HeaderPaymentV2, true},
	{"X-PAYMENT", x402.HeaderPaymentV1, true},
}

// put returns what belongs in `_meta` and in the headers to pay with p.
func (v way) put(t *testing.T, p *x402.Payment) (meta string, headers []string) {
	t.Helper()
	if p == nil {
		return "", nil
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case v.header != "":
		return "", []string{v.header, toBase64(raw)}
	case v.base64:
		return text(toBase64(raw)), nil
	}
	return string(raw), nil
}

// reply is what a client gets over any of the routes.
type reply struct {
	status int         // of HTTP; 0 over stdio
	header http.Header // nil over stdio
	body   []byte
}

// route is a way to reach a Host.
type route struct {
	name     string
	meta     bool // it is MCP, so there is `_meta`
	headers  bool // it is HTTP, so there are headers
	asks402  bool // an unpaid call is answered with that status,
	asksRPC  bool // or with a JSON-RPC error of that code
	exchange func(s *shop, arguments map[string]any, meta string, headers []string) reply
}

func routes(s *shop) []route {
	post := func(url, body string, headers []string) reply {
		resp, raw := s.send(url, body, nil, headers...)
		return reply{resp.StatusCode, resp.Header, raw}
	}
	mcpOver := func(query string) func(*shop, map[string]any, string, []string) reply {
		return func(s *shop, arguments map[string]any, meta string, headers []string) reply {
			return post(s.a.URL+query, rpcCall(s.t, arguments, meta), headers)
		}
	}
	in, out := s.pipes(s.a, false)
	lines := bufio.NewReader(in)
	line := func(message string) []byte {
		if _, err := io.WriteString(out, message+"\n"); err != nil {
			s.t.Fatal(err)
		}
		for {
			answer, err := lines.ReadBytes('\n')
			if err != nil {
				s.t.Fatal(err)
			}
			if !bytes.Contains(answer, []byte(`"method":"notifications/`)) { // there is a new event
				return answer
			}
		}
	}
	line(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	return []route{
		{"MCP over HTTP", true, true, false, false, mcpOver("")},
		{"MCP over stdio", true, false, false, false, func(s *shop, arguments map[string]any, meta string, _ []string) reply {
			return reply{body: line(rpcCall(s.t, arguments, meta))}
		}},
		{"payment=http", true, true, true, false, mcpOver("?payment=http")},
		{"payment=jsonrpc", true, true, false, true, mcpOver("?payment=jsonrpc")},
		{"REST", false, true, true, false, func(s *shop, arguments map[string]any, _ string, headers []string) reply {
			url, body := s.rest(s.a, arguments)
			return post(url, body, headers)
		}},
	}
}

// Every client finds what it looks for where it looks for it: the request for
// payment, the RSVP and the receipt, over every route, in both versions of x402
// and with every way to pay.
func TestDialects(t *testing.T) {
	s, facilitator := fatedShop(t)
	for _, route := range routes(s) {
		for _, version := range []int{1, 2} {
			for _, way := range ways {
				if way.header == "" && !route.meta || way.header != "" && !route.headers {
					continue // there is no such place
				}
				t.Run(fmt.Sprintf("%s/version %d/%s", route.name, version, way.name), func(t *testing.T) {
					d := dialect{t, s, facilitator, route, way, version, s.arguments(s.world.event(s.a, map[string]any{"price": "0.05"}), 1)}
					d.arguments["email"] = "" // several guests book here
					if d.unpaid(); version == 1 && way.header == x402.HeaderPaymentV2 {
						d.refused()
						return
					}
					d.failed()
					d.pending()
					d.paid()
				})
			}
		}
	}
}

// dialect is one cell of the matrix.
type dialect struct {
	t *testing.T
	*shop
	facilitator *fate
	route       route
	way         way
	version     int
	arguments   map[string]any
}

// pay sends a new payment of a new guest, or none.
func (d dialect) pay(p *x402.Payment) reply {
	d.t.Helper()
	meta, headers := d.way.put(d.t, p)
	return d.route.exchange(d.shop, d.arguments, meta, headers)
}

func (d dialect) newPayment() *x402.Payment {
	d.t.Helper()
	d.purse = d.wallet(x402.USD)
	d.asked = d.quote(d.a.URL, d.arguments)
	p := d.signed(d.version, nil)
	return &p
}

func (d dialect) unpaid() {
	d.t.Helper()
	got := d.pay(nil)
	d.asks(got, "Payment required to book", "")
	d.noReceipt(got)
}

func (d dialect) refused() {
	d.t.Helper()
	got := d.pay(d.newPayment())
	d.asks(got, string(x402.ReasonVersion), "payment_invalid")
	d.noReceipt(got)
}

func (d dialect) failed() {
	d.t.Helper()
	d.facilitator.set(fails)
	defer d.facilitator.set(nil)
	p := d.newPayment()
	for _, when := range []string{"first", "again"} {
		got := d.pay(p)
		d.asks(got, string(x402.ReasonTransactionFailed), "payment_invalid")
		if r := d.receipt(got); r.Success || r.ErrorReason != x402.ReasonTransactionFailed || r.Transaction != "" {
			d.t.Errorf("failed, %s: receipt %+v", when, r)
		}
	}
}

func (d dialect) pending() {
	d.t.Helper()
	d.facilitator.set(isLost)
	defer d.facilitator.set(nil)
	p := d.newPayment()
	rsvp := ""
	for _, when := range []string{"first", "again"} {
		got := d.pay(p)
		r := d.rsvp(got, http.StatusAccepted)
		if rsvp == "" {
			rsvp = r.ID
		}
		if r.Status != "pending" || r.ID != rsvp || !strings.Contains(r.Note, "Do NOT pay again") || !strings.Contains(r.Note, "get_rsvp") {
			d.t.Errorf("pending, %s: %+v", when, r)
		}
		if r := d.receipt(got); r.Success || r.ErrorReason != x402.ReasonSettlementPending {
			d.t.Errorf("pending, %s: receipt %+v", when, r)
		}
	}
}

func (d dialect) paid() {
	d.t.Helper()
	p := d.newPayment()
	before := d.balance(d.a.Wallet)
	first := d.pay(p)
	r, receipt := d.rsvp(first, http.StatusCreated), d.receipt(first)
	if r.Status != "confirmed" || r.Payer != d.purse.Address().String() || r.Amount != "50000" {
		d.t.Errorf("paid: %+v", r)
	}
	want := x402.SettleResponse{Success: true, Payer: r.Payer, Transaction: r.Transaction, Network: x402.BaseSepolia.Name(d.version), Amount: "50000"}
	if diff := cmp.Diff(want, receipt); diff != "" {
		d.t.Errorf("receipt (-want +got):\n%s", diff)
	}
	again := d.pay(p)
	if diff := cmp.Diff(string(first.body), string(again.body)); diff != "" {
		d.t.Errorf("paid again (-first +again):\n%s", diff)
	}
	if diff := cmp.Diff(receipt, d.receipt(again)); diff != "" {
		d.t.Errorf("the receipt again (-first +again):\n%s", diff)
	}
	if after := d.balance(d.a.Wallet); after != before+50_000 {
		d.t.Errorf("paid %s", after-before)
	}
}

// result is the result of a tool call.
type result struct {
	IsError           bool                       `json:"isError"`
	Content           []struct{ Text string }    `json:"content"`
	StructuredContent json.RawMessage            `json:"structuredContent"`
	Meta              map[string]json.RawMessage `json:"_meta"`
}

func (d dialect) result(r reply) result {
	d.t.Helper()
	var m struct{ Result *result }
	if err := json.Unmarshal(r.body, &m); err != nil || m.Result == nil || d.route.headers && r.status != http.StatusOK {
		d.t.Fatalf("not a tool's answer: %d %s, %v", r.status, r.body, err)
	}
	if len(m.Result.Content) != 1 || m.Result.Content[0].Text != string(m.Result.StructuredContent) {
		d.t.Errorf("the text is not the structured content: %s", r.body)
	}
	return *m.Result
}

// refusal returns the data of a JSON-RPC error with code 402 that answers our
// call, nil if it is something else.
func (d dialect) refusal(r reply) json.RawMessage {
	d.t.Helper()
	var m struct {
		ID    any
		Error *struct {
			Code    int
			Message string
			Data    json.RawMessage
		}
	}
	if err := json.Unmarshal(r.body, &m); err != nil || m.Error == nil {
		return nil
	}
	if m.ID != 1.0 || m.Error.Code != 402 || m.Error.Message == "" {
		d.t.Errorf("%s", r.body)
	}
	return m.Error.Data
}

// asks checks that an answer asks for payment in all places of its route.
func (d dialect) asks(r reply, reason, code string) {
	d.t.Helper()
	var places [][]byte
	if d.route.asksRPC {
		refusal := d.refusal(r)
		if refusal == nil || r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" {
			d.t.Fatalf("%d %s", r.status, r.body)
		}
		places = append(places, refusal)
	} else if d.route.asks402 {
		if value := r.header.Get(x402.HeaderRequired); r.status != http.StatusPaymentRequired || r.header.Get("Cache-Control") != "no-store" {
			d.t.Fatalf("%d %s", r.status, r.body)
		} else {
			places = append(places, fromBase64(value), r.body)
		}
	} else {
		result := d.result(r)
		if !result.IsError {
			d.t.Errorf("no error: %s", r.body)
		}
		places = append(places, result.StructuredContent, result.Meta[x402.MetaError])
	}
	for i, raw := range places {
		asked, err := x402.DecodeRequired(raw)
		if err != nil {
			d.t.Fatalf("place %d: %v in %s", i, err, raw)
		}
		version := 2
		if d.route.asks402 && i == 1 || d.route.asksRPC { // the body
			version = 1
		}
		if asked.X402Version != version || asked.Error != reason || asked.Accepts[0].PayTo != d.a.Wallet ||
			asked.Accepts[0].Amount != x402.NewUint256(50_000) || !strings.HasPrefix(asked.Resource.URL, "mcp://tool/rsvp_to_event?") {
			d.t.Errorf("place %d asks %s", i, raw)
		}
		var coded struct{ Code, Message string }
		if err := json.Unmarshal(raw, &coded); err != nil || !d.route.asks402 && i == 1 {
			continue // `_meta` has x402's part alone
		}
		if coded.Code != code || (coded.Message == "") != (code == "") {
			d.t.Errorf("place %d: code %q, message %q", i, coded.Code, coded.Message)
		}
	}
}

func (d dialect) rsvp(r reply, status int) (out tools.RSVP) {
	d.t.Helper()
	raw := r.body
	if d.route.meta {
		result := d.result(r)
		if raw = result.StructuredContent; result.IsError {
			d.t.Errorf("an error: %s", raw)
		}
	} else if r.status != status {
		d.t.Errorf("status %d, want %d", r.status, status)
	}
	if r.header != nil && (r.header.Get("Cache-Control") != "no-store" || r.header.Get(x402.HeaderRequired) != "") {
		d.t.Errorf("headers %v", r.header)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		d.t.Fatalf("%v in %s", err, raw)
	}
	return out
}

// receipt returns the receipt, which must be the same in all places where a
// client of the route may look.
func (d dialect) receipt(r reply) x402.SettleResponse {
	d.t.Helper()
	var places [][]byte
	if d.route.headers {
		for _, name := range []string{x402.HeaderResponseV1, x402.HeaderResponseV2} {
			places = append(places, fromBase64(r.header.Get(name)))
		}
	}
	if d.route.meta && r.status != http.StatusPaymentRequired && d.refusal(r) == nil {
		places = append(places, d.result(r).Meta[x402.MetaResponse])
	}
	var receipts []x402.SettleResponse
	for _, raw := range places {
		receipt, err := x402.DecodeReceipt(raw)
		if err != nil || receipt.Network != x402.BaseSepolia.Name(d.version) {
			d.t.Fatalf("receipt %s: %v", raw, err)
		}
		if receipts = append(receipts, receipt); !cmp.Equal(receipts[0], receipt) {
			d.t.Errorf("receipts differ: %+v", receipts)
		}
	}
	return receipts[0]
}

func (d dialect) noReceipt(r reply) {
	d.t.Helper()
	if r.header.Get(x402.HeaderResponseV1)+r.header.Get(x402.HeaderResponseV2) != "" || strings.Contains(string(r.body), x402.MetaResponse) {
		d.t.Errorf("a receipt for nothing: %v %s", r.header, r.body)
	}
}
