package guest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

func declaring(extensions string) string {
	return strings.TrimSuffix(required(honest), "}") + `,"extensions":` + extensions + `}`
}

// A payment has a name where the Host asks for one: the same when it is sent
// again, another for another payment. All else is repeated as it was declared.
func TestPaymentIdentifier(t *testing.T) {
	asked := declaring(`{"payment-identifier":` + string(x402.IdentifierExtension()) + `,"other":{"info":{"a":[1.50]}}}`)
	p := &puppet{answer: then(asked, func(n int, _ call) string {
		if n == 1 {
			return refuses("payment_unavailable", "wait")
		}
		return rsvp("confirmed", "")
	})}
	c := config(t, newCounter(t))
	c.Rand = strings.NewReader(strings.Repeat("N", 32) + strings.Repeat("I", 16) + strings.Repeat("n", 32) + strings.Repeat("i", 16) + strings.Repeat("N", 32))
	h := dial(t, p.web(t), c)
	for range 2 {
		if _, err := h.Book(t.Context(), wish); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, c := range p.paidCalls() {
		payment := c.payment(t)
		got = append(got, payment.Identifier)
		if !strings.Contains(string(payment.Extensions), `"other":{"info":{"a":[1.50]}}`) || !strings.Contains(string(payment.Extensions), `"minLength":16`) {
			t.Errorf("extensions %s", payment.Extensions)
		}
	}
	first, second := "pay_"+strings.Repeat("49", 16), "pay_"+strings.Repeat("69", 16)
	if len(got) != 3 || got[0] != first || got[1] != first || got[2] != second {
		t.Errorf("identifiers %q, want %q twice and %q", got, first, second)
	}
	if _, err := h.Book(t.Context(), wish); !errors.Is(err, io.EOF) || errors.Is(err, guest.ErrUnknown) {
		t.Errorf("without randomness: %v", err)
	}
}

// A Host that declares no identifiers, or in a way that is not x402's, gets none.
func TestNoPaymentIdentifier(t *testing.T) {
	for name, asked := range map[string]string{
		"no extensions": required(honest),
		"others":        declaring(`{"other":{"info":{}}}`),
		"a boolean":     declaring(`{"payment-identifier":true}`),
		"no info":       declaring(`{"payment-identifier":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			p := &puppet{answer: then(asked, func(int, call) string { return rsvp("confirmed", "") })}
			if _, err := dial(t, p.web(t), config(t, newCounter(t))).Book(t.Context(), wish); err != nil {
				t.Fatal(err)
			}
			if raw := string(p.paidCalls()[0].raw(t)); strings.Contains(raw, `"id"`) {
				t.Errorf("paid with %s", raw)
			}
		})
	}
}
