package guest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

// ways are the transports and generations of MCP that a Guest reaches our own
// Hosts by.
var ways = []struct {
	name     string
	protocol string // Config.Protocol
	spoken   string
	stdio    bool
}{
	{"HTTP", "", "2026-07-28", false},
	{"HTTP, with a session", "2025-06-18", "2025-06-18", false},
	{"stdio", "", "2026-07-28", true},
	{"stdio, with a session", "2025-06-18", "2025-06-18", true},
}

// visit connects to a place in one of these ways.
func (p *place) visit(t *testing.T, stdio bool, c guest.Config) *guest.Host {
	t.Helper()
	if !stdio {
		return dial(t, p.url, c)
	}
	return over(t, func() mcp.Transport { return p.stdio(t) }, c)
}

// stdio serves the place as `concierge mcp host` does.
func (p *place) stdio(t *testing.T) mcp.Transport {
	t.Helper()
	in, toHost := io.Pipe()
	fromHost, out := io.Pipe()
	go func() {
		defer out.Close()
		err := p.hosts.ServeHost(context.Background(), tools.NewServer("test", testlog.New()), p.user, "", in, out)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("serve over stdio: %v", err)
		}
	}()
	return &mcp.IOTransport{Reader: fromHost, Writer: toHost}
}

func TestServer(t *testing.T) {
	p := newPlace(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := config(t, nil)
			c.Protocol = way.protocol
			name, protocol, err := p.visit(t, way.stdio, c).Server(t.Context())
			if err != nil || name != "events-concierge" || protocol != way.spoken {
				t.Errorf("%q, %q, %v; want %s", name, protocol, err, way.spoken)
			}
		})
	}
}

func TestEventsPageByPage(t *testing.T) {
	p := newPlace(t)
	want := map[string]bool{}
	for i := range 25 { // a page has 20
		want[p.event(t, fmt.Sprintf("Concert %d", i), "0.05", 10)] = true
	}
	dinner := p.event(t, "Dinner", "0", 1)
	h := dial(t, p.url, config(t, nil))
	pages := 0
	for cursor, more := "", true; more; more = cursor != "" {
		events, next, err := h.Events(t.Context(), "concert", cursor)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, e := range events {
			if !want[e.ID] || e.Price != "0.05" || e.Currency != "USDC" || *e.SeatsLeft != 10 {
				t.Errorf("listed twice or wrongly: %+v", e)
			}
			delete(want, e.ID)
		}
		cursor = next
	}
	if pages != 2 || len(want) > 0 {
		t.Errorf("%d page(s), and %d event(s) were not listed", pages, len(want))
	}
	all, _, err := h.Events(t.Context(), "dinner", "")
	if err != nil || len(all) != 1 || all[0].ID != dinner {
		t.Errorf("%+v, %v", all, err)
	}
	var refused *guest.ToolError
	if _, _, err := h.Events(t.Context(), "", "bogus"); !errors.As(err, &refused) || refused.Code != "invalid_argument" {
		t.Errorf("a bogus cursor: %v", err)
	}
}

func TestBookFree(t *testing.T) {
	p := newPlace(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			event := p.event(t, "Rehearsal", "0", 10)
			c := config(t, nil) // what is free needs no wallet
			c.Protocol = way.protocol
			h := p.visit(t, way.stdio, c)
			booked, err := h.Book(t.Context(), guest.Wish{EventID: event, Seats: 2})
			if err != nil || booked.RSVP.Status != "confirmed" || booked.RSVP.Seats != 2 || booked.Paid != 0 || booked.Receipt != nil {
				t.Fatalf("%+v, %v", booked, err)
			}
			again, err := h.RSVP(t.Context(), booked.RSVP.ID)
			if err != nil || again != booked.RSVP {
				t.Errorf("get_rsvp: %+v, %v", again, err)
			}
		})
	}
}

