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

// Booking over plain HTTP: what is not the same over every route, for which see
// [TestDialects].
func TestPaymentOverREST(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, map[string]any{"price": "0.05", "capacity": 3})
	url := w.base + "/api/users/" + o.User + "/events/" + event + "/rsvps"
	payment := sign(t, w.wallet(x402.USD), w.quote(o.URL, map[string]any{"event_id": event, "seats": 2}), 2)
	resp, raw := w.send(url, `{"seats": 2}`, &payment)
	var r struct{ Status, Amount string }
	if err := json.Unmarshal(raw, &r); err != nil || resp.StatusCode != http.StatusCreated || r.Status != "confirmed" || r.Amount != "100000" {
		t.Fatalf("%s: %s, %v", resp.Status, raw, err)
	}
	// With one seat less it is another booking.
	if resp, raw := w.send(url, `{"seats": 1}`, &payment); resp.StatusCode != http.StatusConflict || !strings.Contains(string(raw), "payment_already_used") {
		t.Errorf("%s: %s", resp.Status, raw)
	}
	free := w.event(o, nil)
	if resp, raw := w.send(w.base+"/api/users/"+o.User+"/events/"+free+"/rsvps", `{}`, nil); resp.StatusCode != http.StatusCreated {
		t.Errorf("free: %s: %s", resp.Status, raw)
	}
	if resp, raw := w.send(w.base+"/api/users/"+o.User+"/events/evt_none/rsvps", `{}`, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("missing: %s: %s", resp.Status, raw)
	}
	if w.balance(o.Wallet) != 100_000 || w.revenue(o) != "100000" {
		t.Errorf("balance %s, revenue %s", w.balance(o.Wallet), w.revenue(o))
	}
}

// With ?payment=http what is free is the same as without.
func TestFreeWithPaymentAsStatus(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	event := w.event(o, nil)
	for _, call := range []string{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, rpcCall(t, map[string]any{"event_id": event}, "")} {
		if resp, raw := w.send(o.URL+"?payment=http", call, nil); resp.StatusCode != http.StatusOK || strings.Contains(string(raw), `"isError":true`) {
			t.Errorf("%s: %s: %s", call, resp.Status, raw)
		}
	}
}
