// Package outgoing carries the HTTP of a Guest that runs on a server and is told by
// strangers where to connect to. It reaches public addresses and those that are
// allowed, whatever the names of a URL resolve to, and no proxy of the environment;
// what answers is bounded in size, time and number.
//
// An address is judged when it is about to be dialled, by the socket that dials it:
// what a name resolved to before, or would the next time, is of no matter. Redirects
// are for the client to follow or not; each is a request of its own to this package,
// and so is each new connection.
//
// Start with [New]. It knows nothing of MCP or of Guests.
package outgoing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Options says what may be reached, and how much of it is taken. Zero values are
// the defaults.
type Options struct {
	// Allow are addresses that may be dialled though they are not public; see
	// [ParseAllow]. Default: none.
	Allow []netip.Prefix
	// Resolver finds the addresses of names. Default: the system's.
	Resolver *net.Resolver

	Body   int64 // bytes of one answer's body. Default 8 MiB
	Header int64 // bytes of one answer's header, with those of 1xx answers before it. Default 64 KiB

	Dial  time.Duration // for a connection: waiting for its turn, resolving, connecting. Default 10 s
	TLS   time.Duration // for a TLS handshake. Default 10 s
	Wait  time.Duration // from a request to the header of its answer. Default 60 s
	Whole time.Duration // from a request to the end of its answer. Default 70 s

	PerHost     int // connections at a time to one scheme, name and port. Default 16
	Connections int // at a time together, with idle ones. Default 128
}

var (
	// ErrNotPublic is wrapped when an address was not dialled as it is neither public
	// nor allowed. Its text does not tell which address a name has.
	ErrNotPublic = errors.New("the address is not a public one")
	// ErrURL is wrapped when a URL is not http or https to a host, or names a user.
	ErrURL = errors.New("not a URL that is connected to")
	// ErrTooLong is returned by a body that is longer than [Options] has it.
	ErrTooLong = errors.New("the answer is too long")
)

// Transport is an [http.RoundTripper]. Safe for concurrent use.
type Transport struct {
	http  *http.Transport
	body  int64
	whole time.Duration
}

// New returns a transport by o.
func New(o Options) *Transport {
	most := cmp.Or(o.Connections, 128)
	d := dialer{
		net: net.Dialer{Resolver: o.Resolver, ControlContext: judge(o.Allow)},
		// A dial goes on for the next request when the one that it was made for is gone.
		timeout: cmp.Or(o.Dial, 10*time.Second),
		slots:   make(chan struct{}, most),
	}
	t := &http.Transport{
		DialContext:            d.dial,
		DisableCompression:     true, // or a small answer could be a large one
		Protocols:              new(http.Protocols),
		TLSHandshakeTimeout:    cmp.Or(o.TLS, 10*time.Second),
		ResponseHeaderTimeout:  cmp.Or(o.Wait, time.Minute),
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: cmp.Or(o.Header, 64<<10),
		MaxConnsPerHost:        cmp.Or(o.PerHost, 16),
		MaxIdleConns:           max(1, most/2), // the other half is always to be had
		MaxIdleConnsPerHost:    2,
	}
	t.Protocols.SetHTTP1(true) // a request at a time on a connection, so that their number bounds both
	return &Transport{http: t, body: cmp.Or(o.Body, 8<<20), whole: cmp.Or(o.Whole, 70*time.Second)}
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r); err != nil {
		if r.Body != nil {
			r.Body.Close() // #nosec G104 -- the request is refused whatever this says
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), t.whole)
	resp, err := t.http.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, left: t.body, end: cancel}
	return resp, nil
}

// CloseIdleConnections closes the connections that nobody uses.
func (t *Transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

func checkURL(r *http.Request) error {
	switch u := r.URL; {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: it is neither http nor https", ErrURL)
	case u.User != nil:
		return fmt.Errorf("%w: it names a user", ErrURL)
	case u.Hostname() == "":
		return fmt.Errorf("%w: it names no host", ErrURL)
	}
	return nil
}
