package server

import (
	"net/http/httptest"
	"testing"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Who listens is counted by address and by Host, owners apart from guests, and makes
// room when they leave.
func TestListenersAreBounded(t *testing.T) {
	var l listeners
	const ada, bob = "aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	take := func(address, user string, scope store.Scope) (listenerSeat, error) {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = address
		return l.take(r, &tools.Call{Host: &tools.Host{User: user}, Scope: scope})
	}
	fill := func(address, user string, scope store.Scope, want int) (seats []listenerSeat) {
		t.Helper()
		for {
			seat, err := take(address, user, scope)
			if err != nil {
				if len(seats) != want {
					t.Errorf("%s at %s: %d", address, user, len(seats))
				}
				return seats
			}
			seats = append(seats, seat)
		}
	}
	seats := fill("192.0.2.1:1", ada, "", maxListenersPerClient)
	seats = append(seats, fill("127.0.0.1:1", ada, "", maxListenersPerHost-maxListenersPerClient)...) // a proxy has no address of its own
	seats = append(seats, fill("127.0.0.1:1", ada, store.ScopeOwner, maxListenersPerHost)...)
	seats = append(seats, fill("127.0.0.1:1", bob, "", maxListenersPerHost)...)
	seats = append(seats, fill("127.0.0.1:1", bob, store.ScopeRead, maxListeners-3*maxListenersPerHost)...)
	fill("192.0.2.2:1", ada, "", 0)
	for _, seat := range seats {
		l.leave(seat)
	}
	if l.all != 0 || len(l.hosts) != 0 || len(l.clients) != 0 {
		t.Errorf("%d, %v, %v are left", l.all, l.hosts, l.clients)
	}
}
