package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server"
)

// street is a server with a Host that is flooded and a quiet one.
type street struct {
	*door
	flooded, quiet string // URLs
}

func newStreet(t testing.TB, l server.Limits) *street {
	s := &street{door: newDoor(t, l, io.Discard)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener, within) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	base := "http://" + listener.Addr().String() + "/mcp/users/"
	a, _ := s.user(t, "ada@example.org")
	b, _ := s.user(t, "bo@example.org")
	s.flooded, s.quiet = base+a, base+b
	return s
}

// caller asks one Host, over a connection of its own.
func caller(t testing.TB, url string) (ask func() (status int)) {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport}
	return func() int {
		resp, err := c.Post(url, "application/json", strings.NewReader(listEvents))
		if err != nil {
			t.Error(err)
			return 0
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		return resp.StatusCode
	}
}

// flood has so many clients ask for a Host as fast as they can, whatever they
// are answered, until stop.
func (s *street) flood(t testing.TB, clients int) (answered, refused *atomic.Int64, stop func()) {
	answered, refused = &atomic.Int64{}, &atomic.Int64{}
	var flooding sync.WaitGroup
	var over atomic.Bool
	for range clients {
		ask := caller(t, s.flooded)
		flooding.Go(func() {
			for !over.Load() {
				switch ask() {
				case http.StatusOK:
					answered.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			}
		})
	}
	return answered, refused, func() {
		over.Store(true)
		flooding.Wait()
	}
}

// Who floods a Host gets refusals; the guests of another get answers.
func TestFlood(t *testing.T) {
	s := newStreet(t, server.Limits{User: 100}) // and its clock stands still
	ask := caller(t, s.quiet)
	answered, refused, stop := s.flood(t, 8)
	for i := 0; i < 99 || refused.Load() < 100; i++ {
		if i%90 == 89 {
			s.later(time.Second)
		}
		if status := ask(); status != http.StatusOK {
			t.Errorf("the quiet host answers %d", status)
			break
		}
	}
	stop()
	if n := answered.Load(); n < 100 || refused.Load() < 100 {
		t.Errorf("of the flood %d were answered, %d refused", n, refused.Load())
	}
}
