package guest_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/guest"
)

// A Host that does not know its payments again refuses what it has taken. After
// a lost answer, its refusal is no proof that nothing was paid.
func TestRefusedAfterLostAnswer(t *testing.T) {
	again := asks(required(honest))
	for name, c := range map[string]struct {
		answers []string // to the first payment, and so on; the last one for all that follow
		unknown bool
	}{
		"refused":                                {[]string{refuses("payment_invalid", "no")}, false},
		"asked again":                            {[]string{again}, false},
		"unavailable, refused":                   {[]string{refuses("payment_unavailable", "later"), refuses("event_full", "no")}, false},
		"over a limit, refused":                  {[]string{refuses("over_limit", "later"), refuses("event_full", "no")}, false},
		"over a limit, internal, refused":        {[]string{refuses("over_limit", "later"), refuses("internal", "oops"), refuses("event_full", "no")}, true},
		"unavailable, asked again":               {[]string{refuses("payment_unavailable", "later"), again}, false},
		"internal, refused":                      {[]string{refuses("internal", "oops"), refuses("payment_already_used", "no")}, true},
		"internal, unavailable, asked again":     {[]string{refuses("internal", "oops"), refuses("payment_unavailable", "later"), again}, true},
		"lost, refused":                          {[]string{"lost", refuses("already_booked", "no")}, true},
		"lost, asked again":                      {[]string{"lost", again}, true},
		"JSON-RPC error, asked again":            {[]string{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"oops"}}`, again}, true},
		"unavailable for ever":                   {[]string{refuses("payment_unavailable", "later")}, true},
		"asked again, in two contradicting ways": {[]string{asksWith(required(honest), required(entry("50000", "1")), "")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			now := time.Unix(1_750_000_000, 0)
			p := &puppet{answer: then(required(honest), func(n int, _ call) string {
				return c.answers[min(n, len(c.answers))-1]
			})}
			config := config(t, payer)
			config.Now = func() time.Time { return now }
			h := dial(t, p.web(t), config)
			_, err := h.Book(t.Context(), wish)
			if err == nil || errors.Is(err, guest.ErrUnknown) != c.unknown {
				t.Fatalf("%v", err)
			}
			payer.must(t, 1)
			if !c.unknown {
				return
			}
			// The same call never makes a second payment, until nobody can take the
			// first one any more and the Host denies it still.
			calls := len(p.calls())
			if _, err := h.Book(t.Context(), wish); !errors.Is(err, guest.ErrUnknown) {
				t.Errorf("again: %v", err)
			}
			for _, c := range p.calls()[calls:] {
				if !c.paid() {
					t.Error("the price was asked for again")
				}
			}
			payer.must(t, 1)
		})
	}
}

func TestDeniedAfterExpiry(t *testing.T) {
	payer := newCounter(t)
	now := time.Unix(1_750_000_000, 0)
	p := &puppet{answer: then(required(honest), func(n int, _ call) string {
		if n == 1 {
			return "lost"
		}
		return asks(required(honest))
	})}
	c := config(t, payer)
	c.Now = func() time.Time { return now }
	h := dial(t, p.web(t), c)
	for _, step := range []struct {
		later time.Duration
		want  error
	}{
		{0, guest.ErrUnknown},
		{300 * time.Second, guest.ErrUnknown}, // expired, by this clock
		{10 * time.Minute, guest.ErrUnknown},  // and by one that is as late as is allowed for
		{time.Second, guest.ErrNotPaid},
	} {
		now = now.Add(step.later)
		if _, err := h.Book(t.Context(), wish); !errors.Is(err, step.want) {
			t.Errorf("after %s: %v", step.later, err)
		}
		payer.must(t, 1)
	}
	p.answer = then(required(honest), func(int, call) string { return rsvp("confirmed", "") })
	if _, err := h.Book(t.Context(), wish); err != nil {
		t.Error(err)
	}
	payer.must(t, 2)
}

// Whatever a tool asks before it answers, a Guest does not know: what became of
// the payment stays unknown.
func TestQuestionForAPayment(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: then(required(honest), func(int, call) string {
		return `{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":{}}}}`
	})}
	answer, err := dial(t, p.web(t), config(t, payer)).Call(t.Context(), "any_tool", nil)
	if !errors.Is(err, guest.ErrUnknown) || answer.Paid != 0 {
		t.Errorf("%+v, %v", answer, err)
	}
	payer.must(t, 1)
}

// Only the very same call sends the payment again.
func TestSameCall(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: then(required(honest), func(int, call) string { return "lost" })}
	h := dial(t, p.web(t), config(t, payer))
	signed := 0
	for _, c := range []struct {
		tool  string
		args  any
		isNew bool
	}{
		{"buy", map[string]any{"n": 9007199254740992, "to": "a"}, true},
		{"buy", json.RawMessage(`{ "to": "a", "n": 9007199254740992 }`), false},
		{"buy", map[string]any{"n": 9007199254740993, "to": "a"}, true}, // the same as a float64
		{"buy", map[string]any{"n": 9007199254740992, "to": "b"}, true},
		{"buy_2", map[string]any{"n": 9007199254740992, "to": "a"}, true},
		{"buy", nil, true},
		{"buy", nil, false},
	} {
		if _, err := h.Call(t.Context(), c.tool, c.args); !errors.Is(err, guest.ErrUnknown) {
			t.Errorf("%s %v: %v", c.tool, c.args, err)
		}
		if c.isNew {
			signed++
		}
		payer.must(t, signed)
	}
	if _, err := h.Call(t.Context(), "buy", func() {}); err == nil {
		t.Error("arguments that are no JSON")
	}
}
