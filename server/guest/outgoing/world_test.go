package outgoing_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/events-concierge/concierge/server/guest/outgoing"
)

// names answers what a name server would: each name has the addresses that find
// returns for the n-th question about it, counted from 1.
type names struct {
	find func(name string, n int) []string

	mu    sync.Mutex
	asked map[string]int
}

func (s *names) resolver() *net.Resolver {
	s.asked = map[string]int{}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go s.serve(theirs)
		return ours, nil
	}}
}

// serve answers one question after the other, as a name server does over TCP.
func (s *names) serve(c net.Conn) {
	defer c.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		answer := s.answer(question)
		if answer == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (s *names) answer(raw []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	key := q.Type.String() + " " + q.Name.String()
	s.mu.Lock()
	s.asked[key]++
	n := s.asked[key]
	s.mu.Unlock()
	for _, address := range s.find(strings.TrimSuffix(q.Name.String(), "."), n) {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
		switch a := netip.MustParseAddr(address); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// loopback is a name server to whom each name is this machine.
func loopback() *net.Resolver {
	return (&names{find: func(string, int) []string { return []string{"127.0.0.1"} }}).resolver()
}

// here allows what the tests' servers listen on.
var here = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

func transport(t *testing.T, o outgoing.Options) *outgoing.Transport {
	t.Helper()
	tr := outgoing.New(o)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func serve(t *testing.T, h http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// port is that of a URL.
func port(url string) string { return url[strings.LastIndex(url, ":"):] }

func get(t *testing.T, tr http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}
