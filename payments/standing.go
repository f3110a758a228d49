package payments

import (
	"maps"
	"sync"
	"time"
)

// Claimed is the state, for [Cashier.Standing], of what is claimed and has no payment
// yet, or is being worked on.
const Claimed State = "claimed"

// Tally is how many payments are in a state.
type Tally struct {
	N      int
	Oldest time.Time // when the first of them was begun
}

// standing is what the reconciler found last.
type standing struct {
	mu  sync.Mutex
	all map[State]Tally
	at  time.Time
}

// Standing returns the payments of all Hosts that may still change, by their states,
// as [Cashier.Run] found them when it looked last, and when that was. Nothing is asked
// for it. The time is zero before the first look.
func (c *Cashier) Standing() (all map[State]Tally, at time.Time) {
	c.stands.mu.Lock()
	defer c.stands.mu.Unlock()
	return maps.Clone(c.stands.all), c.stands.at
}

func (s *standing) set(all map[State]Tally, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.at = all, at
}

// add counts one more, that was begun at a time.
func add(all map[State]Tally, state State, begun time.Time) {
	t := all[state]
	if t.N++; t.N == 1 || begun.Before(t.Oldest) {
		t.Oldest = begun
	}
	all[state] = t
}
