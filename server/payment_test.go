package server_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// answer is what comes back from a tool call that is made by hand.
type answer struct {
	status     int
	header     http.Header
	isError    bool
	code       string
	text       string
	structured json.RawMessage
	rpcError   string
}

// call calls a tool as curl would, in 2025-06-18, with the payment in a header.
func (w *world) call(url, tool string, arguments any, payment *x402.Payment, headers ...string) answer {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": arguments}})
	if err != nil {
		w.t.Fatal(err)
	}
	resp, raw := w.send(url, string(body), payment, headers...)
	out := answer{status: resp.StatusCode, header: resp.Header}
	var message struct {
		Code   string
		Error  struct{ Message string }
		Result struct {
			IsError           bool
			Content           []struct{ Text string }
			StructuredContent json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &message); err != nil {
		w.t.Fatalf("%v in %s", err, raw)
	}
	out.isError, out.structured, out.rpcError, out.code = message.Result.IsError, message.Result.StructuredContent, message.Error.Message, message.Code
	if len(message.Result.Content) > 0 {
		out.text = message.Result.Content[0].Text
		var coded struct{ Code string }
		_ = json.Unmarshal(out.structured, &coded)
		out.code = coded.Code
	}
	return out
}

func (w *world) quote(url string, arguments any) x402.PaymentRequired {
	w.t.Helper()
	a := w.call(url, "rsvp_to_event", arguments, nil)
	asked, err := x402.DecodeRequired(a.structured)
	if err != nil || !a.isError || a.text != string(a.structured) {
		w.t.Fatalf("quote: %v: %+v", err, a)
	}
	return asked
}

// A payment by header gets its receipt by header, in both versions.
func TestPaymentByHeader(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	for _, version := range []int{1, 2} {
		arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05"})}
		payment := sign(t, w.wallet(x402.USD), w.quote(o.URL, arguments), version)
		a := w.call(o.URL, "rsvp_to_event", arguments, &payment)
		if a.isError || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%+v", a)
		}
		var r struct{ Status, Transaction string }
		if err := json.Unmarshal(a.structured, &r); err != nil || r.Status != "confirmed" {
			t.Errorf("%+v, %v", r, err)
		}
		for _, name := range []string{x402.HeaderResponseV1, x402.HeaderResponseV2} {
			receipt, err := x402.DecodeReceiptHeader(a.header.Get(name))
			if err != nil || !receipt.Success || receipt.Transaction != r.Transaction {
				t.Errorf("version %d, %s: %+v, %v", version, name, receipt, err)
			}
		}
	}
}

