package secrets

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a [Value] prints as.
const redacted = "[redacted]"

// Value is a secret in memory. However it is printed, logged or encoded, it shows
// as [redacted]; only [Value.Reveal] tells it. The zero value is no secret at all.
type Value struct{ text string }

// NewValue returns the Value of a text.
func NewValue(text string) Value { return Value{text} }

// Reveal returns the secret itself, for who needs it this moment: it belongs in no
// struct that is printed, and in no error.
func (v Value) Reveal() string { return v.text }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.text == "" }

// String implements [fmt.Stringer].
func (v Value) String() string { return redacted }

// Format implements [fmt.Formatter], for all verbs: %x of a string type would tell.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// GoString implements [fmt.GoStringer].
func (v Value) GoString() string { return redacted }

// LogValue implements [slog.LogValuer].
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements [json.Marshaler].
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
