package guest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// losing delivers requests, and loses the answers to the first so many that pay.
type losing struct {
	times int
	lose  func(*http.Response) (*http.Response, error)
	mu    sync.Mutex
	sent  []string // payment headers
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	c := call{header: r.Header}
	if err != nil || !c.paid() {
		return resp, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v1, v2 := c.headers()
	if l.sent = append(l.sent, v1+v2); len(l.sent) > l.times {
		return resp, nil
	}
	whole, err := io.ReadAll(resp.Body) // it has come to an end on the other side
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(whole))
	return l.lose(resp)
}

// same checks that one payment was sent so many times.
func (l *losing) same(t *testing.T, times int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) != times || len(slices.Compact(slices.Clone(l.sent))) != 1 {
		t.Errorf("sent %d times, %d different ones; want %d times the same", len(l.sent), len(slices.Compact(slices.Clone(l.sent))), times)
	}
}

func status(code int, body string) func(*http.Response) (*http.Response, error) {
	return func(r *http.Response) (*http.Response, error) {
		r.StatusCode, r.Status = code, http.StatusText(code)
		r.Header = http.Header{"Content-Type": {"text/plain"}}
		r.Body = io.NopCloser(bytes.NewReader([]byte(body)))
		return r, nil
	}
}

func fails(err error) func(*http.Response) (*http.Response, error) {
	return func(*http.Response) (*http.Response, error) { return nil, err }
}

// losses are ways not to get the answer to a call that was made.
var losses = map[string]func(*http.Response) (*http.Response, error){
	"connection lost": fails(io.ErrUnexpectedEOF),
	"timeout":         fails(context.DeadlineExceeded),
	"500":             status(500, "oops"),
	"502":             status(502, "<html>Bad gateway</html>"),
	"503":             status(503, ""),
	"504":             status(504, ""),
	"429":             status(429, "slow down"),
	"400":             status(400, "what?"),
	"404":             status(404, "gone"),
	"200, not MCP":    status(200, "Welcome to our hotel"),
	"202, nothing":    status(202, ""),
	"half an answer": func(r *http.Response) (*http.Response, error) {
		whole, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), broken{}))
		return r, err
	},
	"an answer that just ends": func(r *http.Response) (*http.Response, error) {
		r.Body = io.NopCloser(io.LimitReader(r.Body, 40))
		return r, nil
	},
	"an event stream that ends": func(r *http.Response) (*http.Response, error) {
		r.Header.Set("Content-Type", "text/event-stream")
		r.Body = io.NopCloser(bytes.NewReader([]byte("event: message\ndata: ")))
		return r, nil
	},
	"an event stream to resume": func(r *http.Response) (*http.Response, error) {
		r.Header.Set("Content-Type", "text/event-stream")
		r.Body = io.NopCloser(bytes.NewReader([]byte("id: 1\nretry: 1\ndata:\n\n")))
		return r, nil
	},
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Whatever happens to its answer, a payment that was made is sent again and not
// made again, and the money moves once.
func TestLostAnswer(t *testing.T) {
	p := newPlace(t)
	for name, lose := range losses {
		for _, protocol := range []string{"", "2025-06-18"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				payer := p.account(t, x402.USD)
				wire := &losing{times: 2, lose: lose}
				waits := &pauses{}
				c := config(t, payer)
				c.Transport, c.Pause, c.Protocol = wire, waits.pause, protocol
				before := p.balance(t, p.payTo)
				booked, err := dial(t, p.url, c).Book(t.Context(), guest.Wish{EventID: p.event(t, "Concert", "0.05", 1)})
				if err != nil || booked.RSVP.Status != "confirmed" || booked.Paid != 50_000 || !booked.Receipt.Success {
					t.Fatalf("%+v, %v", booked, err)
				}
				payer.must(t, 1)
				wire.same(t, 3)
				if got := p.balance(t, p.payTo) - before; got != 50_000 || p.balance(t, payer.Address()) != x402.USD-50_000 {
					t.Errorf("the host got %s", got)
				}
				if !slices.Equal(waits.all, []time.Duration{time.Second, 2 * time.Second}) {
					t.Errorf("waited %v", waits.all)
				}
			})
		}
	}
}

// When no answer comes at all, it is unknown whether money moved. Here it did.
// Whoever books again gets what was paid for.
func TestNoAnswerAtAll(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, x402.USD)
	wire := &losing{times: 5, lose: fails(io.ErrUnexpectedEOF)}
	waits := &pauses{}
	c := config(t, payer)
	c.Transport, c.Pause = wire, waits.pause
	h := dial(t, p.url, c)
	wish := guest.Wish{EventID: p.event(t, "Concert", "0.05", 10)}
	_, err := h.Book(t.Context(), wish)
	if !errors.Is(err, guest.ErrUnknown) || errors.Is(err, guest.ErrNotPaid) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	wire.same(t, 5)
	if !slices.Equal(waits.all, []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}) {
		t.Errorf("waited %v", waits.all)
	}
	if got := p.balance(t, payer.Address()); got != x402.USD-50_000 {
		t.Errorf("the guest has %s", got)
	}

	booked, err := h.Book(t.Context(), wish)
	if err != nil || booked.RSVP.Status != "confirmed" || booked.Paid != 50_000 {
		t.Errorf("again: %+v, %v", booked, err)
	}
	wire.same(t, 6)
	payer.must(t, 1)
	// It is settled now: whoever wants another one pays another one, or is refused.
	var refused *guest.ToolError
	if _, err := h.Book(t.Context(), wish); !errors.As(err, &refused) && !errors.Is(err, guest.ErrNotPaid) {
		t.Errorf("a third time: %v", err)
	}
	if got := p.balance(t, payer.Address()); got != x402.USD-50_000 {
		t.Errorf("the guest has %s", got)
	}
}
