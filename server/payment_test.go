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

// 100 copies of one payment: one transfer, one RSVP, the same answer for all.
func TestParallelCopies(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	arguments := map[string]any{"event_id": w.event(o, map[string]any{"price": "0.025", "capacity": 2}), "seats": 2,
		"name": " Ada ", "email": "Ada@example.org"}
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
