package store_test

import (
	"testing"

	"github.com/events-concierge/concierge/store"
)

// Whoever opens a file to read it, or closes it, leaves its stamp as it is; every
// write makes a new one.
func TestStamp(t *testing.T) {
	files, _ := MustFiles(t, store.Options{})
	h := hosts(t, files, 1)[0]
	h.event(t, "tea", nil)
	if err := h.closeFile(t); err != nil {
		t.Fatal(err)
	}
	closed, _ := h.Stamp()
	h.taken(t, "tea") // opens it
	if opened, _ := h.Stamp(); opened != closed || files.Open() != 1 {
		t.Errorf("opened: %+v, closed: %+v", opened, closed)
	}
	if err := h.closeFile(t); err != nil {
		t.Fatal(err)
	}
	if again, _ := h.Stamp(); again != closed {
		t.Errorf("closed again: %+v, before: %+v", again, closed)
	}
	seen := map[store.Stamp]bool{closed: true}
	for _, id := range []string{"opera", "jazz"} {
		h.event(t, id, nil)
		s, _ := h.Stamp()
		if seen[s] {
			t.Errorf("after %s it is as before: %+v", id, s)
		}
		seen[s] = true
	}
}
