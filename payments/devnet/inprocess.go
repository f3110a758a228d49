package devnet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/ethereum/go-ethereum/rpc"
)

// dial returns a JSON-RPC client of a handler in this process.
func dial(h http.Handler) (*rpc.Client, error) {
	c, err := rpc.DialOptions(context.Background(), "http://devnet.invalid/",
		rpc.WithHTTPClient(&http.Client{Transport: inProcess{h}}))
	if err != nil {
		return nil, fmt.Errorf("connect to the devnet: %w", err)
	}
	return c, nil
}

// inProcess answers an HTTP client's requests with a handler, in the caller's
// own goroutine: no port, no connection.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.Body == nil {
		r = r.WithContext(ctx) // a copy: a RoundTripper must leave its request alone
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer := &answer{header: http.Header{}}
	t.handler.ServeHTTP(answer, r.WithContext(ctx))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:        http.StatusText(answer.status),
		StatusCode:    answer.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        answer.header,
		Body:          io.NopCloser(&answer.body),
		ContentLength: int64(answer.body.Len()),
		Request:       r,
	}, nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}