func TestBookPaid(t *testing.T) {
	p := newPlace(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			event := p.event(t, "Concert", "0.05", 10)
			payer := p.account(t, x402.USD)
			c := config(t, payer)
			c.Protocol = way.protocol
			h := p.visit(t, way.stdio, c)
			before, calls := p.balance(t, p.payTo), len(p.paidCalls())

			asked, _, err := h.Quote(t.Context(), guest.Wish{EventID: event, Seats: 3})
			if err != nil || asked == nil || asked.Accepts[0].Amount != x402.NewUint256(150_000) {
				t.Fatalf("quote: %+v, %v", asked, err)
			}
			payer.must(t, 0)
			booked, err := h.Book(t.Context(), guest.Wish{EventID: event, Seats: 3})
			if err != nil {
				t.Fatal(err)
			}
			payer.must(t, 1)
			if r := booked.RSVP; r.Status != "confirmed" || r.Amount != "150000" || r.Payer != payer.Address().String() || r.Transaction == "" {
				t.Errorf("%+v", r)
			}
			if booked.Paid != 150_000 || booked.PayTo != p.payTo {
				t.Errorf("paid %s to %s", booked.Paid, booked.PayTo)
			}
			if r := booked.Receipt; r == nil || !r.Success || r.Transaction != booked.RSVP.Transaction || r.Amount != "150000" {
				t.Errorf("receipt: %+v", r)
			}
			if got := p.balance(t, p.payTo) - before; got != 150_000 {
				t.Errorf("the host got %s", got)
			}
			if got := p.balance(t, payer.Address()); got != x402.USD-150_000 {
				t.Errorf("the guest has %s", got)
			}
			if !way.stdio { // over pipes nothing can look at what is sent; puppets do
				byHeader(t, p.paidCalls()[calls:])
			}
		})
	}
}

// byHeader checks that one payment of version 2 was sent, once, in its header.
func byHeader(t *testing.T, paid []call) {
	t.Helper()
	if len(paid) != 1 {
		t.Fatalf("%d requests had a payment", len(paid))
	}
	c := paid[0]
	if v1, v2 := c.headers(); v1 != "" || v2 == "" || c.meta[x402.MetaPayment] != nil {
		t.Errorf("X-PAYMENT %q, PAYMENT-SIGNATURE %q, _meta %s", v1, v2, c.meta[x402.MetaPayment])
	}
	if p := c.payment(t); p.Version != 2 || c.method != "tools/call" || c.tool != "rsvp_to_event" {
		t.Errorf("version %d in %s of %s", p.Version, c.method, c.tool)
	}
}

func TestPaymentByVersionAndTransport(t *testing.T) {
	for name, c := range map[string]struct {
		required string
		stdio    bool
		version  int
		where    func(c call) string // the payment, where it should be
	}{
		"version 2 by header": {required(honest), false, 2, func(c call) string { _, v2 := c.headers(); return v2 }},
		"version 1 by header": {requiredV1(honestV1), false, 1, func(c call) string { v1, _ := c.headers(); return v1 }},
		"version 2 by _meta":  {required(honest), true, 2, func(c call) string { return string(c.meta[x402.MetaPayment]) }},
		"version 1 by _meta":  {requiredV1(honestV1), true, 1, func(c call) string { return string(c.meta[x402.MetaPayment]) }},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: then(c.required, func(int, call) string { return rsvp("confirmed", "") })}
			var h *guest.Host
			if c.stdio {
				h = over(t, p.pipes, config(t, payer))
			} else {
				h = dial(t, p.web(t), config(t, payer))
			}
			booked, err := h.Book(t.Context(), wish)
			if err != nil || booked.Paid != 50_000 || booked.PayTo.String() != payee {
				t.Fatalf("%+v, %v", booked, err)
			}
			calls := p.paidCalls()
			if len(calls) != 1 || c.where(calls[0]) == "" {
				t.Fatalf("%d paid call(s): %+v", len(calls), calls)
			}
			v1, v2 := calls[0].headers()
			if places := strings.Count(fmt.Sprint(v1 != "", v2 != "", calls[0].meta[x402.MetaPayment] != nil), "true"); places != 1 {
				t.Errorf("the payment is in %d places", places)
			}
			checkPayment(t, calls[0].payment(t), payer, c.version)
		})
	}
}

// checkPayment checks that a payment is for the honest entry, and signed by
// payer in the domain of the real USDC.
func checkPayment(t *testing.T, p x402.Payment, payer *counter, version int) {
	t.Helper()
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	a := p.Payload.Authorization
	if p.Version != version || p.Scheme != "exact" || p.Network != x402.BaseSepolia || a.Value != x402.NewUint256(50_000) ||
		a.To.String() != payee || a.From != payer.Address() {
		t.Errorf("%+v", p)
	}
	d := evm.Domain{Domain: domain, ChainID: 84532, Token: asset}
	if signer, err := evm.Recover(d.Digest(a), p.Payload.Signature); err != nil || signer != payer.Address() {
		t.Errorf("signed by %s, %v", signer, err)
	}
}
