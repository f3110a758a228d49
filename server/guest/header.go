package guest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/events-concierge/concierge/payments/x402"
)

// maxRequests are sent for one call: itself, and those for the rest of its answer. A
// Host may end a stream of events before the answer and have the client come back
// for it (revision 2025-11-25, SEP-1699), but not for ever.
const maxRequests = 20

var errEndless = errors.New("the host has its answer fetched too many times")

type (
	paymentKey  struct{}
	requestsKey struct{}
)

// withRequests returns a context with which no more than maxRequests are sent.
func withRequests(ctx context.Context) context.Context {
	left := new(atomic.Int32)
	left.Store(maxRequests)
	return context.WithValue(ctx, requestsKey{}, left)
}

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

// transport puts the payment of a call into its request, and bounds answers and
// how often one is asked for.
type transport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if left, ok := r.Context().Value(requestsKey{}).(*atomic.Int32); ok && left.Add(-1) < 0 {
		if r.Body != nil {
			r.Body.Close() // #nosec G104 -- the request is refused whatever this says
		}
		return nil, errEndless
	}
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
