package store

import (
	"errors"
	"testing"
)

// A cursor is one that this list gave, or none: what is taken is written the
// same way again.
func FuzzCursor(f *testing.F) {
	for _, p := range []position{{}, {n: -1, id: "evt_1"}, {n: never, id: "a.b"}, {n: always}} {
		f.Add(p.encode("events"))
		f.Add(p.encode("rsvps"))
	}
	f.Add("ZXZlbnRzLjAwMS54") // a number with zeros in front
	f.Add("not base64!")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := decode("events", cursor)
		switch {
		case errors.Is(err, ErrCursor):
		case err != nil:
			t.Errorf("%q: %v", cursor, err)
		case cursor == "" && p != (position{n: always}):
			t.Errorf("no cursor is %+v", p)
		case cursor != "" && p.encode("events") != cursor:
			t.Errorf("%q is %+v, which is %q", cursor, p, p.encode("events"))
		}
		if _, other := decode("rsvps", cursor); cursor != "" && err == nil && other == nil {
			t.Errorf("%q is a cursor of two lists", cursor)
		}
	})
}
