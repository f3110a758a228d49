package host_test

import (
	"context"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

func watching(t *testing.T, dir string) *host.Hosts {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New(), WatchEvery: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

// What any process changes is told to all who watch, and to nobody else's guests.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	h, elsewhere := watching(t, dir), watching(t, dir)
	user, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	leaving, leave := context.WithCancel(t.Context())
	first, err := h.Watch(leaving, user.ID)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Watch(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	drain := func(c <-chan struct{}) { // what registering has changed a moment ago
		for quiet := false; !quiet; {
			select {
			case <-c:
			case <-time.After(150 * time.Millisecond):
				quiet = true
			}
		}
	}
	drain(first)
	drain(second)
	for _, by := range []*host.Hosts{h, elsewhere} {
		ada, err := by.Host(t.Context(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Tea", StartsAt: "2035-01-01T00:00:00Z"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []<-chan struct{}{first, second} {
			if _, open := <-c; !open {
				t.Fatal("it was closed")
			}
		}
		drain(first)
		drain(second)
	}
	if n := h.Watched(); n != 1 {
		t.Errorf("%d files are watched", n)
	}
	leave()
	if _, open := <-first; open {
		t.Error("who has left is told more")
	}
	third, err := h.Watch(leaving, user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, open := <-third; open {
		t.Error("who had left before is told")
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range second { // it is closed
	}
	if _, err := h.Watch(t.Context(), user.ID); err == nil {
		t.Error("what is closed is watched")
	}
	if n := h.Watched(); n != 0 {
		t.Errorf("%d files are watched", n)
	}
}
