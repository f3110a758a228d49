package payments

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// errStopping is what comes after Close.
var errStopping = errors.New("the server is stopping")

// flightKey names what a flight is about: an authorization, or the refund of the
// payment with this id.
type flightKey struct {
	ClaimKey
	refund string
}

// flight is one authorization on its way through this process. Every call that
// brings it for the same booking meanwhile waits for the same end.
type flight struct {
	fingerprint [sha256.Size]byte
	claimed     chan struct{} // closed once the authorization is known to be this booking's
	done        chan struct{} // closed at the end; then payment and err are set
	payment     Payment
	err         error

	mu   sync.Mutex
	held *Payment // once the seats are held
}

// work is what a flight does.
type work func(context.Context, Ledger, *flight) (Payment, error)

// claim may be called once.
func (f *flight) claim() { close(f.claimed) }

func (f *flight) hold(p Payment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = &p
}

// sofar is the answer while the flight has no end: the held payment, which is
// settling as far as anybody knows.
func (f *flight) sofar() (Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		return Payment{}, fmt.Errorf("%w: checking it takes long; repeat the call with the same payment", ErrUndecided)
	}
	return *f.held, nil
}

// wait returns the end of the flight, or what is known of it when the caller's
// patience ends. For another booking than the flight's it is [ErrAlreadyUsed],
// or [errGone] when the flight has ended without the authorization.
func (f *flight) wait(ctx context.Context, mark [sha256.Size]byte, patience <-chan time.Time) (Payment, error) {
	if f.fingerprint != mark {
		select {
		case <-f.claimed:
			return Payment{}, ErrAlreadyUsed
		case <-f.done:
			return Payment{}, errGone
		case <-ctx.Done():
			return Payment{}, ctx.Err()
		case <-patience:
			return Payment{}, fmt.Errorf("%w: another call is at work on it", ErrUndecided)
		}
	}
	select {
	case <-f.done:
		return f.payment, f.err
	case <-ctx.Done():
		return Payment{}, ctx.Err()
	case <-patience:
		return f.sofar()
	}
}

// margin is what is left of a caller's time when it is answered.
const margin = 2 * time.Second

// Patient returns a context for all that one call asks of the Cashier, so that
// it is answered within the Cashier's Patience altogether.
func (c *Cashier) Patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.Patience+margin)
}

// patience ends when a caller is told what is known so far.
func (c *Cashier) patience(ctx context.Context) *time.Timer {
	wait := c.Patience
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)-margin)
	}
	return time.NewTimer(wait)
}

// take does work on a claim, or waits for another call that does the same, until
// there is an answer. Errors: those of work, ctx's, [ErrAlreadyUsed],
// [ErrUndecided], [errStopping].
func (c *Cashier) take(ctx context.Context, claim Claim, work work) (Payment, error) {
	patience := c.patience(ctx)
	defer patience.Stop()
	for {
		f, started, err := c.fly(ctx, flightKey{ClaimKey: claim.ClaimKey}, claim, work)
		if err != nil {
			return Payment{}, err
		}
		payment, err := f.wait(ctx, claim.Fingerprint, patience.C)
		if started || !errors.Is(err, errGone) {
			return payment, err
		}
	}
}

// fly starts work on a claim, unless this process is at work on what key names
// already, and returns the flight. The work outlives ctx and has
// the ledger until it ends.
func (c *Cashier) fly(ctx context.Context, key flightKey, claim Claim, work work) (f *flight, started bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f, false, nil
	}
	if c.closed {
		return nil, false, errStopping
	}
	f = &flight{fingerprint: claim.Fingerprint, claimed: make(chan struct{}), done: make(chan struct{})}
	c.flights[key] = f
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*askTimeout+settleTimeout)
	go func() { // Close waits for it
		defer close(f.done)
		defer func() {
			c.mu.Lock()
			delete(c.flights, key)
			c.mu.Unlock()
		}()
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				c.Log.Error("panic while taking a payment", "user", claim.User, "payment", claim.PaymentID,
					"panic", r, "stack", string(debug.Stack()))
				f.payment, f.err = f.sofar()
			}
		}()
		ledger, release, err := c.Ledger(ctx, claim.User)
		if err != nil {
			f.err = fmt.Errorf("open the ledger: %w", err)
			return
		}
		defer release()
		f.payment, f.err = work(ctx, ledger, f)
	}()
	return f, true, nil
}

// Close refuses new payments and waits for those under way, at most until ctx
// ends. What is not finished then is left to the reconciler of the next start.
func (c *Cashier) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	var last []*flight
	for _, f := range c.flights {
		last = append(last, f)
	}
	c.mu.Unlock()
	for _, f := range last {
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("payments still under way: %w", ctx.Err())
		}
	}
	return nil
}
