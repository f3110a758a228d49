package handover

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Environment variables of systemd's watchdog (sd_watchdog_enabled(3)).
const (
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID" // whom it watches; a process that takes over is started without
)

// Watchdog tells systemd that the service is well, which ends it when it hears nothing
// for too long (WatchdogSec= of its unit).
type Watchdog struct {
	within time.Duration // it must hear something; 0: nobody watches
	tell   func(states ...string) error
}

// OpenWatchdog returns what systemd wants to be told of this process.
func OpenWatchdog() (*Watchdog, error) {
	w := &Watchdog{tell: Notify}
	usec, pid := os.Getenv(envWatchdog), os.Getenv(envWatchdogPID)
	if usec == "" || os.Getenv("NOTIFY_SOCKET") == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return w, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n < 1 || n > int64(24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("%s=%.40q: want microseconds, at most a day", envWatchdog, usec)
	}
	w.within = time.Duration(n) * time.Microsecond
	return w, nil
}

// Run looks twice within the time whether the service is well, and says so, until ctx
// ends. If it is not, or takes too long to find out, systemd is told nothing, and ill
// is told why.
func (w *Watchdog) Run(ctx context.Context, well func(context.Context) error, ill func(error)) {
	if w.within == 0 {
		return
	}
	every := w.within / 2
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := within(ctx, every, well)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			err = w.tell("WATCHDOG=1")
		}
		if err != nil {
			ill(err)
		}
	}
}

// within asks well, which has so much time.
func within(ctx context.Context, patience time.Duration, well func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := well(ctx); err != nil {
		return err
	}
	return ctx.Err()
}
