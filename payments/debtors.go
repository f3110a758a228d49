package payments

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// refundBatch is how many refunds of one Host a pass works on.
const refundBatch = 256

// reconcileRefunds goes once through all debtors: what is due is paid or its
// payment is gone on with, and who owes nothing any more is struck off.
func (c *Cashier) reconcileRefunds(ctx context.Context) error {
	debtors, err := c.Debtors.Debtors(ctx)
	if err != nil {
		return fmt.Errorf("list debtors: %w", err)
	}
	c.rest.keep(debtors)
	type due struct{ user, id string }
	var (
		mu  sync.Mutex
		all []due
	)
	listed := inParallel(ctx, debtors, func(d Debtor) error {
		ids, err := c.dueOf(ctx, d)
		if err != nil {
			return fmt.Errorf("refunds of user %s: %w", d.User, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			all = append(all, due{d.User, id})
		}
		return nil
	})
	return errors.Join(listed, inParallel(ctx, all, func(d due) error {
		if err := c.reconcileRefund(ctx, d.user, d.id); err != nil {
			return fmt.Errorf("user %s, refund of payment %s: %w", d.user, d.id, err)
		}
		return nil
	}))
}

// dueOf returns the refunds of a debtor that are to be worked on now. If there
// are none it finds out until when, or that there will be none.
func (c *Cashier) dueOf(ctx context.Context, d Debtor) ([]string, error) {
	if c.rest.until(d).After(c.Now()) {
		return nil, nil
	}
	ledger, done, err := c.Ledger(ctx, d.User)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	defer done()
	if err := c.lookBack(ctx, ledger, d.User); err != nil {
		return nil, err
	}
	ids, err := ledger.Due(ctx, refundBatch)
	if err != nil || len(ids) > 0 {
		return ids, err
	}
	cleared, next, err := ledger.Clear(ctx)
	switch {
	case err != nil:
		return nil, err
	case cleared:
		return nil, c.Debtors.Strike(ctx, d)
	}
	c.rest.set(d, next)
	return nil, nil
}

func (c *Cashier) reconcileRefund(ctx context.Context, user, id string) error {
	f, started, err := c.flyRefund(ctx, user, id)
	if errors.Is(err, errStopping) || !started { // or a call is at work on it
		return nil
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inParallel calls f for each of all, some at a time, until ctx ends. A panic is
// an error like any other.
func inParallel[T any](ctx context.Context, all []T, f func(T) error) error {
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, reconcilers)
		mu     sync.Mutex
		errs   []error
	)
	for _, one := range all {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-places }()
			if err := recovered(func() error { return f(one) }); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return f()
}

// rests says which debtors have nothing due, and until when.
type rests struct {
	mu sync.Mutex
	at map[Debtor]time.Time
}

func (r *rests) until(d Debtor) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[d]
}

func (r *rests) set(d Debtor, t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = map[Debtor]time.Time{}
	}
	r.at[d] = t
}

// keep forgets all but these.
func (r *rests) keep(these []Debtor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := make(map[Debtor]time.Time, len(r.at))
	for _, d := range these {
		if t, ok := r.at[d]; ok {
			kept[d] = t
		}
	}
	r.at = kept
}
