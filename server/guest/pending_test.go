package guest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// clerk is a Host that takes a payment, is not sure of it, and answers get_rsvp
// with one answer after the other; the last one stays.
func clerk(answers ...string) *puppet {
	asked := 0
	return &puppet{answer: func(_ int, c call) string {
		switch {
		case c.tool == "get_rsvp":
			asked++
			return answers[min(asked, len(answers))-1]
		case c.paid():
			return rsvp("pending", "Do not pay again.")
		}
		return asks(required(honest))
	}}
}

const (
	other = `{"id":"rsvp_2","event_id":"evt_1","seats":1,"status":"confirmed"}`
	owed  = `{"id":"rsvp_1","event_id":"evt_1","seats":1,"status":"failed","transaction":"0x01","note":"The host owes it."}`
)

func TestPending(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string // of get_rsvp
		want    error    // nil: booked
		asked   int
	}{
		"confirmed at once":            {[]string{rsvp("confirmed", "")}, nil, 1},
		"confirmed in the end":         {[]string{rsvp("pending", ""), rsvp("pending", ""), rsvp("confirmed", "")}, nil, 3},
		"failed":                       {[]string{rsvp("pending", ""), rsvp("failed", "No money was taken.")}, guest.ErrNotPaid, 2},
		"paid, and the seats gone":     {[]string{says(owed)}, guest.ErrNotBooked, 1},
		"cancelled":                    {[]string{rsvp("cancelled", "")}, guest.ErrNotBooked, 1},
		"refunded":                     {[]string{rsvp("refunded", "")}, guest.ErrNotBooked, 1},
		"a status nobody knows":        {[]string{rsvp("paid", "")}, guest.ErrNotBooked, 1},
		"refused for a while":          {[]string{refuses("internal", "oops"), refuses("rsvp_not_found", ""), rsvp("confirmed", "")}, nil, 3},
		"no RSVP for a while":          {[]string{says(`{}`), says(`[]`), says(`"confirmed"`), rsvp("confirmed", "")}, nil, 4},
		"another RSVP for a while":     {[]string{says(other), rsvp("confirmed", "")}, nil, 2},
		"asks for money to tell":       {[]string{asks(required(honest)), rsvp("confirmed", "")}, nil, 2},
		"pending until it is given up": {[]string{rsvp("pending", "")}, guest.ErrUnknown, 60},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			waits := &pauses{}
			p := clerk(c.answers...)
			config := config(t, payer)
			config.Pause = waits.pause
			h := dial(t, p.web(t), config)
			booked, err := h.Book(t.Context(), wish)
			if !errors.Is(err, c.want) || c.want == nil && (booked.RSVP.Status != "confirmed" || booked.Paid != 50_000) {
				t.Errorf("%+v, %v", booked, err)
			}
			if errors.Is(err, guest.ErrNotPaid) != (booked.Paid == 0) {
				t.Errorf("paid %s, but %v", booked.Paid, err)
			}
			payer.must(t, 1)
			if len(p.paidCalls()) != 1 || len(waits.all) != c.asked {
				t.Errorf("paid %d times, asked %d times", len(p.paidCalls()), len(waits.all))
			}
			if longest := waits.all[len(waits.all)-1]; longest > 10*time.Second {
				t.Errorf("waited %s", longest)
			}
		})
	}
}

// A payment that is pending stays the payment of its booking.
func TestPendingThenGivenUp(t *testing.T) {
	payer := newCounter(t)
	p := clerk(rsvp("pending", ""))
	ctx, cancel := context.WithCancel(t.Context())
	c := config(t, payer)
	c.Pause = (&pauses{do: cancel}).pause
	h := dial(t, p.web(t), c)
	booked, err := h.Book(ctx, wish)
	if !errors.Is(err, guest.ErrUnknown) || !errors.Is(err, context.Canceled) || booked.RSVP.ID != "rsvp_1" || !strings.Contains(err.Error(), "rsvp_1") {
		t.Errorf("%+v, %v", booked, err)
	}
	p.answer = then(required(honest), func(int, call) string { return rsvp("confirmed", "") })
	if booked, err := h.Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
		t.Errorf("again: %+v, %v", booked, err)
	}
	payer.must(t, 1)
	if raws := p.paidCalls(); len(raws) != 2 || string(raws[0].raw(t)) != string(raws[1].raw(t)) {
		t.Errorf("%d payments, or not the same", len(raws))
	}
	// Other seats are another booking.
	if _, err := h.Book(t.Context(), guest.Wish{EventID: "evt_1", Seats: 2}); err != nil {
		t.Error(err)
	}
	payer.must(t, 2)
}

// What is no RSVP is no booking, whatever was paid.
func TestAnswerIsNoRSVP(t *testing.T) {
	for name, answer := range map[string]string{
		"empty":            says(`{}`),
		"no id":            says(`{"status":"confirmed"}`),
		"no status":        says(`{"id":"rsvp_1"}`),
		"a list":           says(`[1]`),
		"a text":           `{"content":[{"type":"text","text":"Booked, trust me."}]}`,
		"nothing":          `{"content":[]}`,
		"wrong type":       says(`{"id":7,"status":"confirmed"}`),
		"asks, and is not": strings.Replace(asks(required(honest)), `"isError":true,`, ``, 1),
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: then(required(honest), func(int, call) string { return answer })}
			h := dial(t, p.web(t), config(t, payer))
			for range 2 { // the second time with the same payment
				booked, err := h.Book(t.Context(), wish)
				if !errors.Is(err, guest.ErrUnknown) || booked.Paid != 50_000 {
					t.Errorf("paid: %+v, %v", booked, err)
				}
			}
			payer.must(t, 1)

			p.answer = always(answer)
			free := dial(t, p.web(t), config(t, nil))
			booked, err := free.Book(t.Context(), wish)
			if err == nil || errors.Is(err, guest.ErrUnknown) || booked.Paid != 0 {
				t.Errorf("free: %+v, %v", booked, err)
			}
		})
	}
}

func TestReceipts(t *testing.T) {
	good := `{"success":true,"transaction":"0xabc","network":"eip155:84532","payer":"0x1","amount":"50000"}`
	for name, c := range map[string]struct {
		meta string
		want *x402.SettleResponse
	}{
		"good":          {good, &x402.SettleResponse{Success: true, Transaction: "0xabc", Network: "eip155:84532", Payer: "0x1", Amount: "50000"}},
		"none":          {`null`, nil},
		"no success":    {`{"transaction":"0xabc"}`, nil},
		"another kind":  {`"0xabc"`, nil},
		"far too long":  {`{"success":true,"transaction":"` + strings.Repeat("a", 20<<10) + `"}`, nil},
		"not a success": {`{"success":false,"errorReason":"settlement_pending"}`, &x402.SettleResponse{ErrorReason: "settlement_pending"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &puppet{answer: then(required(honest), func(int, call) string {
				return strings.Replace(rsvp("confirmed", ""), "{", fmt.Sprintf(`{"_meta":{"x402/payment-response":%s},`, c.meta), 1)
			})}
			booked, err := dial(t, p.web(t), config(t, newCounter(t))).Book(t.Context(), wish)
			if err != nil || !cmp.Equal(booked.Receipt, c.want) {
				t.Errorf("%+v, %v", booked.Receipt, err)
			}
		})
	}
}
