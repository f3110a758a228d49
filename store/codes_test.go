package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

func TestCodes(t *testing.T) {
	var c clock
	s := MustOpenServer(t, &c)
	add := func(email, code int, want error) {
		t.Helper()
		if err := s.AddCode(t.Context(), hash(email), hash(code)); !errors.Is(err, want) {
			t.Errorf("add: %v, want %v", err, want)
		}
	}
	use := func(what string, email, code int, want error) {
		t.Helper()
		if err := s.UseCode(t.Context(), hash(email), hash(code)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	use("none was sent", 1, 10, store.ErrCode)
	add(1, 10, nil)
	add(2, 20, nil)
	use("somebody else's", 1, 20, store.ErrCode)
	use("right", 1, 10, nil)
	use("right once more", 1, 10, store.ErrCode)

	add(1, 11, nil)
	add(1, 12, nil)
	use("the one before", 1, 11, store.ErrCode)
	use("the last", 1, 12, nil)

	add(1, 13, nil)
	for range store.CodeTries {
		use("wrong", 1, 99, store.ErrCode)
	}
	use("right, after too many tries", 1, 13, store.ErrCode)
	add(1, 14, nil)
	for range store.CodeTries - 1 {
		use("wrong", 1, 99, store.ErrCode)
	}
	use("right at the last try", 1, 14, nil)

	add(1, 15, store.ErrTooManyCodes) // the sixth within the hour
	add(2, 21, nil)
	c.Advance(store.CodeValid)
	use("too late", 2, 21, store.ErrCode)

	c.Advance(time.Hour - store.CodeValid - time.Minute)
	add(2, 22, nil)
	add(1, 16, store.ErrTooManyCodes)
	c.Advance(time.Minute)
	add(1, 17, nil) // a new hour
	use("right in the new hour", 1, 17, nil)
	use("right, of the hour before", 2, 22, nil)
}

// However many try at once, there are no more tries than there are.
func TestCodeRace(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	if err := s.AddCode(t.Context(), hash(1), hash(10)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var right atomic.Int32
	for range 40 {
		wg.Go(func() {
			if err := s.UseCode(t.Context(), hash(1), hash(10)); err == nil {
				right.Add(1)
			}
		})
	}
	wg.Wait()
	if right.Load() != 1 {
		t.Errorf("it was taken %d times", right.Load())
	}
}
