package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// world is one run of the harness.
type world struct {
	options
	out       io.Writer
	dir       string
	tally     *tally
	chain     *chain
	client    *client
	programme *programme
	killer    *killer
	excuses   *excuses
	proxies   []*proxy
	revenues  map[string]revenue // by user

	booked  atomic.Int64 // payments whose guests were told that they are booked
	closing atomic.Bool  // nobody begins another payment

	mu     sync.Mutex
	faults []string
	sent   []*sent
}

func newWorld(o options, out io.Writer) *world {
	return &world{options: o, out: out, dir: o.dir, tally: newTally(), excuses: &excuses{all: map[authorization]bool{}},
		revenues: map[string]revenue{}}
}

// Parts of the run that have chance of their own; guests count up from 0.
const (
	partStranger = 1<<63 + iota
	partKiller
	partProgramme
	partClient
	partGas
	partWallet
	partProxy // and those after it
)

// fault notes what must not happen.
func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func (w *world) note(s *sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, s)
}

// patientFaults tells whether there is time for what ends late.
func (w *world) patientFaults() bool { return w.window >= 30*time.Second }

// torture is the whole run. What does not agree is in w.faults; an error means
// that it could not be found out.
func (w *world) torture(ctx context.Context) (err error) {
	if w.dir == "" {
		if w.dir, err = os.MkdirTemp("", "torture-"); err != nil {
			return err
		}
	} else if err := os.Mkdir(w.dir, 0o700); err != nil {
		return err
	}
	began := time.Now()
	w.say("building the product")
	program := filepath.Join(w.dir, "concierge")
	if err := build(ctx, program); err != nil {
		return err
	}
	w.say("starting the chain")
	stopChain, err := w.startChain(ctx, program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopChain()) }()
	keepers, closeProxies, err := w.keepers(ctx, program)
	if err != nil {
		return err
	}
	defer closeProxies()
	if err := w.register(ctx, keepers[0]); err != nil {
		return err
	}
	var running sync.WaitGroup
	serving, stop := context.WithCancelCause(ctx)
	for _, k := range keepers {
		running.Go(func() { k.run(serving) })
	}
	defer running.Wait()
	defer stop(nil)
	w.tally.add("seconds", "until guests came", int(time.Since(began).Seconds()))
	if err := w.open(ctx); err != nil {
		return err
	}
	w.say("asking everybody's server once more")
	if err := w.audit(ctx); err != nil {
		return err
	}
	stop(errFinished)
	running.Wait()
	w.tally.add("seconds", "slowest answer", int(w.client.slowest.Seconds()))
	if w.client.slowest > slowestAllowed {
		w.fault("an answer took %s", w.client.slowest)
	}
	w.say("comparing books and chain")
	b, err := w.books(ctx)
	if err != nil {
		return err
	}
	b.count(w.tally)
	w.faults = append(append(w.faults, w.killer.missed...), b.differences()...)
	return nil
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// open lets guests in until there have been payments and kills enough, and
// returns when each of them knows what became of their payments, and nothing is
// open any more.
func (w *world) open(ctx context.Context) error {
	for _, p := range w.proxies {
		p.peaceful.Store(false)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var guests sync.WaitGroup
	defer guests.Wait()
	places := make(chan struct{}, w.guests)
	progress := time.NewTicker(5 * time.Second)
	defer progress.Stop()
	began := time.Now()
	for id := 0; w.booked.Load() < int64(w.payments) || w.killer.left() > 0; {
		select {
		case places <- struct{}{}:
			g, err := w.guest(id, sync.OnceFunc(func() { <-places }))
			if err != nil {
				return err
			}
			id++
			guests.Go(func() {
				if err := g.visit(ctx); err != nil {
					cancel(err)
				}
			})
		case <-progress.C:
			w.progress()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	w.closing.Store(true)
	w.tally.add("seconds", "with faults", int(time.Since(began).Seconds()))
	began = time.Now()
	for _, p := range w.proxies {
		p.peaceful.Store(true)
	}
	w.say("no more faults: waiting for guests and for what is open")
	if err := w.quiet(ctx, &guests, progress.C); err != nil {
		return err
	}
	w.tally.add("seconds", "until nothing was open", int(time.Since(began).Seconds()))
	return nil
}

// quietWithin is how long after the last authorization has expired and the last
// guest has gone something may be open: a settlement that waits for its
// transaction takes 90 s, a claim may stand alone for 60 s.
const quietWithin = 3 * time.Minute

// quiet waits until the guests have gone and nothing is open.
func (w *world) quiet(ctx context.Context, guests *sync.WaitGroup, progress <-chan time.Time) error {
	gone := make(chan struct{})
	go func() { // the caller waits for the guests in any case
		guests.Wait()
		close(gone)
	}()
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	var until time.Time
	for {
		select {
		case <-gone:
			gone = nil
			for _, s := range w.sent {
				if s.until.After(until) {
					until = s.until
				}
			}
			if now := time.Now(); until.Before(now) {
				until = now
			}
		case <-look.C:
			if gone != nil {
				continue
			}
			open, err := stillOpen(ctx, w.dir, w.programme.owners)
			if err != nil {
				return err
			}
			if len(open) == 0 && time.Now().After(until) {
				return nil
			}
			if time.Now().After(until.Add(quietWithin)) {
				w.fault("still open: %v", open)
				return nil
			}
		case <-progress:
			w.progress()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *world) progress() {
	w.mu.Lock()
	sent := len(w.sent)
	w.mu.Unlock()
	w.say("%d payments sent, %d booked; %d kills, %d to come; %d faults made",
		sent, w.booked.Load(), w.tally.sum("kills at"), w.killer.left(),
		w.tally.sum("faults of the node")+w.tally.sum("faults of the facilitator"))
}

// audit asks once more about every payment. All authorizations have expired, so
// nothing is paid or booked by that.
func (w *world) audit(ctx context.Context) error {
	work := make(chan *sent)
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			for s := range work {
				deadline := time.Now().Add(2 * time.Minute)
				for ctx.Err() == nil && time.Now().Before(deadline) {
					if a := w.client.rsvp(ctx, w.client.protocol(), s.order, &s.payment); a.verdict != later {
						s.hear(s.order, a, true)
						break
					}
					_ = sleep(ctx, 100*time.Millisecond)
				}
			}
		})
	}
	for _, s := range w.sent {
		work <- s
	}
	close(work)
	askers.Wait()
	for _, o := range w.programme.owners {
		if err := w.auditRevenue(ctx, o); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// report prints what happened and what is wrong.
func (w *world) report(err error) {
	fmt.Fprintln(w.out)
	w.tally.print(w.out)
	if len(w.faults) > 0 {
		fmt.Fprintf(w.out, "\n%d differences:\n", len(w.faults))
	}
	for i, f := range w.faults {
		if i == 100 {
			fmt.Fprintf(w.out, "… and %d more\n", len(w.faults)-i)
			break
		}
		fmt.Fprintln(w.out, "  "+f)
	}
	if err != nil {
		fmt.Fprintf(w.out, "\ntorture: %v\n", err)
	}
}
