package guest_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

func TestRefusalsOfOurHosts(t *testing.T) {
	p := newPlace(t)
	full := p.event(t, "Full", "0.05", 1)
	once := p.event(t, "Once", "0.05", 10)
	payer := p.account(t, x402.USD)
	h := dial(t, p.url, config(t, payer))
	for _, event := range []string{full, once} {
		if _, err := h.Book(t.Context(), guest.Wish{EventID: event}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		wish guest.Wish
		code string
	}{
		"no such event":      {guest.Wish{EventID: "evt_none"}, "event_not_found"},
		"full":               {guest.Wish{EventID: full}, "event_full"},
		"too many seats":     {guest.Wish{EventID: once, Seats: 21}, "invalid_argument"},
		"less than no seats": {guest.Wish{EventID: once, Seats: -1}, "invalid_argument"},
		"no email":           {guest.Wish{EventID: once, Email: "nobody"}, "invalid_argument"},
	} {
		t.Run(name, func(t *testing.T) {
			booked, err := h.Book(t.Context(), c.wish)
			var refused *guest.ToolError
			if !errors.As(err, &refused) || refused.Code != c.code || refused.Message == "" || booked.Paid != 0 {
				t.Errorf("%+v, %v", booked, err)
			}
			if _, _, err := h.Quote(t.Context(), c.wish); !errors.As(err, &refused) || refused.Code != c.code {
				t.Errorf("quote: %v", err)
			}
		})
	}
	var refused *guest.ToolError
	if _, err := h.RSVP(t.Context(), "rsvp_none"); !errors.As(err, &refused) || refused.Code != "rsvp_not_found" {
		t.Errorf("get_rsvp: %v", err)
	}
	payer.must(t, 2)

	// One RSVP per payer: the second payment is refused and costs nothing.
	if _, err := h.Book(t.Context(), guest.Wish{EventID: once}); !errors.As(err, &refused) || refused.Code != "already_booked" {
		t.Errorf("twice: %v", err)
	}
	// So is the payment of somebody who has nothing.
	poor := dial(t, p.url, config(t, p.account(t, 0)))
	if _, err := poor.Book(t.Context(), guest.Wish{EventID: once}); !errors.Is(err, guest.ErrNotPaid) || !strings.Contains(err.Error(), "insufficient_funds") {
		t.Errorf("without money: %v", err)
	}
	if got := p.balance(t, payer.Address()); got != x402.USD-100_000 {
		t.Errorf("the guest has %s", got)
	}
}

// What a Host writes ends up in a terminal and a log: it must not steer the one,
// or leave a signature in the other.
func TestHostsWordsInErrors(t *testing.T) {
	nasty := "No.\x1b[2J\r\n\u202eevil\u200b" + strings.Repeat(" and so on", 100)
	for name, answer := range map[string]func(said string) string{
		"refusal": func(said string) string { return refuses("no", said) },
		"code":    func(said string) string { return refuses(said, "no") },
		"text": func(said string) string {
			return `{"isError":true,"content":[{"type":"text","text":` + quote(said) + `}]}`
		},
		"asked again": func(said string) string {
			return asks(strings.Replace(required(honest), "Payment required", strings.Trim(quote(said), `"`), 1))
		},
		"note":   func(said string) string { return says(`{"id":"r","status":"failed","note":` + quote(said) + `}`) },
		"status": func(said string) string { return says(`{"id":"r","status":` + quote(said) + `}`) },
		"id":     func(said string) string { return says(`{"status":"odd","id":` + quote(said) + `}`) },
		"JSON-RPC error": func(said string) string {
			return `{"jsonrpc":"2.0","id":ID,"error":{"code":-1,"message":` + quote(said) + `}}`
		},
		"no RSVP":         func(said string) string { return says(quote(said)) },
		"a domain's name": func(said string) string { return asks(required(entry(`"USDC"`, quote(said)))) },
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			var secrets []string
			p := &puppet{answer: then(required(honest), func(_ int, c call) string {
				_, v2 := c.headers()
				signature := hex.EncodeToString(c.payment(t).Payload.Signature)
				secrets = append(secrets, v2[:80], signature[:40])
				return answer(nasty[:10] + "0x" + signature + " " + v2 + nasty)
			})}
			_, err := dial(t, p.web(t), config(t, payer)).Book(t.Context(), wish)
			if err == nil || len(secrets) == 0 {
				t.Fatal("no error, or no payment")
			}
			text := fmt.Sprint(err)
			for _, s := range secrets {
				if strings.Contains(text, s) {
					t.Errorf("a signature is in %s", text)
				}
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 1000 {
				t.Errorf("%d bytes: %q", len(text), text)
			}
		})
	}
}
