package host

import (
	"context"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// OpenRefunds are the refunds of a state that are not settled yet.
type OpenRefunds struct {
	N      int
	Amount x402.Amount
	Oldest time.Time // when the first of them was begun
}

// owed is what was read of the Hosts that may have refunds to pay. Whose file is as it
// was is not read again.
type owed struct {
	mu sync.Mutex // held while they are read
	of map[string]owes
}

type owes struct {
	state string // of the file
	sums  map[payments.State]OpenRefunds
}

// OpenRefunds sums up the refunds of all Hosts that are not settled yet, by their
// state. A Host whose file has not changed since the last time is not read again; when
// ctx ends, the next call goes on.
func (h *Hosts) OpenRefunds(ctx context.Context) (map[payments.State]OpenRefunds, error) {
	debtors, err := h.Server.Debtors(ctx)
	if err != nil {
		return nil, err
	}
	h.owed.mu.Lock()
	defer h.owed.mu.Unlock()
	before := h.owed.of
	h.owed.of = make(map[string]owes, len(debtors))
	sum := map[payments.State]OpenRefunds{}
	var failed error
	for _, d := range debtors {
		o, known := before[d.User]
		state, settled := h.Files.Host(h.path(d.User)).State()
		if !known || !settled || o.state != state {
			switch now, err := h.readOwed(ctx, d.User, state); {
			case err == nil:
				o = now
			case known: // as it was
				failed = err
			default:
				failed = err // the others are read all the same
				continue
			}
		}
		h.owed.of[d.User] = o
		for state, more := range o.sums {
			sum[state] = sum[state].and(more)
		}
	}
	return sum, failed
}

func (h *Hosts) readOwed(ctx context.Context, user, state string) (owes, error) {
	refunds, err := h.openRefunds(ctx, user)
	if err != nil {
		return owes{}, err
	}
	o := owes{state: state, sums: map[payments.State]OpenRefunds{}}
	for _, r := range refunds {
		o.sums[r.State] = o.sums[r.State].and(OpenRefunds{1, r.Amount, r.CreatedAt})
	}
	return o, nil
}

func (o OpenRefunds) and(more OpenRefunds) OpenRefunds {
	if o.N == 0 || more.Oldest.Before(o.Oldest) {
		o.Oldest = more.Oldest
	}
	o.N += more.N
	o.Amount += more.Amount
	return o
}

// Stats are numbers about the files of the Hosts.
func (h *Hosts) Stats() store.FilesStats { return h.Files.Stats() }
