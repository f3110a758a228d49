package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/server/forwarded"
)

// plug is a connection from an address, which notes that it was closed.
type plug struct {
	net.Conn
	from   string
	mu     sync.Mutex
	closed bool
}

func (p *plug) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", p.from)
	return a
}

func (p *plug) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *plug) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Who makes room: the connection that has waited longest, never one that is
// being answered, and of an address that has too many one of its own.
func TestWhoMakesRoom(t *testing.T) {
	const a, b, here, proxy = "192.0.2.1:1", "192.0.2.2:1", "127.0.0.1:1", "10.0.0.1:1"
	for _, test := range []struct {
		name        string
		most, perIP int
		froms       []string
		busy, again []int // those that get busy in the end, and idle once more
		then        string
		closed      []int // len(froms) is the new one
	}{
		{name: "there is room", most: 4, perIP: 4, froms: []string{a, a, b}, then: b},
		{name: "the longest waiting", most: 3, froms: []string{a, a, b}, then: b, closed: []int{0}},
		{name: "not a busy one", most: 3, froms: []string{a, a, b}, busy: []int{0}, then: b, closed: []int{1}},
		{name: "the order is that of waiting", most: 3, froms: []string{a, a, b}, busy: []int{0, 1}, again: []int{1, 0}, then: b, closed: []int{2}},
		{name: "all are busy", most: 3, froms: []string{a, a, b}, busy: []int{0, 1, 2}, then: b, closed: []int{3}},
		{name: "its own", most: 9, perIP: 2, froms: []string{b, a, a}, then: a, closed: []int{1}},
		{name: "its own are all busy", most: 9, perIP: 2, froms: []string{b, a, a}, busy: []int{1, 2}, then: a, closed: []int{3}},
		{name: "of the same /64", perIP: 1, froms: []string{"[2001:db8::1]:1", a}, then: "[2001:db8::2]:1", closed: []int{0}},
		{name: "this machine", most: 9, perIP: 1, froms: []string{here, here}, then: here},
		{name: "a proxy", most: 9, perIP: 1, froms: []string{proxy, proxy}, then: proxy},
		{name: "no bounds", froms: []string{a, a, a}, then: a},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConnections(Limits{Connections: test.most, ConnectionsPerIP: test.perIP},
				forwarded.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
			var plugs []*plug
			for _, from := range test.froms {
				plugs = append(plugs, &plug{from: from})
				c.follow(plugs[len(plugs)-1], http.StateNew)
			}
			for _, i := range test.busy {
				c.follow(plugs[i], http.StateActive)
			}
			for _, i := range test.again {
				c.follow(plugs[i], http.StateIdle)
			}
			plugs = append(plugs, &plug{from: test.then})
			c.follow(plugs[len(plugs)-1], http.StateNew)
			for i, p := range plugs {
				if p.isClosed() != slices.Contains(test.closed, i) {
					t.Errorf("connection %d is closed: %t", i, p.isClosed())
				}
				c.follow(p, http.StateActive) // the server may not have seen yet that it is closed
				c.follow(p, http.StateClosed)
			}
			if len(c.open)+len(c.clients)+c.waiting.Len() > 0 {
				t.Errorf("what is left: %d connections, %d clients, %d waiting", len(c.open), len(c.clients), c.waiting.Len())
			}
		})
	}
}

// Whatever happens at once, there are never more than may be.
func TestConnectionsAtOnce(t *testing.T) {
	c := newConnections(Limits{Connections: 20, ConnectionsPerIP: 5}, forwarded.Proxies{})
	var coming sync.WaitGroup
	for g := range 8 {
		coming.Go(func() {
			chance := rand.New(rand.NewPCG(1, uint64(g)))
			for range 300 {
				p := &plug{from: fmt.Sprintf("192.0.2.%d:1", chance.IntN(10))}
				for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateActive} {
					c.follow(p, state)
					c.mu.Lock()
					if len(c.open) > 20 || len(c.clients) > 10 {
						t.Errorf("%d connections of %d clients", len(c.open), len(c.clients))
					}
					c.mu.Unlock()
				}
				c.follow(p, http.StateClosed)
			}
		})
	}
	coming.Wait()
	if len(c.open)+len(c.clients)+c.waiting.Len() > 0 {
		t.Errorf("what is left: %d connections, %d clients, %d waiting", len(c.open), len(c.clients), c.waiting.Len())
	}
}
