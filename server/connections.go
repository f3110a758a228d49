package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/server/limit"
	"github.com/events-concierge/concierge/store"
)

// connections bounds how many connections are open, in all and from one address.
// When there are too many, the one that has waited longest for its next request,
// or for the end of its first one's headers, makes room. One whose request is
// being answered never has to: if there are no others, the new one is closed.
type connections struct {
	proxies forwarded.Proxies

	mu              sync.Mutex
	most, mostPerIP int // 0: any number
	open            map[net.Conn]*connection
	waiting         list.List // of *connection, the longest first
	clients         map[netip.Prefix]*client
}

// client is who has connections.
type client struct {
	open    int
	waiting list.List // of *connection, the longest first
}

type connection struct {
	net.Conn
	address netip.Prefix
	client  *client
	inAll   *list.Element // nil while a request is answered
	inOwn   *list.Element // likewise
}

// newConnections returns the bounds of l; behind a proxy are many, who have as many
// connections as they need. The files of Hosts need descriptors as
// well, so connections get no more than a third of those that the process may
// have.
func newConnections(l Limits, p forwarded.Proxies) *connections {
	c := &connections{proxies: p, open: map[net.Conn]*connection{}, clients: map[netip.Prefix]*client{}}
	c.bound(l)
	return c
}

// bound has the bounds of l hold for connections from now on.
func (c *connections) bound(l Limits) {
	most := l.Connections
	if may := store.DescriptorLimit() / 3; may > 0 && most > 0 {
		most = min(most, may)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most, c.mostPerIP = most, l.ConnectionsPerIP
}

// count returns how many are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// follow is [http.Server.ConnState].
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	shut := c.note(conn, state)
	if encrypted, is := shut.(*tls.Conn); is {
		shut = encrypted.NetConn() // whose Close says goodbye first, for seconds if nobody reads it
	}
	if shut != nil {
		_ = shut.Close() // what of it is still to be read or written is nobody's loss
	}
}

// note returns the connection that has to make room, if one has.
func (c *connections) note(conn net.Conn, state http.ConnState) (shut net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.open[conn]
	switch {
	case state == http.StateNew:
		return c.add(conn)
	case known == nil: // it had to make room
	case state == http.StateActive:
		c.unwait(known)
	case state == http.StateIdle:
		c.wait(known)
	default:
		c.remove(known)
	}
	return nil
}

func (c *connections) add(conn net.Conn) (shut net.Conn) {
	n := &connection{Conn: conn, address: limit.Client(conn.RemoteAddr().String())}
	if n.client = c.clients[n.address]; n.client == nil {
		n.client = &client{}
		c.clients[n.address] = n.client
	}
	n.client.open++
	c.open[conn] = n
	c.wait(n)
	var longest *list.Element
	switch {
	case c.mostPerIP > 0 && n.client.open > c.mostPerIP && !n.address.Addr().IsLoopback() && !c.proxies.Trusts(conn.RemoteAddr().String()):
		longest = n.client.waiting.Front()
	case c.most > 0 && len(c.open) > c.most:
		longest = c.waiting.Front()
	default:
		return nil
	}
	last := longest.Value.(*connection)
	c.remove(last)
	return last.Conn
}

func (c *connections) wait(n *connection) {
	if n.inAll == nil {
		n.inAll, n.inOwn = c.waiting.PushBack(n), n.client.waiting.PushBack(n)
	}
}

func (c *connections) unwait(n *connection) {
	if n.inAll != nil {
		c.waiting.Remove(n.inAll)
		n.client.waiting.Remove(n.inOwn)
		n.inAll, n.inOwn = nil, nil
	}
}

func (c *connections) remove(n *connection) {
	c.unwait(n)
	delete(c.open, n.Conn)
	if n.client.open--; n.client.open == 0 {
		delete(c.clients, n.address)
	}
}
