package evm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
)

// Limits on what a node answers, in bytes.
const (
	maxAnswer  = 8 << 20
	maxRefusal = 1 << 10 // of an answer with an HTTP error; it becomes part of the error's text
)

// Dial connects to the node at address (http or https). Calls and their
// answers are bounded in time and size. The chain id is asked for at once, so
// that a wrong or dead address is known at the start.
//
// Of the address no error shows more than the host: the rest often has a key.
func Dial(ctx context.Context, address string, opts Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("connect to the node: the RPC URL is not one of http:// or https://")
	}
	client := &http.Client{
		Timeout:   15 * time.Second,
		Transport: endpoint{u, http.DefaultTransport},
		// A node has no reason to send its clients elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := rpc.DialOptions(ctx, u.Scheme+"://"+u.Host, rpc.WithHTTPClient(client))
	if err != nil {
		return nil, err
	}
	return NewClient(ctx, r, opts)
}

// endpoint sends every request to one URL, whatever the HTTP client above
// believes it to be (it puts what it knows into its errors), and cuts answers
// off that are too long.
type endpoint struct {
	url  *url.URL
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (e endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL = e.url
	if user := e.url.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	resp, err := e.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	limit := int64(maxAnswer)
	if resp.StatusCode/100 != 2 {
		limit = maxRefusal
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, limit), resp.Body}
	return resp, nil
}
