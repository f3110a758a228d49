package store_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Whatever is done to the events of a Host, in any order: a change gives the event a
// revision above all that there were, and nothing else touches one.
func TestRevisions(t *testing.T) {
	h := MustOpen(t)
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		h.event(t, name, nil)
	}
	highest, guests := int64(len(names)), 0
	for range 200 {
		h.clock.Advance(time.Second)
		name := names[r.IntN(len(names))]
		before := h.kept(t, name)
		changed := !before.Cancelled
		switch r.IntN(20) {
		case 0:
			must(t)(h.CancelEvent(t.Context(), name, 0))
		case 1, 2, 3, 4, 5, 6, 7:
			_, err := h.UpdateEvent(t.Context(), name, func(e *store.Event) error { e.Capacity += 10; return nil })
			if (err == nil) != changed {
				t.Fatal(err)
			}
		case 8, 9:
			changed = false
			_, _ = h.UpdateEvent(t.Context(), name, func(*store.Event) error { return nil })
		default:
			if changed {
				guests++
				must(t)(h.BookFree(t.Context(), booking(name, guests, 1)))
			}
			changed = false
		}
		after := h.kept(t, name)
		if changed {
			highest++
			before.ChangedAt = h.clock.Now()
			before.Revision = highest
		}
		if after.Revision != before.Revision || !after.ChangedAt.Equal(before.ChangedAt) {
			t.Fatalf("%+v, want revision %d of %v", after, before.Revision, before.ChangedAt)
		}
	}
}

// After a restore events have revisions that nobody has seen before.
func TestRevisionsAfterRestores(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "a", nil)
	h.event(t, "b", nil)
	for n := int64(1); n < 4; n++ {
		must(t)(nil, h.MarkRestored(t.Context(), start, x402.Address{}))
		b := h.kept(t, "b")
		if b.Revision != 2+n*1_000_000 || !b.ChangedAt.Equal(start) {
			t.Errorf("%+v", b)
		}
	}
}

func TestUnlisted(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "public", nil)
	h.event(t, "unlisted", func(e *store.Event) { e.Unlisted = true })
	if got := strings.Join(h.ids(t, store.EventQuery{}), " "); got != "public unlisted" {
		t.Errorf("all are %q", got)
	}
	if got := strings.Join(h.ids(t, store.EventQuery{Listed: true}), " "); got != "public" {
		t.Errorf("listed are %q", got)
	}
}

func (h *host) kept(t *testing.T, id string) store.Event {
	t.Helper()
	e, err := h.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
