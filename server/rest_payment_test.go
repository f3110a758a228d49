package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// send posts JSON with a payment in its header, and other headers in pairs. It
// returns the answer and its body.
func (w *world) send(url, body string, payment *x402.Payment, headers ...string) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if payment != nil {
		value, err := x402.Header(payment)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set(x402.PaymentHeader(payment.Version), value)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, raw
}

// checkRequired reads a 402 in both versions; they must ask for the same.
func checkRequired(t *testing.T, resp *http.Response, body []byte) x402.PaymentRequired {
	t.Helper()
	if resp.StatusCode != http.StatusPaymentRequired {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	v2, err := x402.DecodeRequiredHeader(resp.Header.Get(x402.HeaderRequired))
	if err != nil {
		t.Fatal(err)
	}
	v1, err := x402.DecodeRequired(body)
	if err != nil {
		t.Fatal(err)
	}
	if v1.X402Version != 1 || v2.X402Version != 2 || v1.Accepts[0] != v2.Accepts[0] || v1.Resource != v2.Resource {
		t.Errorf("version 1 asks %+v, version 2 %+v", v1, v2)
	}
	return v2
}

// Booking over plain HTTP, with 402 as x402 has it there.
func TestPaymentOverREST(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	for _, version := range []int{1, 2} {
		event := w.event(o, map[string]any{"price": "0.05", "capacity": 3})
		url := w.base + "/api/users/" + o.User + "/events/" + event + "/rsvps"
		resp, raw := w.send(url, `{"seats": 2}`, nil)
		asked := checkRequired(t, resp, raw)
		payment := sign(t, w.wallet(x402.USD), asked, version)
		resp, raw = w.send(url, `{"seats": 2}`, &payment)
		var r struct{ Status, Transaction, Amount string }
		if err := json.Unmarshal(raw, &r); err != nil || resp.StatusCode != http.StatusCreated || r.Status != "confirmed" || r.Amount != "100000" {
			t.Fatalf("%s: %s, %v", resp.Status, raw, err)
		}
		receipt, err := x402.DecodeReceiptHeader(resp.Header.Get(x402.HeaderResponseV2))
		if err != nil || receipt.Transaction != r.Transaction || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("receipt %+v, %v", receipt, err)
		}
		// The same again is the same answer; with one seat more it is another booking.
		if _, again := w.send(url, `{"seats": 2}`, &payment); string(again) != string(raw) {
			t.Errorf("again: %s", again)
		}
		if resp, raw := w.send(url, `{"seats": 1}`, &payment); resp.StatusCode != http.StatusConflict || !strings.Contains(string(raw), "payment_already_used") {
			t.Errorf("%s: %s", resp.Status, raw)
		}
	}
	free := w.event(o, nil)
	if resp, raw := w.send(w.base+"/api/users/"+o.User+"/events/"+free+"/rsvps", `{}`, nil); resp.StatusCode != http.StatusCreated {
		t.Errorf("free: %s: %s", resp.Status, raw)
	}
	if resp, raw := w.send(w.base+"/api/users/"+o.User+"/events/evt_none/rsvps", `{}`, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("missing: %s: %s", resp.Status, raw)
	}
	if w.balance(o.Wallet) != 200_000 || w.revenue(o) != "200000" {
		t.Errorf("balance %s, revenue %s", w.balance(o.Wallet), w.revenue(o))
	}
}

// MCP for clients that wrap fetch: with ?payment=http an unpaid call is a 402.
func TestPaymentRequiredAsStatus(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05"})
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":"` + event + `"}}}`
	resp, raw := w.send(o.URL+"?payment=http", call, nil)
	asked := checkRequired(t, resp, raw)
	payment := sign(t, w.wallet(x402.USD), asked, 2)
	resp, raw = w.send(o.URL+"?payment=http", call, &payment)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(raw), `"status":"confirmed"`) || resp.Header.Get(x402.HeaderResponseV2) == "" {
		t.Errorf("%s: %s", resp.Status, raw)
	}
	// Without it a payment request is a tool's answer, and what is free is the same
	// either way.
	if resp, _ := w.send(o.URL, call, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("without: %s", resp.Status)
	}
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	if resp, _ := w.send(o.URL+"?payment=http", list, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("tools/list: %s", resp.Status)
	}
}
