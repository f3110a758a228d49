package tools

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common/lru"

	"github.com/events-concierge/concierge/store"
)

// Cache is what the Hosts of a server remember together: lists of events as they
// were last answered, single events, and time zones. Of a Host's file it looks at
// the stamp alone, so a change is seen by the next call, whoever made it.
type Cache struct {
	lists  *memory[listing, prepared]
	events *memory[eventKey, store.Event]

	mu    sync.Mutex
	zones map[string]*time.Location
}

// listing is what was asked of whose Host. A zero From is the time of the call.
type listing struct {
	user  string
	query store.EventQuery
}

type eventKey struct{ user, id string }

// maxZones is more than there are, where upper and lower case are two names.
const maxZones = 1000

// NewCache returns a cache of so many bytes.
func NewCache(bytes int) *Cache {
	return &Cache{
		lists: newMemory[listing](bytes*3/4, func(answer prepared) int { return max(len(answer.json), len(answer.written)) }),
		events: newMemory[eventKey](bytes/4, func(e store.Event) int {
			return len(e.Title) + len(e.Description) + len(e.Location)
		}),
		zones: map[string]*time.Location{},
	}
}

// zone returns a time zone by its name; reading one takes longer than telling
// many times in it.
func (c *Cache) zone(name string) (*time.Location, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if z := c.zones[name]; z != nil {
		return z, nil
	}
	z, err := time.LoadLocation(name)
	if err == nil && len(c.zones) < maxZones {
		c.zones[name] = z
	}
	return z, err
}

// event returns an event as it is in the Host's file.
func (h *Host) event(ctx context.Context, id string) (store.Event, error) {
	key := eventKey{h.User, id}
	stamp, settled := h.Store.Stamp() // before the file is read
	if e, ok := h.Cache.events.get(key, stamp, h.Now()); ok {
		return e, nil
	}
	e, err := h.Store.Event(ctx, id)
	if err != nil {
		return e, err
	}
	if !settled {
		stamp = store.Stamp{} // which no file has
	}
	h.Cache.events.keep(key, kept[store.Event]{value: e, stamp: stamp})
	return e, nil
}

// free reports whether an event was free when it was last seen.
func (h *Host) free(id string) bool {
	e, seen := h.Cache.events.last(eventKey{h.User, id})
	return seen && e.Price == 0
}

// memory keeps values, each for one state of a file, in so many bytes. Those that
// were asked for longest ago make room.
type memory[K comparable, V any] struct {
	maximum int
	size    func(V) int

	mu    sync.Mutex
	lru   lru.BasicLRU[K, kept[V]]
	bytes int
}

type kept[V any] struct {
	value V
	stamp store.Stamp
	until time.Time // zero: for as long as the file is in that state
}

// overhead is about what a value takes beside its size.
const overhead = 500

func newMemory[K comparable, V any](maximum int, size func(V) int) *memory[K, V] {
	return &memory[K, V]{maximum: maximum, size: func(v V) int { return overhead + size(v) },
		lru: lru.NewBasicLRU[K, kept[V]](maximum/overhead + 1)} // the bytes are used up first
}

// get returns the value, if it is right still. Where there is no file, nothing is.
func (m *memory[K, V]) get(key K, s store.Stamp, now time.Time) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.lru.Get(key)
	return k.value, ok && s != (store.Stamp{}) && k.stamp == s && (k.until.IsZero() || now.Before(k.until))
}

// last returns the value as it once was.
func (m *memory[K, V]) last(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.lru.Get(key)
	return k.value, ok
}

func (m *memory[K, V]) keep(key K, k kept[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.lru.Peek(key); ok {
		m.bytes -= m.size(old.value)
	}
	m.lru.Add(key, k)
	for m.bytes += m.size(k.value); m.bytes > m.maximum; {
		_, oldest, _ := m.lru.RemoveOldest()
		m.bytes -= m.size(oldest.value)
	}
}
