package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxReaders bounds the connections that read one file: there is one, and more
// while several calls read at a time.
const maxReaders = 4

// maxRead bounds how long one call reads: until then the log can't be emptied.
const maxRead = 10 * time.Second

// reader owns the connections that read. Each sees what was committed before
// its statement began, and waits for no writer.
type reader struct {
	connect func(context.Context) (*sql.Conn, error)
	extra   chan struct{} // shared with other files: room for connections beyond the first
	closing <-chan struct{}
	idle    chan *readConn

	mu   sync.Mutex
	n    int // connections
	used int // of them
	peak int // of used, since the last trim
}

type readConn struct {
	conn *sql.Conn
	*statements
}

func newReader(connect func(context.Context) (*sql.Conn, error), first *sql.Conn, extra chan struct{}, closing <-chan struct{}) *reader {
	r := &reader{connect: connect, extra: extra, closing: closing, idle: make(chan *readConn, maxReaders), n: 1}
	r.idle <- &readConn{first, newStatements(first)}
	return r
}

// do runs f on a connection of its own.
func (r *reader) do(ctx context.Context, f func(context.Context, *statements) error) error {
	c, err := r.take(ctx) // to wait for it holds nothing up, and is as long as the caller likes
	if err != nil {
		return err
	}
	defer r.give(c)
	limited, cancel := context.WithTimeout(ctx, maxRead)
	defer cancel()
	err = f(limited, c.statements)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("reading took longer than %v", maxRead)
	}
	return err
}

func (r *reader) take(ctx context.Context) (*readConn, error) {
	select {
	case c := <-r.idle:
		r.count(1)
		return c, nil
	default:
	}
	if r.grow() {
		conn, err := r.connect(ctx)
		if err != nil {
			r.shrink()
			return nil, err
		}
		r.count(1)
		return &readConn{conn, newStatements(conn)}, nil
	}
	select {
	case c := <-r.idle: // the first connection comes back, whatever becomes of others
		r.count(1)
		return c, nil
	case <-r.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reader) give(c *readConn) {
	r.count(-1)
	r.idle <- c
}

func (r *reader) count(change int) {
	r.mu.Lock()
	r.used += change
	r.peak = max(r.peak, r.used)
	r.mu.Unlock()
}

// grow makes room for one more connection, if there may be one.
func (r *reader) grow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == maxReaders {
		return false
	}
	select {
	case r.extra <- struct{}{}:
		r.n++
		return true
	default:
		return false
	}
}

func (r *reader) shrink() {
	r.mu.Lock()
	r.n--
	r.mu.Unlock()
	<-r.extra
}

// pass waits until every connection has been idle once, but not for a reader
// that takes long.
func (r *reader) pass(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	r.mu.Lock()
	n := r.n
	r.mu.Unlock()
	for range n {
		select {
		case c := <-r.idle:
			defer func() { r.idle <- c }()
		case <-ctx.Done():
			return
		}
	}
}

// trim closes connections that have not been needed since the last time.
func (r *reader) trim() error {
	r.mu.Lock()
	surplus := r.n - max(1, r.peak)
	r.peak = r.used
	r.mu.Unlock()
	var err error
	for ; surplus > 0; surplus-- {
		select {
		case c := <-r.idle:
			err = errors.Join(err, c.close())
			r.shrink()
		default:
			return err
		}
	}
	return err
}

// close closes all connections, which have been given back.
func (r *reader) close() error {
	var err error
	for ; r.n > 0; r.n-- {
		err = errors.Join(err, (<-r.idle).close())
		if r.n > 1 {
			<-r.extra
		}
	}
	return err
}

func (c *readConn) close() error { return errors.Join(c.statements.close(), c.conn.Close()) }

// list reads rows into values. Nobody waits for a client with a row in hand.
func list[T any](ctx context.Context, q *statements, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
