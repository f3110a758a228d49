package outgoing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits for a connection does so for no longer than for a dial.
func TestNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer{timeout: 10 * time.Second, slots: make(chan struct{}, 1)}
		d.slots <- struct{}{}
		start := time.Now()
		conn, err := d.dial(t.Context(), "tcp", "127.0.0.1:80")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v, %v after %s", conn, err, time.Since(start))
		}
	})
}
