package chat

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/events-concierge/concierge/store"
)

const (
	maxWaiting   = 256              // messages that a client has not taken yet
	writeTimeout = 10 * time.Second // for one of them
	pingEvery    = 30 * time.Second
)

// Visitor is who is at the other end of a connection.
type Visitor struct {
	Token string // from [Agent.NewToken]
	// Say and Wallet count what the visitor says, and the wallets made for them.
	// The error is the refusal, in words for people.
	Say, Wallet func() error
}

// socket is one connection of a conversation.
type socket struct {
	conn    *websocket.Conn
	visitor *Visitor
	out     chan Message
	ending  context.Context
	end     context.CancelCauseFunc
}

// farewell is why a connection ends.
type farewell struct {
	code   websocket.StatusCode
	reason string
}

func (f farewell) Error() string { return f.reason }

// send queues a message, and gives up a client that takes none. It never waits.
func (s *socket) send(m Message) {
	select {
	case s.out <- m:
	default:
		s.stop(websocket.StatusPolicyViolation, "too slow: connect again for what was missed")
	}
}

// offer queues a message that is not missed by those who are busy.
func (s *socket) offer(m Message) {
	if len(s.out) < maxWaiting/2 {
		s.send(m)
	}
}

func (s *socket) leave() { s.stop(websocket.StatusGoingAway, "the server is stopping") }

func (s *socket) stop(code websocket.StatusCode, reason string) { s.end(farewell{code, reason}) }

// Serve has a visitor take part in their conversation until the connection ends.
func (a *Agent) Serve(ctx context.Context, conn *websocket.Conn, v *Visitor) error {
	defer conn.CloseNow()
	conn.SetReadLimit(maxRequest)
	if err := a.enter(); err != nil {
		return conn.Close(websocket.StatusTryAgainLater, err.Error())
	}
	defer a.leave()
	c, err := a.use(ctx, v.Token)
	if err != nil {
		return errors.Join(err, conn.Close(websocket.StatusInternalError, "the conversation can't be read"))
	}
	defer a.release(c)
	s := &socket{conn: conn, visitor: v, out: make(chan Message, maxWaiting)}
	s.ending, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	if err := c.join(ctx, s, v); errors.Is(err, errTooManyT) {
		return conn.Close(websocket.StatusTryAgainLater, err.Error())
	} else if err != nil {
		return errors.Join(err, conn.Close(websocket.StatusInternalError, "the conversation can't be read"))
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		s.end(s.read(ctx, c))
	}()
	s.write(ctx)
	c.part(s)
	c.trace.watch(s, false)
	var bye farewell
	if errors.As(context.Cause(s.ending), &bye) {
		_ = conn.Close(bye.code, bye.reason) // nobody may be there to hear it
	}
	_ = conn.CloseNow()
	<-reading
	return nil
}

// write sends what is queued, and asks now and then whether anybody is there.
func (s *socket) write(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case m := <-s.out:
			err = s.put(ctx, m)
		case <-ping.C:
			waiting, cancel := context.WithTimeout(ctx, writeTimeout)
			err = s.conn.Ping(waiting)
			cancel()
		case <-s.ending.Done():
			return
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

func (s *socket) put(ctx context.Context, m Message) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, raw)
}

// read does what the client asks for, until there is nothing more to come.
func (s *socket) read(ctx context.Context, c *conversation) error {
	for {
		kind, raw, err := s.conn.Read(ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			return farewell{websocket.StatusUnsupportedData, "messages are JSON, in text frames"}
		}
		r, err := decodeRequest(raw)
		if limited := s.visitor.Say(); limited != nil {
			err = limited
		}
		switch {
		case err != nil:
		case r.Type == AskTrace:
			c.trace.watch(s, r.On)
		default:
			err = c.handle(ctx, r, s.visitor)
		}
		if err != nil {
			s.send(c.agent.refusal(err))
		}
	}
}

// refusal is how an error is told to who asked for what came to nothing.
func (a *Agent) refusal(err error) Message {
	m := Message{Type: kindError, Text: err.Error()}
	switch {
	case errors.Is(err, errRequest):
		m.Code = "invalid_message"
	case errors.Is(err, errBusy), errors.Is(err, errTooMany):
		m.Code = "busy"
	case errors.Is(err, errClosing):
		m.Code = "closing"
	case errors.Is(err, errNoApproval):
		m.Code = "no_approval"
	case errors.Is(err, store.ErrTooManyWallets), errors.As(err, new(*OverLimit)):
		m.Code = "over_limit"
	default:
		a.Log.Error("a message to the agent came to nothing", "err", err)
		m.Code, m.Text = "internal", "something went wrong on the server; say it again"
	}
	return m
}

// OverLimit is a refusal of a [Visitor]'s limits.
type OverLimit struct{ Reason string }

func (e *OverLimit) Error() string { return e.Reason }
