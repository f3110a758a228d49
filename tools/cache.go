package tools

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common/lru"

	"github.com/events-concierge/concierge/store"
)

// Cache is what the Hosts of a server remember together: lists of events as they
// were last answered, and time zones. Of a Host's file it looks at the stamp
// alone, so a change is seen by the next call, whoever made it.
type Cache struct {
	mu      sync.Mutex
	lists   lru.BasicLRU[listing, kept]
	bytes   int
	maximum int
	zones   map[string]*time.Location
}

// listing is what was asked of whose Host. A zero From is the time of the call.
type listing struct {
	user  string
	query store.EventQuery
}

// kept is an answer: good for one state of the file, until an event of it is over.
type kept struct {
	stamp  store.Stamp
	until  time.Time // zero: for good
	answer json.RawMessage
}

// maxZones is more than there are, where upper and lower case are two names.
const maxZones = 1000

// overhead is about what a list takes beside its bytes.
const overhead = 500

func (k kept) size() int { return len(k.answer) + overhead }

// NewCache returns a cache of so many bytes.
func NewCache(bytes int) *Cache {
	return &Cache{maximum: bytes, lists: lru.NewBasicLRU[listing, kept](bytes/overhead + 1), zones: map[string]*time.Location{}}
}

// list returns what was answered before, if that is still right.
func (c *Cache) list(l listing, s store.Stamp, now time.Time) (json.RawMessage, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.lists.Get(l)
	return k.answer, ok && k.stamp == s && (k.until.IsZero() || now.Before(k.until))
}

// keep remembers an answer, in place of those that were asked for longest ago.
func (c *Cache) keep(l listing, k kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, _ := c.lists.Peek(l)
	if old.answer != nil {
		c.bytes -= old.size()
	}
	c.lists.Add(l, k)
	for c.bytes += k.size(); c.bytes > c.maximum; {
		_, oldest, _ := c.lists.RemoveOldest()
		c.bytes -= oldest.size()
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
