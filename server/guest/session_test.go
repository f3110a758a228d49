package guest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// Bookings over one connection at the same time keep their payments apart.
func TestConcurrentBookings(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, x402.USD)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := config(payer)
			c.Protocol = way.protocol
			h := p.visit(t, way.stdio, c)
			before, signed := p.balance(t, payer.Address()), len(payer.all())
			var wg sync.WaitGroup
			var sum atomic.Int64
			for i := range 6 {
				price := x402.Amount(1000 * (i + 1))
				sum.Add(int64(price))
				event := p.event(t, fmt.Sprint("Concert ", i), price.USD(), 1)
				wg.Go(func() {
					booked, err := h.Book(t.Context(), guest.Wish{EventID: event})
					if err != nil || booked.RSVP.EventID != event || booked.Paid != price || booked.RSVP.Amount != price.String() {
						t.Errorf("%+v, %v", booked, err)
					}
				})
			}
			wg.Wait()
			if got := before - p.balance(t, payer.Address()); int64(got) != sum.Load() {
				t.Errorf("spent %s, want %d", got, sum.Load())
			}
			payer.must(t, signed+6)
		})
	}
}

// The same booking at the same time is one booking with one payment.
func TestSameBookingAtOnce(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, x402.USD)
	h := dial(t, p.url, config(payer))
	wish := guest.Wish{EventID: p.event(t, "Concert", "0.05", 10)}
	ids := make([]string, 4)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			booked, err := h.Book(t.Context(), wish)
			// One that is late finds the event booked.
			var refused *guest.ToolError
			if err != nil && !(errors.As(err, &refused) && refused.Code == "already_booked") {
				t.Error(err)
			}
			ids[i] = booked.RSVP.ID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" }); len(ids) != 1 {
		t.Errorf("booked %v", ids)
	}
	if got := p.balance(t, payer.Address()); got != x402.USD-50_000 {
		t.Errorf("the guest has %s", got)
	}
}

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
	c := config(nil)
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
	c := config(nil)
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
	h, err := guest.Over(t.Context(), func() mcp.Transport {
		tr := p.pipes().(*mcp.IOTransport)
		tr.Writer = lingering{tr.Writer, ends[0]}
		ends = ends[1:]
		return tr
	}, config(nil))
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
	h, err := guest.Command(t.Context(), func() *exec.Cmd {
		started++
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), puppetEnv+"=1")
		cmd.Stderr = os.Stderr
		return cmd
	}, config(nil))
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
	c := config(newCounter(t))
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

// Config.Rand makes the nonces; without it nothing is signed.
func TestNonce(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
	c := config(payer)
	c.Rand = strings.NewReader(strings.Repeat("N", 32) + "too short")
	h := dial(t, p.web(t), c)
	if _, err := h.Book(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	if nonce := payer.all()[0].Nonce; string(nonce[:]) != strings.Repeat("N", 32) {
		t.Errorf("nonce %s", nonce)
	}
	if _, err := h.Book(t.Context(), wish); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, guest.ErrUnknown) {
		t.Errorf("without randomness: %v", err)
	}
	payer.must(t, 1)
}

// refusing is a wallet that does not sign.
type refusing struct{ *counter }

var errRefusing = errors.New("locked")

func (refusing) SignAuthorization(context.Context, x402.Requirements, x402.Authorization) (x402.Signature, error) {
	return nil, errRefusing
}

func TestWalletRefuses(t *testing.T) {
	p := &puppet{answer: then(required(honest), nil)}
	h := dial(t, p.web(t), config(refusing{newCounter(t)}))
	for range 2 {
		if _, err := h.Book(t.Context(), wish); !errors.Is(err, errRefusing) || errors.Is(err, guest.ErrUnknown) {
			t.Errorf("%v", err)
		}
	}
	if n := len(p.paidCalls()); n != 0 {
		t.Errorf("%d payments were sent", n)
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
	booked, err := dial(t, url, config(payer)).Book(t.Context(), wish)
	if err != nil || booked.Paid != 50_000 {
		t.Errorf("%+v, %v", booked, err)
	}
	if n := len(p.paidCalls()); n != 1 {
		t.Errorf("%d payments were sent", n)
	}
}
