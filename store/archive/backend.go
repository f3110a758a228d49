package archive

import (
	"context"
	"errors"
	"io"
)

// Backend is where objects are kept. Names are parts joined by slashes; no part is
// empty or begins with a dot. Safe for concurrent use.
type Backend interface {
	// Put makes an object of what write writes: durable, and whole or not at all.
	// Errors: [ErrExists] if there is one of this name, which stays; those of write.
	Put(ctx context.Context, name string, write func(io.Writer) error) error
	// Get reads an object. Errors: [ErrNotFound].
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the last parts of the names below a prefix of whole parts, those
	// that have more below them with a slash at their end, sorted. Below a prefix
	// that nothing has there is nothing.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes an object, if there is one.
	Delete(ctx context.Context, name string) error
}

// Errors of a [Backend].
var (
	ErrNotFound = errors.New("no such object in the archive")
	ErrExists   = errors.New("there is an object of this name in the archive")
)

// ErrTorn is wrapped by whatever an archive should have and has not, or has and
// should not: objects that are missing, damaged, or in the place of others.
var ErrTorn = errors.New("the archive is damaged")
