package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/events-concierge/concierge/tools"
)

// tell writes the log record of a call over stdio; docs/reference/log-records.md says
// what is in it.
func (h *Hosts) tell(ctx context.Context, took time.Duration) {
	c := tools.CallOf(ctx)
	if c == nil || c.Tool == "" || c.Host == nil { // it called nothing that there is
		return
	}
	attrs := c.AppendAttrs([]slog.Attr{slog.Duration("dur", took.Round(time.Microsecond)), slog.String("user", c.Host.User)})
	if c.Code != "" {
		attrs = append(attrs, slog.String("code", string(c.Code)))
	}
	h.Log.LogAttrs(ctx, slog.LevelInfo, "call", attrs...)
}
