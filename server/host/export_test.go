package host

import "context"

// Keep writes what was counted.
func (h *Hosts) Keep(ctx context.Context) error { return h.meter.keep(ctx) }

// Watched returns how many files are watched.
func (h *Hosts) Watched() int {
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	return len(h.watches.of)
}
