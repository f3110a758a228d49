package guest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// onPaid answers requests that have a payment header by itself.
func onPaid(next http.Handler, paid http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if (call{header: r.Header}).paid() {
			paid(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// A payment that is redirected goes nowhere, whichever redirect it is and
// wherever it leads; and as it was sent, nobody says that it was not taken.
func TestRedirectWithPayment(t *testing.T) {
	for name, status := range map[string]int{"301": 301, "302": 302, "303": 303, "307": 307, "308": 308} {
		t.Run(name, func(t *testing.T) {
			second := &puppet{answer: always(rsvp("confirmed", ""))}
			var mu sync.Mutex
			reached := 0
			elsewhere := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				reached++
				mu.Unlock()
				second.ServeHTTP(w, r)
			}))
			for _, to := range []string{elsewhere + "/mcp", "/mcp"} {
				payer := newCounter(t)
				first := &puppet{answer: then(required(honest), nil)}
				sent := 0
				url := serve(t, onPaid(first, func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					sent++
					mu.Unlock()
					http.Redirect(w, r, to, status)
				}))
				_, err := dial(t, url, config(t, payer)).Book(t.Context(), wish)
				if !errors.Is(err, guest.ErrUnknown) || !strings.Contains(err.Error(), "redirects") {
					t.Errorf("to %s: %v", to, err)
				}
				payer.must(t, 1)
				mu.Lock()
				if sent != 5 || reached != 0 {
					t.Errorf("to %s: sent %d times to the host, and %d requests came elsewhere", to, sent, reached)
				}
				mu.Unlock()
			}
		})
	}
}

func TestRedirectAtTheDoor(t *testing.T) {
	to := &puppet{answer: always(rsvp("confirmed", ""))}
	url := serve(t, http.RedirectHandler(to.web(t), http.StatusTemporaryRedirect))
	if h, err := guest.Dial(t.Context(), url, config(t, nil)); err == nil {
		h.Close()
		t.Error("followed")
	}
}

// spy notes which requests have a payment.
type spy struct {
	http.RoundTripper
	mu   sync.Mutex
	paid []call
}

func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.GetBody != nil {
		b, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		var text strings.Builder
		if _, err := io.Copy(&text, b); err != nil {
			return nil, err
		}
		body = text.String()
	}
	if c := readCall([]byte(body), r.Header); c.paid() {
		s.mu.Lock()
		s.paid = append(s.paid, c)
		s.mu.Unlock()
	}
	return s.RoundTripper.RoundTrip(r)
}

func (s *spy) methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, c := range s.paid {
		out = append(out, c.method)
	}
	return out
}

// The payment is in the call that it pays and in nothing else: not in the notice
// that the call is cancelled, which the MCP client sends in the call's name.
func TestOnlyTheCallPays(t *testing.T) {
	payer := newCounter(t)
	cancelled := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &puppet{answer: then(required(honest), nil)}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		onPaid(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Mcp-Method") == "notifications/cancelled" {
				close(cancelled)
			}
			p.ServeHTTP(w, r)
		}), func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Mcp-Method") == "notifications/cancelled" {
				t.Error("the notice that the call is cancelled has the payment")
				close(cancelled)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice who hangs up
			cancel()
			<-r.Context().Done()
		})(w, r)
	}))
	seen := &spy{RoundTripper: http.DefaultTransport}
	c := config(t, payer)
	c.Transport = seen
	h := dial(t, url, c)
	if _, err := h.Book(ctx, wish); !errors.Is(err, guest.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-cancelled
	if got := seen.methods(); !slices.Equal(got, []string{"tools/call"}) {
		t.Errorf("the payment was in %v", got)
	}
}

// Nor is it in a later call, or in another one at the same time.
func TestOthersDoNotPay(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{}
	var h *guest.Host
	p.answer = then(required(honest), func(int, call) string {
		// While the payment is under way, the connection is used for something else.
		if _, err := h.RSVP(t.Context(), "rsvp_1"); err == nil {
			t.Error("an unpaid get_rsvp was not answered as one")
		}
		return rsvp("confirmed", "")
	})
	h = dial(t, p.web(t), config(t, payer))
	if _, err := h.Book(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.calls() {
		if c.paid() != (c.tool == "rsvp_to_event" && c.header.Get(x402.HeaderPaymentV2) != "") {
			t.Errorf("%s: paid %t", c.tool, c.paid())
		}
	}
	if n := len(p.paidCalls()); n != 1 {
		t.Errorf("%d calls had the payment", n)
	}
}
