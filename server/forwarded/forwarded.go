// Package forwarded tells whose request a reverse proxy has passed on, and whether it
// came over HTTPS. It believes the headers of proxies that the operator named, and of
// nobody else. Start at [Proxies].
//
// It reads the headers itself: the libraries for it know nothing of the scheme, give up
// at the first malformed entry, and have had no release for years.
package forwarded

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// Header is one in which proxies tell whose request they pass on.
type Header string

// The headers that there are. A proxy that writes one of them passes on what a client
// wrote in the other, so only one is ever read.
const (
	XForwardedFor Header = "x-forwarded-for" // and X-Forwarded-Proto
	Forwarded     Header = "forwarded"       // RFC 7239
)

// maxHops is how many proxies a request may have passed: more are nobody's set-up.
const maxHops = 16

// Proxies are the reverse proxies in front of a server. The zero value: there are none.
type Proxies struct {
	Trusted []netip.Prefix // their addresses
	Header  Header         // that they write; "" is XForwardedFor
}

// Trusts reports whether an address such as "192.0.2.1:443" is that of a proxy.
func (p Proxies) Trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && p.trusts(at.Addr())
}

func (p Proxies) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// Handler has next see a request as the client sent it: RemoteAddr is the client's, and
// [HTTPS] tells of the client's connection.
func (p Proxies) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if told(r.Header) {
			r = p.read(r)
		}
		next.ServeHTTP(w, r)
	})
}

// told reports whether any proxy has left a trace.
func told(h http.Header) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Forwarded-By", "X-Real-Ip", "Forwarded", "Via"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

func (p Proxies) read(r *http.Request) *http.Request {
	tells := &seen{}
	from := r.RemoteAddr
	if p.Trusts(r.RemoteAddr) {
		tells.declared = true
		hops := forwardedFor
		if p.Header == Forwarded {
			hops = forwardedHops
		}
		client := p.client(hops(r.Header))
		tells.https = client.https
		if client.at.IsValid() {
			from = client.at.String()
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), seenKey{}, tells)) // a copy, which may be changed
	r.RemoteAddr = from
	return r
}

// client returns the nearest hop that is no proxy of ours: whoever is beyond it is
// hearsay. A proxy that names nobody is the client itself.
func (p Proxies) client(hops iter.Seq[hop]) (client hop) {
	n := 0
	for h := range hops {
		if n++; n > maxHops {
			break
		}
		client.https = h.https
		if !h.at.IsValid() {
			break
		}
		if client.at = h.at; !p.trusts(h.at.Addr()) {
			break
		}
	}
	return client
}

// seen is what is known of a request that came through a proxy.
type seen struct {
	declared bool // the proxy is one of ours
	https    bool // the client spoke to it over TLS
}

type seenKey struct{}

// Through reports whether a request came through a proxy, and whether that is one that
// the operator named. A client can claim to be a proxy, never to be none.
func Through(r *http.Request) (proxy, declared bool) {
	s, ok := r.Context().Value(seenKey{}).(*seen)
	return ok, ok && s.declared
}

// HTTPS reports whether the client sent its request over TLS, to this server or to a
// proxy that says so.
func HTTPS(r *http.Request) bool {
	s, ok := r.Context().Value(seenKey{}).(*seen)
	return r.TLS != nil || ok && s.https
}

// ParseTrusted reads an address or a block of them, such as "10.0.0.0/8".
func ParseTrusted(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if a := p.Addr(); err == nil && a.Is4In6() {
		p, err = a.Unmap().Prefix(p.Bits() - 96) // fails if it has more than IPv4 in it
	}
	return p.Masked(), err
}
