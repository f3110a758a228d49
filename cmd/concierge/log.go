package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/spf13/cobra"
)

// logFlags are the flags of commands that log.
type logFlags struct {
	level  string
	format string
	live   liveLog
}

func (l *logFlags) add(cmd *cobra.Command, level string) {
	cmd.Flags().StringVar(&l.level, "log-level", level, "debug, info, warn or error")
	cmd.Flags().StringVar(&l.format, "log-format", "text", "text or json")
}

// logger returns a log that follows [logFlags.set].
func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	if err := l.set(l.level, l.format); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: &l.live.level}
	return slog.New(eitherHandler{&l.live.json, slog.NewTextHandler(w, options), slog.NewJSONHandler(w, options)}), nil
}

// set has another level and format hold.
func (l *logFlags) set(level, format string) error {
	var to slog.Level
	if err := to.UnmarshalText([]byte(level)); err != nil {
		return misuse("--log-level %q: want debug, info, warn or error", level)
	}
	if format != "text" && format != "json" {
		return misuse("--log-format %q: want text or json", format)
	}
	l.live.level.Set(to)
	l.live.json.Store(format == "json")
	return nil
}

// liveLog is how a log that is in use is written.
type liveLog struct {
	level slog.LevelVar
	json  atomic.Bool
}

// eitherHandler writes text or JSON, as it is said at the time.
type eitherHandler struct {
	json         *atomic.Bool
	text, asJSON slog.Handler
}

func (h eitherHandler) now() slog.Handler {
	if h.json.Load() {
		return h.asJSON
	}
	return h.text
}

// Enabled implements [slog.Handler], as the next three do.
func (h eitherHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

func (h eitherHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

func (h eitherHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eitherHandler{h.json, h.text.WithAttrs(attrs), h.asJSON.WithAttrs(attrs)}
}

func (h eitherHandler) WithGroup(name string) slog.Handler {
	return eitherHandler{h.json, h.text.WithGroup(name), h.asJSON.WithGroup(name)}
}