// What a guest may not get for its money.
func TestPaymentsThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	a, b := w.register("a@example.org"), w.register("b@example.org")
	cheap, dear := w.event(a, map[string]any{"price": "0.05"}), w.event(a, map[string]any{"price": "2.50"})
	twin := w.event(a, map[string]any{"price": "0.05"})
	elsewhere := w.event(b, map[string]any{"price": "0.05"})
	event := func(id string) map[string]any { return map[string]any{"event_id": id} }
	purse := w.wallet(10 * x402.USD)
	of := func(version int) x402.Payment { return sign(t, purse, w.quote(a.URL, event(cheap)), version) }

	for _, test := range []struct {
		name    string
		url, id string
		version int
		edit    func(*x402.Payment)
		code    string
		reason  x402.Reason // asked again for this reason; "" means not asked again
	}{
		{"$0.05 for an event of $2.50", a.URL, dear, 2, nil, "payment_invalid", x402.ReasonValue},
		{"the same in version 1", a.URL, dear, 1, nil, "payment_invalid", x402.ReasonValue},
		{"that says it accepted $2.50", a.URL, dear, 2, func(p *x402.Payment) {
			p.Resource = nil
			p.Accepted.Amount = x402.NewUint256(2_500_000)
		}, "payment_invalid", x402.ReasonValue},
		{"for another event of the same price", a.URL, twin, 2, nil, "payment_invalid", x402.ReasonRequirements},
		{"for another host", b.URL, elsewhere, 1, nil, "payment_invalid", x402.ReasonRecipient},
		{"for two seats", a.URL, cheap, 2, func(p *x402.Payment) { p.Accepted.Amount = x402.NewUint256(100_000) }, "payment_invalid", x402.ReasonValue},
		{"with a changed nonce", a.URL, cheap, 2, func(p *x402.Payment) { p.Payload.Authorization.Nonce[0]++ }, "payment_invalid", x402.ReasonSignature},
		{"with another payer's name", a.URL, cheap, 1, func(p *x402.Payment) { p.Payload.Authorization.From[0]++ }, "payment_invalid", x402.ReasonSignature},
		{"on another network", a.URL, cheap, 1, func(p *x402.Payment) { p.Network = x402.Base }, "payment_invalid", x402.ReasonNetwork},
		{"that never expires", a.URL, cheap, 1, func(p *x402.Payment) { p.Payload.Authorization.ValidBefore.SetAllOne() }, "payment_invalid", x402.ReasonValidBefore},
		{"that is over", a.URL, cheap, 1, func(p *x402.Payment) { p.Payload.Authorization.ValidBefore = x402.NewUint256(1) }, "payment_invalid", x402.ReasonValidBefore},
		{"for an event that is not there", a.URL, "evt_none", 2, nil, "event_not_found", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			payment := of(test.version)
			if test.edit != nil {
				test.edit(&payment)
			}
			got := w.call(test.url, "rsvp_to_event", event(test.id), &payment)
			if !got.isError || got.code != test.code {
				t.Fatalf("code %q: %s", got.code, got.text)
			}
			asked, err := x402.DecodeRequired(got.structured)
			if (err == nil) != (test.reason != "") || x402.Reason(asked.Error) != test.reason {
				t.Errorf("asked again: %v, for %q, want %q", err == nil, asked.Error, test.reason)
			}
		})
	}
	if w.balance(purse.Address()) != 10*x402.USD {
		t.Errorf("somebody was charged: %s left", w.balance(purse.Address()).USD())
	}
	if open, err := w.hosts.Server.Claims().Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d claims are left, %v", len(open), err)
	}
}

// 100 copies of one payment: one transfer, one RSVP, the same answer for all.
func TestParallelCopies(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.05", "capacity": 1})}
	payment := sign(t, w.wallet(10*x402.USD), w.quote(o.URL, arguments), 2)
	answers := make([]answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = w.call(o.URL, "rsvp_to_event", arguments, &payment) })
	}
	wg.Wait()
	for _, a := range answers {
		if a.isError || a.text != answers[0].text {
			t.Fatalf("answers differ:\n%s\n%s", answers[0].text, a.text)
		}
	}
	if later := w.call(o.URL, "rsvp_to_event", arguments, &payment); later.text != answers[0].text {
		t.Errorf("the answer changed: %s", later.text)
	}
	arguments["name"] = "somebody else"
	if other := w.call(o.URL, "rsvp_to_event", arguments, &payment); other.code != "payment_already_used" {
		t.Errorf("with other arguments: %s", other.text)
	}
	if w.balance(o.Wallet) != 50_000 || w.revenue(o) != "50000" {
		t.Errorf("balance %s, revenue %s", w.balance(o.Wallet), w.revenue(o))
	}
}

// One authorization shown to two Hosts with the same wallet at once: one of them
// refuses.
func TestTwoHostsOneWallet(t *testing.T) {
	w := newWorld(t)
	payTo := w.wallet(0).Address()
	var urls, events [2]string
	for i, email := range []string{"a@example.org", "b@example.org"} {
		var o owner
		if status := w.do("POST", "/api/users", "", map[string]string{"email": email, "wallet_address": payTo.String()}, &o); status != http.StatusCreated {
			t.Fatal(status)
		}
		urls[i], events[i] = o.URL, w.event(o, map[string]any{"price": "0.05"})
	}
	for round := range 5 {
		// Version 1 does not name what it pays for, so nothing but the claim is in
		// the way.
		payment := sign(t, w.wallet(x402.USD), w.quote(urls[0], map[string]any{"event_id": events[0]}), 1)
		var got [2]answer
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				got[i] = w.call(urls[i], "rsvp_to_event", map[string]any{"event_id": events[i]}, &payment)
			})
		}
		wg.Wait()
		if got[0].isError == got[1].isError || got[0].code+got[1].code != "payment_already_used" {
			t.Errorf("round %d:\n%s\n%s", round, got[0].text, got[1].text)
		}
	}
	if w.balance(payTo) != 5*50_000 {
		t.Errorf("balance %s", w.balance(payTo))
	}
}
