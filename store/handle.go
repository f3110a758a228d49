package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// handle is the way to a file that need not be open.
type handle struct {
	files *Files
	path  string
}

// view returns what f reads. what is said in the error.
func view[T any](ctx context.Context, h handle, what string, f func(context.Context, *statements) (T, error)) (v T, err error) {
	e, err := h.files.acquire(ctx, h.path)
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	defer h.files.release(e)
	err = e.file.read.do(ctx, func(ctx context.Context, q *statements) (err error) {
		v, err = f(ctx, q)
		return err
	})
	if err != nil {
		var none T
		return none, fmt.Errorf("%s: %w", what, classify(err))
	}
	return v, nil
}

// write runs f in a write transaction and returns when it is on the disk. If f
// fails, or ctx ends before f has begun, nothing is changed. what is said in
// the error.
func (h handle) write(ctx context.Context, what string, f func(context.Context, *tx) error) error {
	e, err := h.files.acquire(ctx, h.path)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer h.files.release(e)
	err = e.file.write.do(ctx, what, f)
	if a := h.files.o.Archive; a != nil && err == nil {
		a.Written(h.path)
	}
	return err
}

func (h handle) now() time.Time { return h.files.o.Now() }

// openAlone opens a file that has its Files to itself, and stays open.
func openAlone(ctx context.Context, path string, k kind, o Options) (handle, error) {
	o.MaxOpen, o.Idle = 1, 0
	h := handle{newFiles(k, o), path}
	e, err := h.files.acquire(ctx, path)
	if err != nil {
		return handle{}, errors.Join(err, h.files.Close())
	}
	h.files.release(e)
	return h, nil
}
