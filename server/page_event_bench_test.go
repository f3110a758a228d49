package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments"
)

// What an owner's pages cost the server, with 1,000 events, and 10,000 RSVPs for one
// of them.
func BenchmarkOwnersPages(b *testing.B) {
	s := serveEvents(b)
	user := strings.TrimPrefix(s.path, "/mcp/users/")
	h, err := s.Hosts.Host(b.Context(), user)
	if err != nil {
		b.Fatal(err)
	}
	each := make(chan int)
	done := make(chan error)
	for range 32 { // who share commits
		go func() {
			var failed error
			for n := range each {
				_, err := h.Store.BookFree(b.Context(), payments.Booking{RSVPID: fmt.Sprintf("rsvp_%032d", n), EventID: s.free, Seats: 1,
					Name: fmt.Sprint("Guest ", n), Email: fmt.Sprintf("guest%d@example.org", n)})
				if err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for n := range 10_000 {
		each <- n
	}
	close(each)
	for range 32 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	session, err := s.Hosts.NewSession(b.Context(), user)
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"list": "/my-mcp/events", "search": "/my-mcp/events?q=evening+99", "guests": "/my-mcp/events/" + s.free,
		"find a guest": "/my-mcp/events/" + s.free + "?q=guest9999", "form": "/my-mcp/events/new", "check-in": "/my-mcp/check-in", "revenue": "/my-mcp/revenue"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.AddCookie(&http.Cookie{Name: "concierge_session", Value: session})
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
