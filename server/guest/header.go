package guest

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/events-concierge/concierge/payments/x402"
)

type paymentKey struct{}

// paymentHeader is a payment on its way into one request.
type paymentHeader struct {
	name, value string
	sent        atomic.Bool
}

// withPayment returns a context whose first request pays. What the MCP client
// sends later on behalf of the same call (that it is cancelled, or a request
// for the rest of the answer) does not pay.
func withPayment(ctx context.Context, p *x402.Payment) (context.Context, error) {
	value, err := x402.Header(p)
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, paymentKey{}, &paymentHeader{name: x402.PaymentHeader(p.Version), value: value}), nil
}

// transport puts the payment of a call into its request, and bounds answers.
type transport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if p, ok := r.Context().Value(paymentKey{}).(*paymentHeader); ok && p.sent.CompareAndSwap(false, true) {
		r = r.Clone(r.Context())
		r.Header.Set(p.name, p.value)
	}
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
