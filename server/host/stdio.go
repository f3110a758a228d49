package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// MaxMessage is the longest JSON-RPC message read, in bytes.
const MaxMessage = 1 << 20

// atOnce bounds how many messages of one client are worked on at a time; it
// holds still until one is done.
const atOnce = 32

// ServeHost serves the Host of a user over a pair of pipes, with the rights of a
// scope, until the user is removed; see [ServeStdio].
func (h *Hosts) ServeHost(ctx context.Context, s *server.MCPServer, user string, scope store.Scope, in io.Reader, out io.Writer) error {
	call := func(ctx context.Context) (*tools.Call, error) {
		host, err := h.Host(ctx, user)
		return &tools.Call{Host: host, Scope: scope}, err
	}
	c, err := call(ctx)
	if err != nil {
		return err
	}
	n := &notices{call: call, watch: func(ctx context.Context) (<-chan struct{}, error) { return h.Watch(ctx, user) }, session: c.NewWatch()}
	return serveStdio(ctx, s, in, out, n, func(ctx context.Context) (context.Context, error) {
		c, err := call(ctx)
		c.Session = n.session
		return tools.WithCall(ctx, c), err
	}, h.tell)
}

// ServeStdio serves MCP over a pair of pipes, one JSON-RPC message a line; each
// message is handled in a context made by each, whose error is the end of it.
// It reads until in or ctx ends. Tool calls that are under way then still finish
// and are answered: a payment must not be cut off because its client has gone.
//
// It is used instead of mcp-go's own loop, which cancels calls at the end of
// input, reads lines of any length, and shares one session in a process.
func ServeStdio(ctx context.Context, s *server.MCPServer, in io.Reader, out io.Writer, each func(context.Context) (context.Context, error)) error {
	return serveStdio(ctx, s, in, out, nil, each, func(context.Context, time.Duration) {})
}

// serveStdio is ServeStdio with notices of what changes (nil: mcp-go has those there
// are), and told is called after each call of a tool.
func serveStdio(ctx context.Context, s *server.MCPServer, in io.Reader, out io.Writer, n *notices, each func(context.Context) (context.Context, error),
	told func(ctx context.Context, took time.Duration)) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	w := &lineWriter{out: out}
	session := newSession(w)
	if err := s.RegisterSession(serving, session); err != nil {
		return err
	}
	defer s.UnregisterSession(context.WithoutCancel(ctx), session.SessionID())
	serving = s.WithContext(serving, session)

	handle := func(ctx context.Context, message []byte) {
		if answer := s.HandleMessage(ctx, message); answer != nil {
			w.write(tools.Answered(ctx, answer))
		}
	}
	if err := n.begin(serving, w); err != nil {
		return err
	}
	var calls, others sync.WaitGroup
	others.Go(func() { session.forward(serving) })
	places := make(chan struct{}, atOnce)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	messages, readErr := read(reading, in)
	var failed error
	for message := range messages {
		if failed != nil {
			continue // what was read already
		}
		kind := kindOf(message)
		if kind.isResponse() { // the calls that wait for it may be all there is room for
			session.answered(message)
			continue
		}
		ctx, err := each(serving)
		if err != nil {
			failed = err
			stopReading()
			continue
		}
		if n.takes(ctx, kind.Method, message) {
			continue
		}
		var work *sync.WaitGroup
		switch kind.Method {
		case string(mcp.MethodInitialize), string(mcp.MethodNotificationCancelled):
			handle(ctx, message) // what follows relies on it; or it makes room
			continue
		case string(mcp.MethodToolsCall):
			work = &calls
		default:
			work = &others
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			start := time.Now()
			handle(ctx, message)
			if work == &calls {
				told(ctx, time.Since(start))
			}
		})
	}
	session.gone() // who waits for its answer waits no longer
	n.end(ctx.Err() != nil || failed != nil)
	calls.Wait()
	stop()
	others.Wait()
	n.wait()
	return errors.Join(failed, *readErr, w.err)
}

// read returns the messages that come in; the channel is closed at the end of
// in or of ctx, and the error may be looked at then. After the end of ctx the
// goroutine stays in its last Read, which nothing can interrupt, until the
// process ends or the other side closes the pipe.
func read(ctx context.Context, in io.Reader) (<-chan []byte, *error) {
	lines := make(chan []byte)
	messages, failed := make(chan []byte), new(error)
	lineErr := make(chan error, 1)
	go func() {
		defer close(lines)
		r := bufio.NewReaderSize(in, MaxMessage)
		for {
			message, err := readMessage(r)
			if len(message) > 0 {
				select {
				case lines <- message:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				lineErr <- err
				return
			}
		}
	}()
	go func() {
		defer close(messages)
		for {
			select {
			case message, ok := <-lines:
				if !ok {
					if err := <-lineErr; !errors.Is(err, io.EOF) {
						*failed = err
					}
					return
				}
				messages <- message
			case <-ctx.Done():
				return
			}
		}
	}()
	return messages, failed
}

// readMessage returns the next line. A line that is too long is read to its end
// and replaced by one that is answered with a parse error.
func readMessage(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	message := bytes.TrimSpace(bytes.Clone(line))
	for tooLong := errors.Is(err, bufio.ErrBufferFull); tooLong; tooLong = errors.Is(err, bufio.ErrBufferFull) {
		message = []byte("the message is longer than allowed")
		_, err = r.ReadSlice('\n')
	}
	return message, err
}

// kind is what is looked at of a message to know where it goes.
type kind struct {
	Method        string
	Result, Error json.RawMessage
}

func kindOf(message []byte) (k kind) {
	_ = json.Unmarshal(message, &k) // what is no JSON is of no kind; the server answers it
	return k
}

func (k kind) isResponse() bool { return k.Method == "" && (k.Result != nil || k.Error != nil) }

// lineWriter writes one message a line. After the first error it is silent: the
// client has gone.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
	err error
}

func (w *lineWriter) write(message any) {
	line, err := json.Marshal(message)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if err == nil {
		_, err = w.out.Write(append(line, '\n'))
	}
	w.err = err
}
