package guest_test

import (
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
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
			if booked, err := dial(t, p.web(t), config(payer)).Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
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
