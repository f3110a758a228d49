package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/store"
)

// Unfinished is a payment, or the refund of one, that has not come to its end.
type Unfinished struct {
	User   string
	Refund bool
	// Payment has no State while it is only claimed: its seats are not held yet.
	Payment payments.Payment
	// Due is by when it ends if a server runs and reaches the chain. Zero for a
	// refund that is owed.
	Due time.Time
	// Err is why nothing can be said of this user's payments.
	Err error
}

// slack is what may pass from the end of an authorization's window, or from a
// transfer, until a payment is closed: the chain's clock must be past the end, a
// look of the Cashier comes up to a minute later, and 64 blocks of two seconds
// make a transfer final.
const slack = 5 * time.Minute

// Unfinished lists what has not come to its end, oldest first. Nothing is changed.
func (h *Hosts) Unfinished(ctx context.Context) ([]Unfinished, error) {
	claims, err := h.Server.Claims().Open(ctx)
	if err != nil {
		return nil, err
	}
	debtors, err := h.Server.Debtors(ctx)
	if err != nil {
		return nil, err
	}
	var all []Unfinished
	for _, c := range claims {
		if p, err := h.claimed(ctx, c); err != nil || p.State == "" || p.Open {
			all = append(all, Unfinished{User: c.User, Payment: p, Due: due(p), Err: err})
		}
	}
	for _, d := range debtors {
		refunds, err := h.openRefunds(ctx, d.User)
		if err != nil {
			all = append(all, Unfinished{User: d.User, Refund: true, Err: err})
		}
		for _, r := range refunds {
			all = append(all, openRefund(d.User, r))
		}
	}
	slices.SortStableFunc(all, func(a, b Unfinished) int { return a.Payment.CreatedAt.Compare(b.Payment.CreatedAt) })
	return all, ctx.Err()
}

func openRefund(user string, r payments.Payment) Unfinished {
	u := Unfinished{User: user, Refund: true, Payment: r}
	if r.State != payments.Owed {
		u.Due = due(r)
	}
	return u
}

// claimed returns the payment of a claim, as far as there is one.
func (h *Hosts) claimed(ctx context.Context, c payments.Claim) (payments.Payment, error) {
	host, err := h.Host(ctx, c.User)
	if err != nil {
		return onlyClaimed(c), err
	}
	return claimed(ctx, host.Store, c)
}

func onlyClaimed(c payments.Claim) payments.Payment {
	return payments.Payment{ID: c.PaymentID, Payer: c.Payer, CreatedAt: c.ClaimedAt, UpdatedAt: c.ClaimedAt}
}

func claimed(ctx context.Context, file *store.Host, c payments.Claim) (payments.Payment, error) {
	p := onlyClaimed(c)
	switch held, err := file.Payment(ctx, c.PaymentID); {
	case err == nil:
		return held, nil
	case !errors.Is(err, payments.ErrNoPayment):
		return p, err
	}
	return p, nil
}

func (h *Hosts) openRefunds(ctx context.Context, user string) ([]payments.Payment, error) {
	host, err := h.Host(ctx, user)
	if err != nil {
		return nil, err
	}
	return host.Store.OpenRefunds(ctx, "", maxUnfinished)
}

// maxUnfinished bounds the refunds that are listed of one Host.
const maxUnfinished = 1000

// due is by when a payment ends. One whose money has not moved may do so until
// its window closes.
func due(p payments.Payment) time.Time {
	if p.State == payments.Settling || p.State == payments.Failed {
		return p.ValidBefore.Add(slack)
	}
	return p.UpdatedAt.Add(slack)
}

// Restoring is a Host whose file was put back to an earlier time, while the chain is
// looked at for what it does not know.
type Restoring struct {
	User   string
	Since  payments.Restore // zero if only Strays are left
	Strays []store.Stray    // sent back before, and nobody can tell for what
}

// Restoring lists these Hosts. What can't be read [Hosts.Unfinished] tells.
func (h *Hosts) Restoring(ctx context.Context) (all []Restoring, err error) {
	debtors, err := h.Server.Debtors(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range debtors {
		host, err := h.Host(ctx, d.User)
		if err != nil {
			continue
		}
		since, restoring, err := host.Store.Restored(ctx)
		if err != nil {
			continue
		}
		strays, err := host.Store.Strays(ctx)
		if err == nil && (restoring || len(strays) > 0) {
			all = append(all, Restoring{d.User, since, strays})
		}
	}
	return all, ctx.Err()
}
