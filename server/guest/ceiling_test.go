package guest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// The ceiling is for the whole booking, whatever a seat costs.
func TestCeiling(t *testing.T) {
	p := newPlace(t)
	for name, c := range map[string]struct {
		price   string
		seats   int
		ceiling x402.Amount
		paid    x402.Amount // 0: too expensive
	}{
		"exactly at the default":     {"1.00", 1, ceiling, x402.USD},
		"one atomic unit above":      {"1.000001", 1, ceiling, 0},
		"one atomic unit below":      {"0.999999", 1, ceiling, 999_999},
		"seats up to the ceiling":    {"0.25", 4, ceiling, x402.USD},
		"a seat beyond the ceiling":  {"0.25", 5, ceiling, 0},
		"a higher ceiling":           {"2.50", 1, 3 * x402.USD, 2_500_000},
		"a ceiling of one unit":      {"0.000001", 1, 1, 1},
		"nothing may be paid":        {"0.000001", 1, 0, 0},
		"less than nothing may be":   {"0.000001", 1, -1, 0},
		"the dearest event there is": {"1000000", 20, ceiling, 0},
	} {
		t.Run(name, func(t *testing.T) {
			payer := p.account(t, 5*x402.USD)
			config := config(t, payer)
			config.Policy = guest.Policy{Network: x402.BaseSepolia, MaxPrice: c.ceiling}
			h := dial(t, p.url, config)
			booked, err := h.Book(t.Context(), guest.Wish{EventID: p.event(t, "Concert", c.price, 0), Seats: c.seats})
			if c.paid == 0 {
				payer.must(t, 0)
				if !errors.Is(err, guest.ErrTooExpensive) {
					t.Errorf("%+v, %v", booked, err)
				}
				return
			}
			payer.must(t, 1)
			if err != nil || booked.Paid != c.paid || p.balance(t, payer.Address()) != 5*x402.USD-c.paid {
				t.Errorf("%+v, %v", booked, err)
			}
		})
	}
}

func TestNoWallet(t *testing.T) {
	p := newPlace(t)
	h := dial(t, p.url, config(t, nil))
	_, err := h.Book(t.Context(), guest.Wish{EventID: p.event(t, "Concert", "0.05", 1)})
	if !errors.Is(err, guest.ErrNoWallet) {
		t.Error(err)
	}
	// That it costs too much comes first: a wallet would not help.
	_, err = h.Book(t.Context(), guest.Wish{EventID: p.event(t, "Gala", "100", 1)})
	if !errors.Is(err, guest.ErrTooExpensive) {
		t.Error(err)
	}
}

// A Host that answers a payment by asking again, for whatever it asks, gets no
// second signature.
func TestAskedAgain(t *testing.T) {
	for name, again := range map[string]string{
		"for the same":    honest,
		"for more":        entry(`"50000"`, `"900000"`),
		"for less":        entry(`"50000"`, `"1"`),
		"for another one": entry(payee, "0x000000000000000000000000000000000000dEaD"),
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: then(required(honest), func(int, call) string { return asks(required(again)) })}
			h := dial(t, p.web(t), config(t, payer))
			booked, err := h.Book(t.Context(), wish)
			if !errors.Is(err, guest.ErrNotPaid) || booked.Paid != 0 {
				t.Errorf("%+v, %v", booked, err)
			}
			payer.must(t, 1)
			if n := len(p.paidCalls()); n != 1 {
				t.Errorf("the payment was sent %d times", n)
			}
		})
	}
}

// What a Host says after a Quote is not what it gets to say at the booking: each
// price is held against the ceiling when it is asked for.
func TestPriceRisesAfterQuote(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: func(n int, c call) string {
		return asks(required(entry(`"50000"`, fmt.Sprintf(`"%d00000"`, 8*n))))
	}}
	h := dial(t, p.web(t), config(t, payer))
	asked, _, err := h.Quote(t.Context(), wish)
	if err != nil || asked.Accepts[0].Amount != x402.NewUint256(800_000) {
		t.Fatalf("%+v, %v", asked, err)
	}
	if _, err := h.Book(t.Context(), wish); !errors.Is(err, guest.ErrTooExpensive) {
		t.Error(err)
	}
	payer.must(t, 0)
}
