package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Own is how a Guest in this process reaches Hosts: those of this very server
// without a network, which is not asked whether its addresses may be reached, and
// all others by Next.
type Own struct {
	Next http.RoundTripper
	// Names are the hosts in the server's URLs, with the port if there is one.
	Names []string
	// Handler is the server; it is set before the first request.
	Handler http.Handler
}

var errNotHost = errors.New("that is no host: its address on this server is /mcp, or begins with /mcp/users/")

// RoundTrip implements [http.RoundTripper].
func (o *Own) RoundTrip(r *http.Request) (*http.Response, error) {
	if !o.named(r.URL.Host) {
		return o.Next.RoundTrip(r)
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.URL.Path != sharedPath && !strings.HasPrefix(r.URL.Path, hostPath) { // nothing else here is a stranger's to ask for
		return nil, errNotHost
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:0"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &inside{header: http.Header{}}
	o.Handler.ServeHTTP(w, in)
	w.WriteHeader(http.StatusOK)
	return &http.Response{Status: fmt.Sprint(w.status, " ", http.StatusText(w.status)), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r}, nil
}

func (o *Own) named(host string) bool {
	for _, name := range o.Names {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

// inside is an answer that goes nowhere.
type inside struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (w *inside) Header() http.Header { return w.header }

func (w *inside) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *inside) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
