package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/handover"
	"github.com/events-concierge/concierge/server"
)

const (
	// takeOverIn is how long a new process may take to serve in place of this one.
	takeOverIn = time.Minute
	// readyIn is how much of that it waits for /readyz to say so.
	readyIn = 30 * time.Second
)

// Why a process can't hand over to a new one.
var (
	errEmbeddedChain = errors.New("the embedded chain would be lost with this process: run 'concierge devnet' and serve with --rpc, or stop the server and start it again")
	errIsInit        = errors.New("it is process 1, and a container ends with that: start a container with the new version, and stop this one")
)

// restart is how serve gives way to a newer process, or comes after an older one.
type restart struct {
	*handover.Listeners
	program handover.Program
	signals *handover.Signals
	watched *handover.Watchdog
	cannot  error                 // why there can be no newer process; nil: there can
	reload  func(context.Context) // nil: there is nothing to read again
	log     *slog.Logger
}

// openRestart takes over what was handed to this process. end it.
func openRestart(log *slog.Logger) (*restart, error) {
	program, err := handover.Self()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	watched, err := handover.OpenWatchdog()
	if err != nil {
		return nil, err
	}
	l, err := handover.Open()
	if err != nil {
		return nil, err
	}
	r := &restart{Listeners: l, program: program, signals: handover.Catch(), watched: watched, log: log}
	if os.Getpid() == 1 {
		r.cannot = errIsInit
	}
	return r, nil
}

// end says what has become of this process.
func (r *restart) end(err error) {
	r.signals.Release()
	if err != nil {
		r.Failed(err)
	}
	if err := r.Close(); err != nil {
		r.log.Debug("close what was handed over", "err", err)
	}
}

// serve runs answer, which serves web until its context ends. That is when ctx does,
// or when a process that was started by SIGUSR2 serves instead.
func (r *restart) serve(ctx context.Context, web *server.Server, answer func(context.Context) error) error {
	if r.TookOver() {
		if err := r.awaitReady(ctx, web); err != nil {
			return err
		}
	}
	serving, over := context.WithCancelCause(ctx)
	defer over(nil)
	watching, end := context.WithCancel(ctx)
	var tending sync.WaitGroup
	tending.Go(func() {
		r.signals.Run(watching, func() { r.reloaded(watching) }, func() {
			if r.handOver(watching) {
				over(server.HandedOver{Hurry: ctx.Done()})
				end()
			}
		})
	})
	tending.Go(func() {
		r.watched.Run(watching, web.Alive, func(err error) { r.log.Error("systemd's watchdog is not told that the server is well", "err", err) })
	})
	defer func() { end(); tending.Wait() }()
	defer context.AfterFunc(ctx, func() { r.notify("STOPPING=1") })()
	if err := r.Ready(); err != nil {
		r.log.Error("say that the server is ready", "err", err)
	}
	return answer(serving)
}

func (r *restart) awaitReady(ctx context.Context, web *server.Server) error {
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	return web.AwaitReady(ctx)
}

// handOver starts the program anew, and reports whether that serves now.
func (r *restart) handOver(ctx context.Context) bool {
	if r.cannot != nil {
		r.log.Error("no restart", "err", r.cannot)
		return false
	}
	r.log.Info("restart: a new process is started", "program", r.program.Path)
	r.notify("STATUS=A new process is started.")
	ctx, cancel := context.WithTimeout(ctx, takeOverIn)
	defer cancel()
	pid, err := r.Replace(ctx, r.program)
	if err != nil {
		r.log.Error("no restart: this process goes on", "err", err)
		r.notify("STATUS=The new process failed; the old one goes on.")
		return false
	}
	r.log.Info("restart: the new process serves, this one finishes what it has begun", "pid", pid)
	// Its watchdog, too, is the new process's from now on, which has just answered.
	r.notify(fmt.Sprintf("MAINPID=%d", pid), "READY=1", "STATUS=", "WATCHDOG=1")
	return true
}

// reloaded has the configuration read again.
func (r *restart) reloaded(ctx context.Context) {
	r.notify(handover.Reloading()...)
	defer r.notify("READY=1")
	if r.reload != nil {
		r.reload(ctx)
	}
}

func (r *restart) notify(states ...string) {
	if err := handover.Notify(states...); err != nil {
		r.log.Warn("tell systemd", "err", err)
	}
}
