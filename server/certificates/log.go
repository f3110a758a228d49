package certificates

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// core has what certmagic logs go where all else is logged: its warnings and errors as
// they are, its many steps at level debug.
type core struct {
	log    *slog.Logger
	hide   string // an email
	fields []zapcore.Field
}

// logged are the fields that are passed on. Others have accounts, emails, and what
// strangers said in a handshake.
var logged = []string{"identifier", "identifiers", "subject", "subjects", "issuer", "ca", "challenge", "challenge_type", "error", "attempt",
	"retrying_in", "remaining", "expiration", "problem"}

// Enabled implements [zapcore.LevelEnabler].
func (c *core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), level(l)) }

func level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// With implements [zapcore.Core].
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{log: c.log, hide: c.hide, fields: slices.Concat(c.fields, fields)}
}

// Check implements [zapcore.Core].
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements [zapcore.Core].
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	told := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		if slices.Contains(logged, f.Key) {
			f.AddTo(told)
		}
	}
	var attrs []slog.Attr
	for _, key := range logged {
		switch v := told.Fields[key].(type) {
		case nil:
		case string:
			attrs = append(attrs, slog.String(key, without(v, c.hide)))
		default:
			attrs = append(attrs, slog.Any(key, v))
		}
	}
	c.log.LogAttrs(context.Background(), level(e.Level), "certificates: "+without(e.Message, c.hide), attrs...)
	return nil
}

// Sync implements [zapcore.Core].
func (c *core) Sync() error { return nil }

// without leaves an email out of a text; an ACME server that doesn't like one quotes it.
func without(s, email string) string {
	if email == "" {
		return s
	}
	return strings.ReplaceAll(s, email, "(email)")
}

func hidden(err error, email string) error {
	if err == nil || email == "" || !strings.Contains(err.Error(), email) {
		return err
	}
	return errors.New(without(err.Error(), email))
}
