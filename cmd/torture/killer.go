package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/crashpoint"
)

// life is how a server's life ends: when it takes a step of a payment for the
// hit-th time, or some time after it was ready.
type life struct {
	at    crashpoint.Point // "": killed from outside
	hit   int
	after time.Duration // from outside, or when it is time to stop waiting for the step
	tries int           // how often the step was waited for already
}

// killer hands out lives until there have been enough.
type killer struct {
	mu     sync.Mutex
	random *rand.Rand
	queue  []life
	living int // lives handed out that have not ended
	missed []string
}

// stepPatience is how long a server may live without taking the step that it is
// to die at, and stepTries how often that may happen.
const (
	stepPatience = 20 * time.Second
	stepTries    = 4
)

// newKiller plans n deaths or more, for a life of some payments each: at every
// step early in a life, at every step later in one if there are deaths enough,
// and the others at any time.
func newKiller(n, payments int, random *rand.Rand) *killer {
	k := &killer{random: random}
	if n == 0 {
		return k
	}
	rounds := max(1, n/(2*len(crashpoint.Points)))
	outside := n - rounds*len(crashpoint.Points)
	for round := range rounds {
		for i, point := range crashpoint.Points {
			hit := 1 + random.IntN(1+payments)
			switch {
			case round == 0:
				hit = 1 + i%2 // in its first payment, or in one beside another
			case point == crashpoint.Released:
				hit = 1 + random.IntN(1+payments/8) // few payments take that step
			}
			k.queue = append(k.queue, life{at: point, hit: hit, after: stepPatience})
			// Those from outside are spread evenly over the others.
			done, all := round*len(crashpoint.Points)+i+1, rounds*len(crashpoint.Points)
			for range outside*done/all - outside*(done-1)/all {
				k.queue = append(k.queue, life{after: k.moment()})
			}
		}
	}
	return k
}

func (k *killer) moment() time.Duration {
	return time.Duration(200+k.random.IntN(3800)) * time.Millisecond
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

// ended takes a life back. One that did not end where it was to end is lived
// again.
func (k *killer) ended(l life, asPlanned bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.living--
	if asPlanned {
		return
	}
	l.tries++
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

// run keeps the server until ctx ends; it then stops it and waits for that.
func (k *keeper) run(ctx context.Context) {
	failed := 0
	for ctx.Err() == nil {
		l, mortal := k.killer.next()
		started, asPlanned := k.live(ctx, l, mortal)
		if mortal {
			k.killer.ended(l, asPlanned)
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
	p, err := start(k.program, append([]string{"serve", "--addr", k.addr}, k.args...), env, k.log)
	if err != nil {
		k.fault("%s: %v", k.name, err)
		return false, false
	}
	if _, err := p.await(ctx); err != nil {
		select {
		case <-p.done: // it may have died at its step already: the reconciler starts first
			if l.at != "" && p.killed() {
				k.tally.add("kills at", string(l.at), 1)
				return true, true
			}
			k.tally.add("servers", "starts that failed", 1)
		default:
			p.kill()
		}
		return false, false
	}
	k.tally.add("servers", "starts", 1)
	var moment <-chan time.Time
	if mortal {
		timer := time.NewTimer(l.after)
		defer timer.Stop()
		moment = timer.C
	}
	select {
	case <-p.done:
		if l.at == "" || !p.killed() {
			k.fault("%s died by itself: %s", k.name, p.cmd.ProcessState)
			return true, false
		}
		k.tally.add("kills at", string(l.at), 1)
		return true, true
	case <-moment:
		p.kill()
		k.tally.add("kills at", "any moment", 1)
		return true, l.at == ""
	case <-ctx.Done():
		if err := p.stop(graceful); err != nil {
			k.fault("%s: %v", k.name, err)
		}
		return true, false
	}
}
