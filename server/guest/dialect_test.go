package guest_test

import (
	"errors"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// Over HTTP a payment goes where the Host looks for it, which its request for payment
// tells.
func TestWhereThePaymentGoes(t *testing.T) {
	for name, test := range map[string]struct {
		asks   string
		header bool
	}{
		"our Hosts":         {asks(required(honest)), true},
		"Cloudflare agents": {asksWith("", required(honest), required(honest)), true},
		"text alone":        {asksWith("", required(honest), ""), true},
		"mcp-go-x402":       {`{"jsonrpc":"2.0","id":ID,"error":{"code":402,"message":"Payment required","data":` + required(honest) + `}}`, false},
		"x402's transport":  {asksWith(required(honest), required(honest), ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: func(_ int, c call) string {
				if !c.paid() {
					return test.asks
				}
				return rsvp("confirmed", "")
			}}
			if booked, err := dial(t, p.web(t), config(t, payer)).Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
				t.Errorf("%+v, %v", booked, err)
			}
			payer.must(t, 1)
			for _, c := range p.paidCalls() {
				v1, v2 := c.headers()
				if meta := c.meta[x402.MetaPayment] != nil; v1 != "" || (v2 != "") != test.header || meta == test.header {
					t.Errorf("by header %t, by meta %t", v2 != "", meta)
				}
			}
		})
	}
}

// The next process does not know where a Host looks for the payment, and finds out
// with it.
func TestWhereAPaymentGoesAgain(t *testing.T) {
	payer := newCounter(t)
	lost := true
	p := &puppet{answer: func(_ int, c call) string {
		switch {
		case c.meta[x402.MetaPayment] == nil:
			return asksWith(required(honest), required(honest), "")
		case lost:
			return "lost"
		}
		return rsvp("confirmed", "")
	}}
	c, url := config(t, payer), p.web(t)
	if _, err := dial(t, url, c).Book(t.Context(), wish); !errors.Is(err, guest.ErrUnknown) {
		t.Fatal(err)
	}
	lost = false
	if booked, err := dial(t, url, c).Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
		t.Errorf("%+v, %v", booked, err)
	}
	payer.must(t, 1)
}

// A Host of ours that asks as mcp-go-x402 does, in version 1, and is paid.
func TestJSONRPCError(t *testing.T) {
	p := newPlace(t)
	event := p.event(t, "Jazz", "0.05", 1)
	payer := p.account(t, x402.USD)
	h := dial(t, p.url+"?payment=jsonrpc", config(t, payer))
	booked, err := h.Book(t.Context(), guest.Wish{EventID: event})
	if err != nil || booked.Paid != 50_000 || booked.RSVP.Status != "confirmed" {
		t.Fatalf("%+v, %v", booked, err)
	}
	if got := p.balance(t, p.payTo); got != 50_000 {
		t.Errorf("the host has %s", got)
	}
	for _, c := range p.paidCalls() {
		if payment := c.payment(t); payment.Version != 1 || c.meta[x402.MetaPayment] == nil {
			t.Errorf("paid in version %d by %v", payment.Version, c.header)
		}
	}
}

// An error that only looks like a request for payment is a refusal.
func TestJSONRPCErrorWithoutOffer(t *testing.T) {
	for _, data := range []string{"", `,"data":null`, `,"data":"0x402"`, `,"data":{"accepts":[]}`} {
		payer := newCounter(t)
		p := &puppet{answer: always(`{"jsonrpc":"2.0","id":ID,"error":{"code":402,"message":"pay elsewhere"` + data + `}}`)}
		if booked, err := dial(t, p.web(t), config(t, payer)).Book(t.Context(), wish); err == nil {
			t.Errorf("%s: %+v", data, booked)
		}
		payer.must(t, 0)
	}
}
