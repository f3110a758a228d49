package outgoing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/guest/outgoing"
)

// raw serves each connection with f, which gets it after a request's header.
func raw(t *testing.T, f func(net.Conn)) (url string) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		f(c)
	})
}

// endless writes s until nobody reads it any more.
func endless(w io.Writer, s string) {
	for {
		if _, err := io.WriteString(w, s); err != nil {
			return
		}
	}
}

func TestBody(t *testing.T) {
	const most = 1000
	for size, want := range map[int]error{0: nil, most - 1: nil, most: nil, most + 1: outgoing.ErrTooLong, 50 * most: outgoing.ErrTooLong} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("a", size)) })
		resp, err := get(t, transport(t, outgoing.Options{Allow: here, Body: most}), url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != want || len(got) != min(size, most) {
			t.Errorf("%d bytes of %d: %v", len(got), size, err)
		}
	}
}

// Compressed zeros would be a thousand times as much.
func TestNothingIsDecompressed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Accept-Encoding"))
	})
	resp, err := get(t, transport(t, outgoing.Options{Allow: here}), url)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || len(got) != 0 {
		t.Errorf("asked for %q, %v", got, err)
	}
}

// Answers that have no end, of one kind or another, end all the same: for who uses
// the transport, and for a Guest.
func TestEndless(t *testing.T) {
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	mute := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go silent(theirs)
		return ours, nil
	}}
	const tick = 150 * time.Millisecond // after which something is late
	for name, c := range map[string]struct {
		url  string
		o    outgoing.Options
		want string
	}{
		"header": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless(c, "X-Header: of no end\r\n")
		}), outgoing.Options{}, "server response headers exceeded"},
		"header line": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Header: ")
			endless(c, "aaaaaaaa")
		}), outgoing.Options{}, "server response headers exceeded"},
		"1xx answers": {raw(t, func(c net.Conn) {
			endless(c, "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n")
		}), outgoing.Options{}, "server response headers exceeded"},
		"body": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
			endless(c, `{"jsonrpc":"2.0",`)
		}), outgoing.Options{Body: 100_000}, outgoing.ErrTooLong.Error()},
		"chunk extensions": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n")
			endless(c, "1;"+strings.Repeat("x", 1000)+"\r\na\r\n")
		}), outgoing.Options{}, "chunked encoding"},
		"trailer": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\n")
			endless(c, "X-Trailer: of no end\r\n")
		}), outgoing.Options{}, "trailer"},
		"drip": {raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
			for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
				if _, err := io.WriteString(c, ":"); err != nil {
					return
				}
			}
		}), outgoing.Options{Whole: tick}, context.DeadlineExceeded.Error()},
		"silence":             {raw(t, silent), outgoing.Options{Wait: tick}, "timeout awaiting response headers"},
		"silence of TLS":      {"https://" + listener.Addr().String(), outgoing.Options{TLS: tick}, "TLS handshake timeout"},
		"silence of its name": {"http://mute.example", outgoing.Options{Dial: tick, Resolver: mute}, "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Allow = here
			tr := transport(t, c.o)
			resp, err := get(t, tr, c.url)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if err := dial(t, tr, c.url); err == nil {
				t.Error("a guest has connected")
			}
		})
	}
}

// Hundreds at a time, to one name and to many, open no more connections than
// they may, and each has its turn.
func TestHundredsAtATime(t *testing.T) {
	for name, c := range map[string]struct{ names, most int }{"one host": {1, 4}, "twenty hosts": {20, 10}} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			arrived, now, most := 0, 0, 0
			full, begun := make(chan struct{}), make(chan struct{})
			h := host()
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now++
				most = max(most, now)
				if arrived++; arrived == c.most {
					close(full)
				}
				mu.Unlock()
				<-full
				<-begun
				answer := httptest.NewRecorder() // nothing is sent before it is over
				h.ServeHTTP(answer, r)
				mu.Lock()
				now--
				mu.Unlock()
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = answer.Body.WriteTo(w)
			})
			tr := transport(t, outgoing.Options{Allow: here, Resolver: loopback(), PerHost: 4, Connections: 10, Dial: time.Minute})
			var wg, start sync.WaitGroup
			for i := range 250 {
				start.Add(1)
				wg.Go(func() {
					start.Done()
					if err := dial(t, tr, fmt.Sprintf("http://host-%d.example%s", i%c.names, port(url))); err != nil {
						t.Errorf("%d: %v", i, err)
					}
				})
			}
			start.Wait()
			close(begun)
			wg.Wait()
			if most != c.most {
				t.Errorf("%d at a time", most)
			}
		})
	}
}

// unfinished answers with a header, and with the rest when the client is gone.
func unfinished(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	if r.URL.Path == "/unfinished" {
		<-r.Context().Done()
	}
}

// What has failed takes no place, and a connection that ends gives its place to who
// waits for one.
func TestPlaces(t *testing.T) {
	url := serve(t, unfinished)
	tr := transport(t, outgoing.Options{Allow: here, Resolver: loopback(), Connections: 1, Dial: time.Minute})
	for range 3 {
		if _, err := get(t, tr, "http://127.0.0.2"); !errors.Is(err, outgoing.ErrNotPublic) {
			t.Errorf("%v", err)
		}
	}
	first, err := get(t, tr, url+"/unfinished")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := get(t, tr, "http://another.example"+port(url)); err != nil {
			t.Errorf("%v", err)
		}
	})
	first.Body.Close()
	wg.Wait()
}
