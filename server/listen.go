package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/tools"
)

// What is listened to at a time. Each listener keeps a connection.
const (
	maxListeners          = 1024
	maxListenersPerHost   = 256 // guests; and as many with its tokens
	maxListenersPerClient = 32
)

// listen streams to a client what changes of a Host's resources (revision 2026-07-28)
// until it leaves, its token or the user is gone, or the server stops. A change by
// another process is one too.
func (s *Server) listen(w http.ResponseWriter, r *http.Request, c *tools.Call, body []byte) error {
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	changed, err := s.Hosts.Watch(ctx, c.Host.User) // before anything is read
	if err != nil {
		return err
	}
	l, err := c.Listen(ctx, body, r.Header)
	var refusal *tools.Refusal
	if errors.As(err, &refusal) {
		return answerError(w, httpStatus(refusal.Code), body, refusal)
	}
	seat, err := s.listeners.take(r, c)
	if err != nil {
		return err
	}
	defer s.listeners.leave(seat)

	stream := newEventStream(w, s.patience)
	if stream.send(l.Begun()); !l.Empty() {
		s.follow(r, stream, c, l, changed)
	}
	stream.send(l.Ended()) // to nobody, if the client has gone
	return nil
}

// follow sends notices as long as there may be more.
func (s *Server) follow(r *http.Request, stream *eventStream, c *tools.Call, l *tools.Listener, changed <-chan struct{}) {
	alive := time.NewTicker(s.patience.alive)
	defer alive.Stop()
	for stream.err == nil {
		select {
		case <-r.Context().Done(): // the client has gone
			return
		case <-s.stopping.Done():
			return
		case _, open := <-changed:
			if !open {
				return
			}
		case <-alive.C: // an event is over without anybody's doing, so this is a time to look as well
			stream.write(": \n\n") // clients skip it; proxies cut off who is silent
			if !s.holds(r, c) {
				return
			}
		}
		h, err := s.Hosts.Host(r.Context(), c.Host.User)
		if err != nil || h != c.Host { // or the user is another's
			return
		}
		news, err := l.News(r.Context())
		if err != nil && r.Context().Err() == nil {
			s.Log.Warn("look at what is listened to", "user", c.Host.User, "err", err)
		}
		for _, n := range news {
			stream.send(n)
		}
	}
}

// holds reports whether who listens may still do so.
func (s *Server) holds(r *http.Request, c *tools.Call) bool {
	if c.Scope == "" {
		return true
	}
	scope, err := s.Hosts.Scope(r.Context(), c.Host.User, bearer(r))
	return err != nil || scope == c.Scope // what can't be looked up now is not gone
}

// httpStatus is what revision 2026-07-28 has a JSON-RPC error's status be.
func httpStatus(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.INTERNAL_ERROR:
		return http.StatusOK
	}
	return http.StatusBadRequest
}

// eventStream writes server-sent events. Its client has so long to take each of them.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
	err     error // after the first there is nobody to write to
}

func newEventStream(w http.ResponseWriter, p patience) *eventStream {
	st := &eventStream{w: w, control: http.NewResponseController(w), within: p.write}
	_ = st.control.SetReadDeadline(time.Time{}) // there is nothing more to read, but the end
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it all to itself
	w.WriteHeader(http.StatusOK)
	return st
}

func (st *eventStream) send(message json.RawMessage) {
	st.write("event: message\ndata: " + string(message) + "\n\n")
}

func (st *eventStream) write(s string) {
	if st.err != nil {
		return
	}
	_ = st.control.SetWriteDeadline(time.Now().Add(st.within)) // a recorder has none
	if _, st.err = st.w.Write([]byte(s)); st.err == nil {      // #nosec G705 -- a stream of events or JSON, by its content type, with nosniff
		st.err = st.control.Flush()
	}
}

// listeners counts those who listen.
type listeners struct {
	mu      sync.Mutex
	all     int
	hosts   map[listened]int
	clients map[netip.Prefix]int
}

// listened is a Host, as its guests see it or those with its tokens.
type listened struct {
	host   hostKey
	guests bool
}

type listenerSeat struct {
	listened
	client  netip.Prefix
	counted bool
}

func (l *listeners) take(r *http.Request, c *tools.Call) (listenerSeat, error) {
	host, _ := keyOf(c.Host.User)
	seat := listenerSeat{listened: listened{host, c.Scope == ""}}
	seat.client, seat.counted = clientOf(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts == nil {
		l.hosts, l.clients = map[listened]int{}, map[netip.Prefix]int{}
	}
	switch {
	case seat.counted && l.clients[seat.client] >= maxListenersPerClient:
		return seat, tools.OverLimit("Your address listens to too much already: end some of it.", time.Minute)
	case l.hosts[seat.listened] >= maxListenersPerHost, l.all >= maxListeners:
		return seat, tools.OverLimit("Too many listen already.", time.Minute)
	}
	l.all++
	l.hosts[seat.listened]++
	if seat.counted {
		l.clients[seat.client]++
	}
	return seat, nil
}

func (l *listeners) leave(seat listenerSeat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.hosts[seat.listened]--; l.hosts[seat.listened] == 0 {
		delete(l.hosts, seat.listened)
	}
	if seat.counted {
		if l.clients[seat.client]--; l.clients[seat.client] == 0 {
			delete(l.clients, seat.client)
		}
	}
}
