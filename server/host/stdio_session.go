package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// stdioSession is the one client of a pair of pipes.
type stdioSession struct {
	out           *lineWriter
	notifications chan mcp.JSONRPCNotification
	done          chan struct{} // closed when the client has gone

	mu           sync.Mutex
	initialized  bool
	client       mcp.Implementation
	capabilities mcp.ClientCapabilities
	protocol     string // that was agreed on; "": the client tells it with each request
	wants        mcp.SubscriptionFilter
	lastID       int64
	asked        map[int64]chan<- json.RawMessage // requests to the client
}

var (
	_ server.SessionWithClientInfo         = (*stdioSession)(nil)
	_ server.SessionWithElicitation        = (*stdioSession)(nil)
	_ server.SessionWithProtocolVersion    = (*stdioSession)(nil)
	_ server.SessionWithSubscriptionFilter = (*stdioSession)(nil)
)

func newSession(out *lineWriter) *stdioSession {
	return &stdioSession{out: out, notifications: make(chan mcp.JSONRPCNotification, atOnce), done: make(chan struct{}),
		asked: map[int64]chan<- json.RawMessage{}}
}

func (s *stdioSession) SessionID() string                                   { return "stdio" }
func (s *stdioSession) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }

// Done is closed when the client has gone.
func (s *stdioSession) Done() <-chan struct{} { return s.done }

func (s *stdioSession) gone() { close(s.done) }

func (s *stdioSession) Initialize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.initialized = true
}

func (s *stdioSession) Initialized() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialized
}

func (s *stdioSession) SetClientInfo(i mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = i
}

func (s *stdioSession) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *stdioSession) SetClientCapabilities(c mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = c
}

func (s *stdioSession) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

func (s *stdioSession) SetProtocolVersion(v string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocol = v
}

func (s *stdioSession) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocol
}

func (s *stdioSession) SetSubscriptionFilter(f mcp.SubscriptionFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants = f
}

// SubscriptionFilter returns what the client wants to be notified of. From
// protocol 2026-07-28 on, which knows no initialize, that is what it asked for.
func (s *stdioSession) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wants, s.protocol == ""
}

func (s *stdioSession) forward(ctx context.Context) {
	for {
		select {
		case n := <-s.notifications:
			s.out.write(n)
		case <-ctx.Done():
			return
		}
	}
}

var errGone = errors.New("the client has gone")

// RequestElicitation asks the client's user, and waits for the answer until ctx
// ends or the client has gone.
func (s *stdioSession) RequestElicitation(ctx context.Context, r mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	answer := make(chan json.RawMessage, 1)
	s.mu.Lock()
	s.lastID++
	id := s.lastID
	s.asked[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.asked, id)
	}()
	s.out.write(map[string]any{"jsonrpc": mcp.JSONRPC_VERSION, "id": id, "method": mcp.MethodElicitationCreate, "params": r.Params})
	select {
	case <-ctx.Done():
		s.out.write(map[string]any{"jsonrpc": mcp.JSONRPC_VERSION, "method": mcp.MethodNotificationCancelled,
			"params": map[string]any{"requestId": id, "reason": "nobody waits for an answer any more"}})
		return nil, ctx.Err()
	case <-s.done:
		return nil, errGone
	case message := <-answer:
		return elicited(message)
	}
}

func elicited(message json.RawMessage) (*mcp.ElicitationResult, error) {
	var response struct {
		Result *mcp.ElicitationResult
		Error  *struct{ Code int }
	}
	switch err := json.Unmarshal(message, &response); {
	case err != nil:
		return nil, fmt.Errorf("the client's answer: %w", err)
	case response.Error != nil:
		return nil, fmt.Errorf("the client can't ask: error %d", response.Error.Code)
	case response.Result == nil:
		return nil, errors.New("the client's answer has no result")
	}
	return response.Result, nil
}

// answered takes the client's response to a request. One that nobody waits for
// is dropped.
func (s *stdioSession) answered(message json.RawMessage) {
	var response struct{ ID json.RawMessage }
	var id int64
	if json.Unmarshal(message, &response) != nil || json.Unmarshal(response.ID, &id) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if waiting := s.asked[id]; waiting != nil {
		delete(s.asked, id) // the second one is dropped
		waiting <- message
	}
}
