package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/events-concierge/concierge/payments"
)

// Entry is a payment with what it was for, and its refund.
type Entry struct {
	EventID string
	Event   string // its title
	Payment payments.Payment
	Refund  *payments.Payment // nil: there is none
}

// LedgerQuery selects payments. The zero value selects all of them.
type LedgerQuery struct {
	From, To time.Time // begun at From or later, and before To; zero: no bound
	Limit    int       // as in [EventQuery]
	After    string
}

// Entries returns a page of payments in the order in which they were begun, and
// the cursor of the next page, "" if this is the last. Errors: [ErrCursor].
func (h *Host) Entries(ctx context.Context, q LedgerQuery) (entries []Entry, next string, err error) {
	const what = "list payments"
	limit := pageSize(q.Limit)
	after, err := decode("ledger", q.After)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	if from := bound(q.From, always); after.n < from {
		after = position{n: from} // before all ids of that time
	}
	entries, err = view(ctx, h.handle, what, func(ctx context.Context, s *statements) ([]Entry, error) {
		return list(ctx, s, scanEntry, `SELECT r.event_id, e.title, `+paymentColumns+`, `+refundColumns+`
			FROM payments p JOIN rsvps r ON r.id = p.rsvp_id JOIN events e ON e.id = r.event_id
				LEFT JOIN refunds f ON f.payment_id = p.id
			WHERE (p.created_at, p.id) > (?, ?) AND p.created_at < ?
			ORDER BY p.created_at, p.id LIMIT ?`, after.n, after.id, bound(q.To, never), limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	entries, next = page(entries, limit, "ledger", func(e Entry) position {
		return position{e.Payment.CreatedAt.UnixMilli(), e.Payment.ID}
	})
	return entries, next, nil
}

func scanEntry(s scanner) (e Entry, err error) {
	var f payments.Payment
	err = s.Scan(slices.Concat([]any{&e.EventID, &e.Event}, intoPayment(&e.Payment), intoPayment(&f))...)
	if f.ID != "" {
		e.Refund = &f
	}
	return e, err
}
