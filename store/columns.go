package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding"
	"fmt"
	"math"
	"time"
)

// millis is how a time is stored; the zero time is NULL.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// truncate returns t as it will be read back.
func truncate(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// bound is a time in a comparison, with another value for the zero time.
func bound(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.UnixMilli()
}

const (
	always int64 = math.MinInt64 // before all times
	never  int64 = math.MaxInt64 // after all times
)

// asTime reads a time that was stored with millis.
type asTime struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c asTime) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*c.to = time.Time{}
	case int64:
		*c.to = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a time is %T", v)
	}
	return nil
}

// asText reads what was stored in its text form; NULL leaves it zero.
type asText struct{ to encoding.TextUnmarshaler }

// Scan implements sql.Scanner.
func (c asText) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return c.to.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("a text is %T", v)
}

// orZero reads a column of an outer join that may have nothing to join.
type orZero[T any] struct{ to *T }

// Scan implements sql.Scanner.
func (c orZero[T]) Scan(v any) error {
	var n sql.Null[T]
	err := n.Scan(v)
	*c.to = n.V
	return err
}

func zeroIfNull[T any](to *T) orZero[T] { return orZero[T]{to} }

// orNull stores the zero value as NULL.
func orNull[T comparable](v T, text func(T) string) any {
	var zero T
	if v == zero {
		return nil
	}
	return text(v)
}

// asHash reads a BLOB of 32 bytes.
type asHash struct{ to *[sha256.Size]byte }

// Scan implements sql.Scanner.
func (c asHash) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != sha256.Size {
		return fmt.Errorf("a hash is %T of another size", v)
	}
	*c.to = [sha256.Size]byte(b)
	return nil
}

// with is a row of which more is read than its scanner knows.
type with struct {
	scanner
	more []any
}

// Scan implements scanner.
func (w with) Scan(dest ...any) error { return w.scanner.Scan(append(dest, w.more...)...) }
