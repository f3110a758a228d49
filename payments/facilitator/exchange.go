package facilitator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments/tracing"
)

// errNotSent is wrapped when no byte of a request has left this process.
var errNotSent = errors.New("not sent")

// newHTTP returns what all requests to one facilitator are made with.
func newHTTP() http.Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			// Long enough for a settlement to go the way of its verification. A
			// connection that the other end has closed meanwhile (Node does after
			// 5 s) would leave open what became of a request.
			IdleConnTimeout: 2 * time.Second,
		},
		// A payment is for the facilitator that was named, and nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
}

// aboutPayment reports whether the status is one that comes with an answer of
// x402: 200, a refused payment, or a failure of the facilitator's own. With the
// others, such as 401, 404 and 429, the request was not even looked at.
func (a answer) aboutPayment() bool {
	switch a.status {
	case http.StatusOK, http.StatusBadRequest, http.StatusPaymentRequired, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	}
	return a.status >= 500
}

// ask makes one request. Its errors show the facilitator's host and, unless
// the request was sent, the cause: what comes after that may have been put into
// words by the other end, which knows the credential and the signature.
func (c *Client) ask(ctx context.Context, method, op string, body []byte, limit int) (answer, error) {
	ctx, span := tracing.Call(ctx, "facilitator "+op)
	defer span.End()
	span.Set("server.address", c.url.Hostname())
	target := c.url
	target.Path += "/" + op
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }, // dialled, and TLS agreed on
	})
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, c.errorf(op, "%w: the URL is not one", errNotSent)
	}
	req.Header.Set("Accept", "application/json")
	tracing.Pass(ctx, req.Header)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if credential := *c.credential.Load(); credential != nil {
		value, err := credential.authorization(method, &target)
		if err != nil {
			return answer{}, c.errorf(op, "%w: %w", errNotSent, err)
		}
		req.Header.Set("Authorization", value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		span.Fail("no_answer")
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		switch {
		case !sent.Load():
			return answer{}, c.errorf(op, "%w: %w", errNotSent, err)
		case ctx.Err() != nil:
			return answer{}, c.errorf(op, "no answer: %w", ctx.Err())
		}
		return answer{}, c.errorf(op, "the connection broke")
	}
	defer resp.Body.Close()
	span.SetInt("http.response.status_code", resp.StatusCode)
	if resp.StatusCode/100 == 3 {
		return answer{}, c.errorf(op, "it answers with a redirect, which is not followed")
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1)) // one more, at which its decoder refuses it
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{}, c.errorf(op, "half an answer: %w", ctx.Err())
	case err != nil:
		return answer{}, c.errorf(op, "half an answer")
	}
	return answer{resp.StatusCode, raw}, nil
}
