package guest

import (
	"context"
	"errors"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Chain knows what became of authorizations, and what accounts have.
type Chain interface {
	// Balance is how much of a token an account has.
	Balance(ctx context.Context, n x402.Network, asset, owner x402.Address) (x402.Amount, error)
	// Used reports whether an authorization was used, according to a block later
	// than after. Before there is one, that is an error.
	Used(ctx context.Context, n x402.Network, asset, payer x402.Address, nonce x402.Bytes32, after time.Time) (bool, error)
}

// Reclaim asks the chain about the payments that nobody can take any more, and
// stops counting those that nobody took. Without a chain only those are known
// that were never signed.
func Reclaim(ctx context.Context, p *store.Purse, c Chain, payer x402.Address, now time.Time) error {
	overdue, err := p.Overdue(ctx, payer, now.Add(-clockSkew))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range overdue {
		used := false
		switch {
		case e.State == store.ExpenseReserved:
		case c == nil:
			continue
		default:
			if used, err = c.Used(ctx, e.Network, e.Asset, e.Payer, e.Nonce, e.ValidBefore); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		state := store.ExpenseReleased
		if used {
			state = store.ExpensePaid
		}
		errs = append(errs, p.Decide(ctx, e.ID, state, "", ""))
	}
	return errors.Join(errs...)
}
