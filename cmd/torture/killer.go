package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/process"
	"github.com/events-concierge/concierge/payments/crashpoint"
)

// life is how a server's life ends: when it takes a step of a payment for the
// hit-th time, or from outside when so many more payments have been taken by any
// server.
type life struct {
	at    crashpoint.Point // "": killed from outside
	hit   int
	asked bool          // not killed, but asked to stop
	after time.Duration // that it lives on then, if it is killed from outside
	tries int           // how often the step was waited for already
}

// killer hands out lives until there have been enough.
type killer struct {
	mu     sync.Mutex
	queue  []life
	living int // lives handed out that have not ended
	missed []string
}

const (
	// stepWithin is how many payments may be taken, by all servers, until one
	// has taken the step that it is to die at; stepTries is how often there may
	// have been more.
	stepWithin = 200
	stepTries  = 4
	// longestLife is how long a server waits for payments to be killed after.
	longestLife = 20 * time.Second
)

// newKiller plans n deaths or more, spread over so many payments: at every step
// early in a life, at every step later in one if there are deaths enough, and the
// others at any time.
func newKiller(n, payments int, random *rand.Rand) *killer {
	k := &killer{}
	if n == 0 {
		return k
	}
	rounds := max(1, n/(2*len(crashpoint.Points)))
	planned := rounds * len(crashpoint.Points)
	outside := max(0, n-planned)
	for i := range planned {
		l := life{at: crashpoint.Points[i%len(crashpoint.Points)]}
		switch {
		case i < len(crashpoint.Points):
			l.hit = 1 + i%2 // in its first payment, or in one beside another
		case l.at == crashpoint.Released, strings.HasPrefix(string(l.at), "refund"): // few payments take these
			l.hit = 1 + random.IntN(1+payments/n/8)
		default:
			l.hit = 1 + random.IntN(1+2*payments/n)
		}
		k.queue = append(k.queue, l)
		for range outside*(i+1)/planned - outside*i/planned {
			k.queue = append(k.queue, life{hit: 1 + random.IntN(1+2*servers*payments/n),
				after: time.Duration(random.IntN(1000)) * time.Millisecond})
		}
		if i%4 == 3 {
			k.queue = append(k.queue, life{hit: 1 + random.IntN(1+servers*payments/n), asked: true})
		}
	}
	return k
}

// next returns how the next server dies. ok is false when enough have died.
func (k *killer) next() (l life, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue) == 0 {
		return life{}, false
	}
	l, k.queue = k.queue[0], k.queue[1:]
	k.living++
	return l, true
}

// ended takes a life back. One that did not begin, or not end where it was to
// end, is lived again.
func (k *killer) ended(l life, started, asPlanned bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.living--
	if asPlanned {
		return
	}
	if started {
		l.tries++
	}
	if l.tries == stepTries {
		k.missed = append(k.missed, fmt.Sprintf("no server took the step %q %d times", l.at, l.hit))
		return
	}
	k.queue = append(k.queue, l)
}

// left returns how many deaths are still to come.
func (k *killer) left() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.queue) + k.living
}

// keeper keeps one server alive, on one address, until it is told to stop; and
// kills it as the killer says.
type keeper struct {
	name    string
	program string
	args    []string // without --addr
	env     []string
	addr    string // host:port, the same in every life
	killer  *killer
	taken   func() int64 // payments by any server
	tally   *tally
	log     io.Writer
	fault   func(format string, args ...any) // notes what must not happen
}

// graceful is how long a server may take to stop: it finishes payments under
// way, and calls, each for up to 50 s.
const graceful = 110 * time.Second

// startsAtMost is how many attempts to start may fail in a row: a node that
// gives no answer keeps a server from starting.
const startsAtMost = 30

// stop asks a server to stop, in the middle of everything. It may then leave to
// the next start what takes too long, and say so by its exit code.
func (k *keeper) stop(p *process.Process) {
	k.tally.add("servers", "asked to stop", 1)
	if err := p.Stop(graceful); err != nil {
		if p.Killed() {
			k.fault("%s: %v", k.name, err)
		}
		k.tally.add("servers", "left payments when they stopped", 1)
	}
}

// errFinished ends the context of a keeper whose server is to stop as servers
// do. Otherwise there is no time for that.
var errFinished = errors.New("the run is finished")

// run keeps the server until ctx ends; it then stops it and waits for that.
func (k *keeper) run(ctx context.Context) {
	failed := 0
	for ctx.Err() == nil {
		l, mortal := k.killer.next()
		started, asPlanned := k.live(ctx, l, mortal)
		if mortal {
			k.killer.ended(l, started, asPlanned)
		}
		if started {
			failed = 0
		} else if failed++; failed == startsAtMost {
			k.fault("%s could not be started %d times in a row", k.name, failed)
			return
		}
	}
}

// live is one life of the server. asPlanned tells whether it ended as l says.
func (k *keeper) live(ctx context.Context, l life, mortal bool) (started, asPlanned bool) {
	env := k.env
	if l.at != "" {
		env = append(env[:len(env):len(env)], fmt.Sprintf("%s=%s:%d", crashpoint.Env, l.at, l.hit))
	}
	p, err := process.Start(k.program, append([]string{"serve", "--addr", k.addr}, k.args...), env, k.log)
	if err != nil {
		k.fault("%s: %v", k.name, err)
		return false, false
	}
	if _, err := p.Await(ctx); err != nil {
		select {
		case <-p.Done: // it may have died at its step already: the reconciler starts first
			if l.at != "" && p.Killed() {
				k.tally.add("kills at", string(l.at), 1)
				return true, true
			}
			k.tally.add("servers", "starts that failed", 1)
		default:
			p.Kill()
		}
		return false, false
	}
	k.tally.add("servers", "starts", 1)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	from, latest, dies := k.taken(), time.Now().Add(longestLife), time.Time{}
	for {
		select {
		case <-p.Done:
			if l.at == "" || !p.Killed() {
				k.fault("%s died by itself: %s", k.name, p.Cmd.ProcessState)
				return true, false
			}
			k.tally.add("kills at", string(l.at), 1)
			return true, true
		case now := <-look.C:
			n := k.taken() - from
			switch {
			case !mortal, l.at != "" && n < stepWithin, l.at == "" && n < int64(l.hit) && now.Before(latest):
				continue
			case dies.IsZero():
				dies = now.Add(l.after)
				continue
			case now.Before(dies):
				continue
			}
			if l.asked {
				k.stop(p)
				return true, true
			}
			p.Kill()
			k.tally.add("kills at", "any moment", 1)
			return true, l.at == ""
		case <-ctx.Done():
			if context.Cause(ctx) != errFinished {
				p.Kill()
			} else if err := p.Stop(graceful); err != nil {
				k.fault("%s: %v", k.name, err)
			}
			return true, false
		}
	}
}
