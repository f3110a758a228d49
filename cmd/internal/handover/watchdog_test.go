//go:build unix

package handover

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpenWatchdog(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		usec, pid, socket string
		within            time.Duration
	}{
		"this process":           {"30000000", self, "/nowhere", 30 * time.Second},
		"one that took over":     {"30000000", "", "/nowhere", 30 * time.Second},
		"meant for another":      {"30000000", "1", "/nowhere", 0},
		"nobody watches":         {"", "", "/nowhere", 0},
		"nobody to tell":         {"30000000", self, "", 0},
		"no number":              {"soon", self, "/nowhere", -1},
		"never":                  {"0", self, "/nowhere", -1},
		"before":                 {"-5", self, "/nowhere", -1},
		"longer than anybody is": {"99999999999999999", self, "/nowhere", -1},
	} {
		t.Setenv(envWatchdog, c.usec)
		t.Setenv(envWatchdogPID, c.pid)
		t.Setenv("NOTIFY_SOCKET", c.socket)
		w, err := OpenWatchdog()
		if (err != nil) != (c.within < 0) || err == nil && w.within != c.within {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
}

// Systemd hears of the service twice within the time, but not while it is not well, or
// is too slow to say so.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		var why []error
		begun := time.Now()
		w := &Watchdog{within: 30 * time.Second, tell: func(states ...string) error {
			if !slices.Equal(states, []string{"WATCHDOG=1"}) {
				t.Errorf("%v", states)
			}
			told = append(told, time.Since(begun).Truncate(time.Second))
			return nil
		}}
		broken := errors.New("it does not answer")
		well := func(ctx context.Context) error {
			switch at := time.Since(begun); {
			case at > 40*time.Second && at < 50*time.Second:
				return broken
			case at > 70*time.Second && at < 80*time.Second: // it hangs
				<-ctx.Done()
			case at > 100*time.Second && at < 110*time.Second: // it answers, and late
				time.Sleep(20 * time.Second)
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 160*time.Second)
		defer cancel()
		w.Run(ctx, well, func(err error) { why = append(why, err) })
		s := time.Second
		if want := []time.Duration{15 * s, 30 * s, 60 * s, 90 * s, 125 * s, 135 * s, 150 * s}; !slices.Equal(told, want) {
			t.Errorf("told after %v, want %v", told, want)
		}
		if len(why) != 3 || !errors.Is(why[0], broken) || !errors.Is(why[1], context.DeadlineExceeded) || !errors.Is(why[2], context.DeadlineExceeded) {
			t.Errorf("why not: %v", why)
		}

		(&Watchdog{}).Run(t.Context(), nil, nil) // nobody watches: it ends at once
	})
}
