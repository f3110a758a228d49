package guest_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/server/guest"
)

// These tests run on a clock of their own, and fail if anything that a Host
// value started is left behind when it is closed.

// mute reads everything and says nothing.
func mute() mcp.Transport {
	in, toHost := io.Pipe()
	fromHost, out := io.Pipe()
	go func() {
		defer out.Close()
		_, _ = io.Copy(io.Discard, in)
	}()
	return &mcp.IOTransport{Reader: fromHost, Writer: toHost}
}

func TestMuteHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if h, err := guest.Over(t.Context(), "in memory", mute, config(t, nil)); err == nil {
			h.Close()
			t.Error("connected to nobody")
		}
		if waited := time.Since(start); waited > 2*time.Minute {
			t.Errorf("waited %s", waited)
		}
	})
}

// A call that is not answered ends, and a payment of it is sent again.
func TestHostFallsMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payer := newCounter(t)
		p := &puppet{}
		ask := then(required(honest), nil)
		p.answer = func(n int, c call) string {
			if c.paid() { // answers something else than what was asked
				return `{"jsonrpc":"2.0","id":9999,"result":{"content":[]}}`
			}
			return ask(n, c)
		}
		c := config(t, payer)
		c.Pause = nil // the real one
		h, err := guest.Over(t.Context(), "in memory", p.pipes, c)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = h.Book(t.Context(), wish)
		if !errors.Is(err, guest.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		// Five times 70 seconds, and the pauses between them.
		if waited := time.Since(start); waited != 5*70*time.Second+15*time.Second {
			t.Errorf("waited %s", waited)
		}
		payer.must(t, 1)
		if n := len(p.paidCalls()); n != 5 {
			t.Errorf("sent %d times", n)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who gives up between two tries is not kept waiting.
func TestGivingUpBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payer := newCounter(t)
		p := &puppet{answer: then(required(honest), func(int, call) string { return refuses("payment_unavailable", "later") })}
		c := config(t, payer)
		c.Pause = nil // the real one
		h, err := guest.Over(t.Context(), "in memory", p.pipes, c)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err = h.Book(ctx, wish)
		if !errors.Is(err, guest.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if n := len(p.paidCalls()); n != 2 {
			t.Errorf("sent %d times", n)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// While one call connects anew, others wait no longer than they want to, and
// Close does not wait for them at all.
func TestWaitingForTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &puppet{answer: always(rsvp("confirmed", ""))}
		var mu sync.Mutex
		connects := 0
		var first *mcp.IOTransport
		h, err := guest.Over(t.Context(), "in memory", func() mcp.Transport {
			mu.Lock()
			defer mu.Unlock()
			if connects++; connects > 1 {
				return mute()
			}
			first = p.pipes().(*mcp.IOTransport)
			return first
		}, config(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		first.Reader.Close()
		first.Writer.Close()
		synctest.Wait()

		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := h.RSVP(t.Context(), "rsvp_1"); err == nil {
				t.Error("a mute host has answered")
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.RSVP(ctx, "rsvp_1"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if err := h.Close(); err != nil || time.Since(start) != time.Second {
			t.Errorf("closed after %s: %v", time.Since(start), err)
		}
		wg.Wait()
		if mu.Lock(); connects != 2 {
			t.Errorf("connected %d times", connects)
		}
		mu.Unlock()
	})
}

// A session that ended while nobody used it is no error of the next call.
func TestSessionThatEndedBetweenCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payer := newCounter(t)
		var last *mcp.IOTransport
		p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
		h, err := guest.Over(t.Context(), "in memory", func() mcp.Transport {
			last = p.pipes().(*mcp.IOTransport)
			return last
		}, config(t, payer))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if booked, err := h.Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
				t.Errorf("booking %d: %+v, %v", i, booked, err)
			}
			last.Reader.Close()
			last.Writer.Close()
			synctest.Wait()
		}
		payer.must(t, 3)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Close lets a payment that is under way come to its end.
func TestCloseWaitsForCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payer := newCounter(t)
		p := &puppet{answer: then(required(honest), func(int, call) string {
			time.Sleep(30 * time.Second)
			return rsvp("confirmed", "")
		})}
		h, err := guest.Over(t.Context(), "in memory", p.pipes, config(t, payer))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if booked, err := h.Book(t.Context(), wish); err != nil || booked.Paid != 50_000 {
				t.Errorf("%+v, %v", booked, err)
			}
		})
		synctest.Wait()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}
