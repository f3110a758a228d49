package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxSeries bounds a table: what labels are made of is bounded anyway, and a mistake
// about that must not fill the memory.
const maxSeries = 1000

// table holds series by what they are labelled with, so that to count costs neither
// a lock nor memory. The zero value with make is empty.
type table[K comparable, V any] struct {
	make func(K) V
	held atomic.Pointer[map[K]V]
	mu   sync.Mutex // of who adds to it
}

// get returns the series of a key; false if there are too many.
func (t *table[K, V]) get(k K) (v V, ok bool) {
	if held := t.held.Load(); held != nil {
		if v, ok = (*held)[k]; ok {
			return v, true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[K]V{}
	if held := t.held.Load(); held != nil {
		if v, ok = (*held)[k]; ok { // by another, just now
			return v, true
		}
		next = maps.Clone(*held)
	}
	if len(next) >= maxSeries {
		return v, false
	}
	v = t.make(k)
	next[k] = v
	t.held.Store(&next)
	return v, true
}
