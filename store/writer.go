package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// maxBatch bounds how many calls share one commit, and with it how long
// another process waits.
const maxBatch = 64

// writer owns the connection that writes, made for the first call. Calls queue up; one of the callers
// leads: it begins a transaction, runs what is in the queue by then, each call
// in a savepoint of its own, commits, and tells the others. The disk is synced
// once for all of them.
type writer struct {
	connect func(context.Context) (*sql.Conn, error)
	log     *logState
	now     func() time.Time
	closing <-chan struct{}
	lead    chan struct{} // has room for one: the caller that uses stmts
	stmts   *statements   // nil until something is written
	trims   int           // since something was written

	mu    sync.Mutex
	queue []*write
}

// write is one call in the queue.
type write struct {
	ctx      context.Context
	f        func(context.Context, *tx) error
	done     chan struct{} // closed when err is the outcome
	err      error
	panicked any
}

// tx is the write transaction as a call sees it.
type tx struct {
	*statements
	now time.Time // the one time of all that the call does
}

func newWriter(connect func(context.Context) (*sql.Conn, error), log *logState, now func() time.Time, closing <-chan struct{}) *writer {
	return &writer{connect: connect, log: log, now: now, closing: closing, lead: make(chan struct{}, 1)}
}

// do runs f in a write transaction and returns when it is on the disk. If f
// fails, or ctx ends before f has begun, nothing is changed. what is said in
// the error.
func (w *writer) do(ctx context.Context, what string, f func(context.Context, *tx) error) error {
	// From its beginning f is not to be interrupted: the callers who share its
	// transaction have contexts of their own.
	op := &write{ctx: context.WithoutCancel(ctx), f: f, done: make(chan struct{})}
	if err := w.await(ctx, op); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (w *writer) await(ctx context.Context, op *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	w.queue = append(w.queue, op)
	w.mu.Unlock()
	for {
		var giveUp error
		select {
		case <-op.done:
			return op.outcome()
		case w.lead <- struct{}{}:
			giveUp = w.leadFor(ctx, op)
			<-w.lead
		case <-ctx.Done():
			giveUp = ctx.Err()
		case <-w.closing:
			giveUp = ErrClosed
		}
		if giveUp == nil {
			continue // done, or behind a full batch
		}
		if w.withdraw(op) {
			return giveUp
		}
		<-op.done // it is being run, so there will be an outcome
		return op.outcome()
	}
}

// leadFor runs one batch, unless op has been run meanwhile. Its error says
// that the caller's context ended before anything began.
func (w *writer) leadFor(ctx context.Context, op *write) error {
	select {
	case <-op.done:
		return nil
	default:
	}
	// The batch is taken after this, so that whoever comes while another
	// process has the lock still gets in, and may still withdraw.
	if err := w.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.finish(w.take(-1), classify(err))
		return nil
	}
	runtime.Gosched() // whoever is about to come still gets in
	batch := w.take(maxBatch)
	w.finish(batch, w.commit(batch))
	w.trims = 0
	w.log.look(w.stmts)
	return nil
}

// begin begins a transaction that nobody else can write beside.
func (w *writer) begin(ctx context.Context) error {
	if w.stmts == nil {
		conn, err := w.connect(ctx)
		if err != nil {
			return err
		}
		w.stmts = newStatements(conn)
	}
	if err := w.log.full(); err != nil {
		return err
	}
	return w.lock(ctx)
}

func (w *writer) lock(ctx context.Context) error {
	_, err := w.stmts.exec(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		rollback(w.stmts.conn)
	}
	return err
}

// pause runs f while nobody writes. Where nothing has been written there is
// nothing to run it for.
func (w *writer) pause(ctx context.Context, f func(context.Context) error) error {
	select {
	case w.lead <- struct{}{}:
		defer func() { <-w.lead }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.stmts == nil {
		return nil
	}
	if err := w.lock(ctx); err != nil {
		return classify(err)
	}
	defer rollback(w.stmts.conn)
	return f(ctx)
}

// commit runs a batch and commits what succeeded. An error is everybody's.
func (w *writer) commit(batch []*write) error {
	ctx := context.Background()
	changed := false
	for _, op := range batch {
		if err := w.run(ctx, op); err != nil {
			rollback(w.stmts.conn)
			return err
		}
		changed = changed || op.err == nil
	}
	if !changed {
		rollback(w.stmts.conn)
		return nil
	}
	if _, err := w.stmts.exec(ctx, "COMMIT"); err != nil {
		rollback(w.stmts.conn)
		return classify(err)
	}
	return nil
}

// run runs one call. What it leaves in op.err concerns that call alone; the
// error it returns means that the transaction is lost, as when the disk is
// full.
func (w *writer) run(ctx context.Context, op *write) error {
	if _, err := w.stmts.exec(ctx, "SAVEPOINT call"); err != nil {
		return classify(err)
	}
	if op.err = op.call(&tx{statements: w.stmts, now: w.now()}); op.err != nil {
		op.err = classify(op.err)
		if _, err := w.stmts.exec(ctx, "ROLLBACK TO call"); err != nil {
			return op.err // SQLite gave up the whole transaction on account of it
		}
	}
	_, err := w.stmts.exec(ctx, "RELEASE call")
	return classify(err)
}

// call keeps a panic for the goroutine it belongs to: this one works for
// others as well.
func (op *write) call(t *tx) (err error) {
	defer func() {
		if op.panicked = recover(); op.panicked != nil {
			err = errors.New("panic")
		}
	}()
	return op.f(op.ctx, t)
}

func (op *write) outcome() error {
	if op.panicked != nil {
		panic(op.panicked)
	}
	return op.err
}

// finish tells the callers of a batch; err replaces success.
func (w *writer) finish(batch []*write, err error) {
	for _, op := range batch {
		if op.err == nil {
			op.err = err
		}
		close(op.done)
	}
}

// take removes the first n calls from the queue, or all.
func (w *writer) take(n int) []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n < 0 || n >= len(w.queue) {
		all := w.queue
		w.queue = nil
		return all
	}
	first := w.queue[:n:n]
	w.queue = w.queue[n:]
	return first
}

// withdraw removes op from the queue; false if it is being run or was.
func (w *writer) withdraw(op *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.queue {
		if other == op {
			// A new slice: batches are parts of the old one.
			w.queue = append(append([]*write(nil), w.queue[:i]...), w.queue[i+1:]...)
			return true
		}
	}
	return false
}

// trim gives back what pages take of memory when nothing has been written between
// two of its calls.
func (w *writer) trim() error {
	select {
	case w.lead <- struct{}{}:
		defer func() { <-w.lead }()
	default:
		return nil // something is
	}
	if w.trims++; w.trims != 2 || w.stmts == nil {
		return nil
	}
	_, err := w.stmts.conn.ExecContext(context.Background(), "PRAGMA shrink_memory")
	return err
}

// close ends the connection, after the batch under way and never to be led
// again.
func (w *writer) close() error {
	w.lead <- struct{}{}
	if w.stmts == nil {
		return nil
	}
	return errors.Join(w.stmts.close(), w.stmts.conn.Close())
}
