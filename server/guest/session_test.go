package guest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/server/guest"
)

// Who gives up a call of theirs does not break the calls of others.
func TestGivingUpDisturbsNobody(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	p := &puppet{answer: func(_ int, c call) string {
		switch {
		case strings.Contains(c.args, "slow"):
			arrived <- struct{}{}
			<-release
			return says(`{"id":"slow","status":"confirmed"}`)
		case strings.Contains(c.args, "mute"):
			arrived <- struct{}{}
			<-release
		}
		return says(`{"id":"quick","status":"confirmed"}`)
	}}
	wire := &counting{}
	c := config(t, nil)
	c.Transport = wire
	h := dial(t, p.web(t), c)
	var wg sync.WaitGroup
	wg.Go(func() {
		if r, err := h.RSVP(t.Context(), "slow"); err != nil || r.ID != "slow" {
			t.Errorf("the slow call: %+v, %v", r, err)
		}
	})
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := h.RSVP(ctx, "mute"); !errors.Is(err, context.Canceled) {
			t.Errorf("the call that is given up: %v", err)
		}
	})
	<-arrived
	cancel()
	if r, err := h.RSVP(t.Context(), "quick"); err != nil || r.ID != "quick" {
		t.Errorf("the next call: %+v, %v", r, err)
	}
	close(release)
	wg.Wait()
	if n := wire.opened.Load(); n != 1 {
		t.Errorf("connected %d times", n)
	}
}

// counting counts the sessions that are opened.
type counting struct{ opened atomic.Int32 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if m := readCall(raw, nil).method; m == "server/discover" || m == "initialize" {
		c.opened.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestBrokenSessionIsDialledAnew(t *testing.T) {
	wire := &counting{}
	p := &puppet{answer: func(n int, _ call) string {
		if n == 1 {
			return `{`
		}
		return rsvp("confirmed", "")
	}}
	c := config(t, nil)
	c.Transport = wire
	h := dial(t, p.web(t), c)
	if _, err := h.Book(t.Context(), wish); err == nil {
		t.Error("half an answer is none")
	}
	for range 2 {
		if _, err := h.Book(t.Context(), wish); err != nil {
			t.Error(err)
		}
	}
	if n := wire.opened.Load(); n != 2 {
		t.Errorf("connected %d times", n)
	}
}

// lingering is a connection that takes its time to end.
type lingering struct {
	io.WriteCloser
	end func()
}

func (l lingering) Close() error {
	l.end()
	return l.WriteCloser.Close()
}

// Nobody waits for a broken session to end, but Close.
func TestBrokenSessionEndsBehind(t *testing.T) {
	var gone atomic.Bool
	release := make(chan struct{})
	ends := []func(){
		func() { <-release; gone.Store(true) },
		func() { go close(release) },
	}
	p := &puppet{answer: func(n int, _ call) string {
		if n == 1 {
			return "lost"
		}
		return rsvp("confirmed", "")
	}}
	h, err := guest.Over(t.Context(), "in memory", func() mcp.Transport {
		tr := p.pipes().(*mcp.IOTransport)
		tr.Writer = lingering{tr.Writer, ends[0]}
		ends = ends[1:]
		return tr
	}, config(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Book(t.Context(), wish); err == nil {
		t.Error("no error")
	}
	if _, err := h.Book(t.Context(), wish); err != nil || gone.Load() {
		t.Errorf("gone %t: %v", gone.Load(), err)
	}
	if err := h.Close(); err != nil || !gone.Load() {
		t.Errorf("gone %t: %v", gone.Load(), err)
	}
}

// A program that dies is started anew by the next call.
func TestCommandIsStartedAnew(t *testing.T) {
	started := 0
	h, err := guest.Command(t.Context(), "a program", func() *exec.Cmd {
		started++
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), puppetEnv+"=1")
		cmd.Stderr = os.Stderr
		return cmd
	}, config(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for i, dies := range []bool{false, true, false, true, false} {
		_, err := h.Book(t.Context(), wish)
		if (err != nil) != dies {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if started != 3 {
		t.Errorf("started %d times", started)
	}
}

func TestClosed(t *testing.T) {
	wire := &counting{}
	p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
	c := config(t, newCounter(t))
	c.Transport = wire
	h := dial(t, p.web(t), c)
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Book(t.Context(), wish); err == nil {
		t.Error("booked over a closed connection")
	}
	if wire.opened.Load() != 1 || len(p.calls()) != 0 {
		t.Error("connected again after Close")
	}
}

// A Host may answer with a stream of events, and say other things before.
func TestEventStream(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer := p.message(readCall(body, r.Header))
		if answer == "" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, ": hello\n\nevent: message\nid: 1\ndata: %s\n\nevent: message\nid: 2\ndata: %s\n\n",
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"wait"}}`, answer)
	}))
	booked, err := dial(t, url, config(t, payer)).Book(t.Context(), wish)
	if err != nil || booked.Paid != 50_000 {
		t.Errorf("%+v, %v", booked, err)
	}
	if n := len(p.paidCalls()); n != 1 {
		t.Errorf("%d payments were sent", n)
	}
}
