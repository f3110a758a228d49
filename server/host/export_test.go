package host

import "context"

// Keep writes what was counted.
func (h *Hosts) Keep(ctx context.Context) error { return h.meter.keep(ctx) }
