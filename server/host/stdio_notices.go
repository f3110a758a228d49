package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/tools"
)

const (
	maxListeners = 32               // streams of notices that a client has open at a time
	lookEvery    = 25 * time.Second // an event is over without anybody's doing
)

// notices tell the client of a pair of pipes what changes of a Host's resources: in
// the older revisions what its session has subscribed to, and in 2026-07-28 what each
// of its streams is for. A nil *notices has none.
type notices struct {
	call    func(context.Context) (*tools.Call, error)
	watch   func(context.Context) (<-chan struct{}, error)
	session *tools.Watch

	out     *lineWriter
	running sync.WaitGroup

	mu      sync.Mutex
	open    map[string]context.CancelFunc // streams by the id of their request
	parting bool                          // they are ended by us, and the client is still there
}

// begin tells of what the session subscribes to, until ctx ends.
func (n *notices) begin(ctx context.Context, out *lineWriter) error {
	if n == nil {
		return nil
	}
	n.out, n.open = out, map[string]context.CancelFunc{}
	changed, err := n.watch(ctx)
	if err != nil {
		return err
	}
	n.running.Go(func() { n.follow(ctx, changed, n.session.News) })
	return nil
}

// takes handles a message that is about a stream, and reports whether it was one.
func (n *notices) takes(ctx context.Context, method string, message []byte) bool {
	switch {
	case n == nil:
	case method == tools.MethodListen:
		n.listen(ctx, message)
		return true
	case method == string(mcp.MethodNotificationCancelled):
		var m struct {
			Params struct{ RequestID json.RawMessage }
		}
		_ = json.Unmarshal(message, &m) // what is none cancels nothing
		return n.cancel(m.Params.RequestID)
	}
	return false
}

// listen opens a stream.
func (n *notices) listen(ctx context.Context, message []byte) {
	ctx, cancel := context.WithCancel(ctx)
	changed, err := n.watch(ctx) // before anything is read
	var l *tools.Listener
	if err == nil {
		var c *tools.Call
		if c, err = n.call(ctx); err == nil {
			l, err = c.Listen(ctx, message, nil)
		}
	}
	if err == nil {
		err = n.register(l, cancel)
	}
	if err != nil {
		cancel()
		n.out.write(refused(message, err))
		return
	}
	n.out.write(l.Begun())
	n.running.Go(func() {
		defer cancel()
		if !l.Empty() {
			n.follow(ctx, changed, l.News)
		}
		if n.leave(l) || l.Empty() {
			n.out.write(l.Ended())
		}
	})
}

func (n *notices) register(l *tools.Listener, cancel context.CancelFunc) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch _, there := n.open[string(l.ID())]; {
	case there:
		return &tools.Refusal{Code: mcp.INVALID_REQUEST, Message: "There is a stream with this id already."}
	case len(n.open) >= maxListeners:
		return &tools.Refusal{Code: mcp.INVALID_REQUEST, Message: "Too many streams are open already: cancel one."}
	}
	n.open[string(l.ID())] = cancel
	return nil
}

// leave forgets a stream, and reports whether its client is to be told that it has
// ended.
func (n *notices) leave(l *tools.Listener) (tell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, there := n.open[string(l.ID())] // else the client has ended it
	delete(n.open, string(l.ID()))
	return there && n.parting
}

// cancel ends the stream that a client ends.
func (n *notices) cancel(id json.RawMessage) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	cancel, there := n.open[string(id)]
	if there {
		delete(n.open, string(id))
		cancel()
	}
	return there
}

// follow writes news when there may be some, until ctx ends or the user is gone.
func (n *notices) follow(ctx context.Context, changed <-chan struct{}, news func(context.Context) ([]json.RawMessage, error)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-changed:
			if !open {
				return
			}
		case <-tick.C:
		}
		if _, err := n.call(ctx); err != nil {
			n.depart()
			return
		}
		all, _ := news(ctx) // what can't be read now is looked at the next time
		for _, m := range all {
			n.out.write(m)
		}
	}
}

func (n *notices) depart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parting = true
}

// end ends all streams. Their client is told, if it is still there.
func (n *notices) end(tell bool) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.parting = tell
	for _, cancel := range n.open {
		cancel()
	}
	n.mu.Unlock()
}

// wait waits until nothing is told any more.
func (n *notices) wait() {
	if n != nil {
		n.running.Wait()
	}
}

// refused answers a request to listen with why that is not to be.
func refused(message []byte, err error) mcp.JSONRPCError {
	var m struct{ ID any }
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	_ = d.Decode(&m) // without an id, the answer has none
	var r *tools.Refusal
	if !errors.As(err, &r) {
		r = &tools.Refusal{Code: mcp.INTERNAL_ERROR, Message: "Changes can't be watched at the moment. Ask again in a minute."}
	}
	return mcp.NewJSONRPCError(mcp.NewRequestId(m.ID), r.Code, r.Message, r.Data)
}
