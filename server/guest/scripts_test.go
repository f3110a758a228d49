package guest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// What puppets say. An honest entry asks for $0.05; its members stand in an
// unusual order, and one is unknown to us, for the payment to repeat.
const (
	payee  = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
	honest = `{"payTo":"` + payee + `","network":"eip155:84532","scheme":"exact","amount":"50000",` +
		`"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","maxTimeoutSeconds":300,` +
		`"extra":{"version":"2","theirs":true,"name":"USDC"}}`
	honestV1 = `{"scheme":"exact","network":"base-sepolia","maxAmountRequired":"50000","resource":"mcp://tool/rsvp_to_event",` +
		`"description":"","mimeType":"","payTo":"` + payee + `","maxTimeoutSeconds":300,` +
		`"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","extra":{"name":"USDC","version":"2"}}`
)

// entry is the honest one with some of its text replaced.
func entry(oldNew ...string) string { return strings.NewReplacer(oldNew...).Replace(honest) }

func required(entries ...string) string {
	return `{"x402Version":2,"error":"Payment required","resource":{"url":"mcp://tool/rsvp_to_event"},"accepts":[` +
		strings.Join(entries, ",") + `]}`
}

func requiredV1(entries ...string) string {
	return `{"x402Version":1,"error":"X-PAYMENT header is required","accepts":[` + strings.Join(entries, ",") + `]}`
}

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(q)
}

// asks is a request for payment as our own Hosts answer it.
func asks(required string) string { return asksWith(required, required, required) }

// asksWith says something else in each place; what is "" is left out.
func asksWith(structured, text, meta string) string {
	parts := []string{`"isError":true`, `"content":[]`}
	if structured != "" {
		parts = append(parts, `"structuredContent":`+structured)
	}
	if text != "" {
		parts[1] = `"content":[{"type":"text","text":` + quote(text) + `}]`
	}
	if meta != "" {
		parts = append(parts, `"_meta":{"x402/error":`+meta+`}`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func says(structured string) string {
	return `{"structuredContent":` + structured + `,"content":[{"type":"text","text":` + quote(structured) + `}]}`
}

func rsvp(status, note string) string {
	return says(fmt.Sprintf(`{"id":"rsvp_1","event_id":"evt_1","seats":1,"status":%q,"note":%q}`, status, note))
}

func refuses(code, message string) string {
	return strings.Replace(says(fmt.Sprintf(`{"code":%q,"message":%q}`, code, message)), "{", `{"isError":true,`, 1)
}

// then answers unpaid calls with a request for payment, and paid ones, counted
// from 1, with next.
func then(required string, next func(paid int, c call) string) func(int, call) string {
	var mu sync.Mutex
	paid := 0
	return func(_ int, c call) string {
		if !c.paid() {
			return asks(required)
		}
		mu.Lock()
		paid++
		n := paid
		mu.Unlock()
		return next(n, c)
	}
}

func always(answer string) func(int, call) string { return func(int, call) string { return answer } }

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatalf("not base64: %q", s)
	}
	return raw
}

// pauses takes the place of waiting, and notes for how long it would have been.
type pauses struct {
	mu  sync.Mutex
	all []time.Duration
	do  func() // at each pause
}

func (p *pauses) pause(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	p.all = append(p.all, d)
	p.mu.Unlock()
	if p.do != nil {
		p.do()
	}
	return ctx.Err()
}

// ceiling is what most tests may pay for one call.
const ceiling = x402.USD

func config(t *testing.T, w wallet.Signer) guest.Config {
	return guest.Config{Version: "test", Wallet: w, Pause: (&pauses{}).pause, Purse: purse(t),
		Policy: guest.Policy{Network: x402.BaseSepolia, MaxPrice: ceiling}}
}

// purse returns a new one.
func purse(t *testing.T) *store.Purse {
	t.Helper()
	p, err := store.OpenPurse(context.Background(), filepath.Join(t.TempDir(), "guest.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, url string, c guest.Config) *guest.Host {
	t.Helper()
	h, err := guest.Dial(t.Context(), url, c)
	return opened(t, h, err)
}

func over(t *testing.T, connect func() mcp.Transport, c guest.Config) *guest.Host {
	t.Helper()
	h, err := guest.Over(t.Context(), "in memory", connect, c)
	return opened(t, h, err)
}

func opened(t *testing.T, h *guest.Host, err error) *guest.Host {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

var wish = guest.Wish{EventID: "evt_1"}
