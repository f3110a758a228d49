package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// RSVP is a guest's booking of an event.
type RSVP struct {
	ID        string
	EventID   string
	Seats     int
	Status    RSVPStatus
	Payer     x402.Address // zero: it was free
	Name      string
	Email     string
	Amount    x402.Amount       // for all seats
	Payment   *payments.Payment // nil: it was free
	Refund    *payments.Payment // nil: there is none
	CreatedAt time.Time
	CheckedIn time.Time // zero: not yet
}

// RSVPStatus is what became of an RSVP.
type RSVPStatus string

// A pending or confirmed RSVP has its seats; the others have none.
const (
	RSVPPending   RSVPStatus = "pending" // the payment is settling
	RSVPConfirmed RSVPStatus = "confirmed"
	RSVPFailed    RSVPStatus = "failed"    // the payment failed, or its money came too late and is owed back
	RSVPCancelled RSVPStatus = "cancelled" // by the guest or with the event; if it was paid, the money is owed back
	RSVPRefunded  RSVPStatus = "refunded"  // the money is back
)

// RSVP returns one RSVP with its payment. Errors: [ErrRSVPNotFound].
func (h *Host) RSVP(ctx context.Context, id string) (RSVP, error) {
	return view(ctx, h.handle, "read an RSVP", func(ctx context.Context, q *statements) (RSVP, error) {
		return rsvp(ctx, q, id)
	})
}

func rsvp(ctx context.Context, q rowQuerier, id string) (RSVP, error) {
	_, r, err := scanRSVP(q.row(ctx, `SELECT `+rsvpColumns+` WHERE r.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return RSVP{}, ErrRSVPNotFound
	}
	return r, err
}

// RSVPs returns a page of an event's RSVPs in the order of their making, and
// the cursor of the next page, "" if this is the last. limit and after are as
// in [EventQuery]. Errors: [ErrEventNotFound], [ErrCursor].
func (h *Host) RSVPs(ctx context.Context, eventID string, limit int, after string) (rsvps []RSVP, next string, err error) {
	const what = "list RSVPs"
	limit = pageSize(limit)
	from, err := decode("rsvp", after)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", what, err)
	}
	type numbered struct {
		seq int64
		RSVP
	}
	rows, err := view(ctx, h.handle, what, func(ctx context.Context, q *statements) ([]numbered, error) {
		if _, err := event(ctx, q, eventID); err != nil {
			return nil, err
		}
		return list(ctx, q, func(s scanner) (n numbered, err error) {
			n.seq, n.RSVP, err = scanRSVP(s)
			return n, err
		}, `SELECT `+rsvpColumns+` WHERE r.event_id = ? AND r.seq > ? ORDER BY r.seq LIMIT ?`, eventID, from.n, limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	rows, next = page(rows, limit, "rsvp", func(n numbered) position { return position{n: n.seq} })
	for _, n := range rows {
		rsvps = append(rsvps, n.RSVP)
	}
	return rsvps, next, nil
}

const rsvpColumns = `r.seq, r.id, r.event_id, r.seats, r.status, r.payer, r.name, r.email, r.amount, r.created_at, r.checked_in_at, ` +
	paymentColumns + `, ` + refundColumns + ` FROM rsvps r
	LEFT JOIN payments p ON p.rsvp_id = r.id LEFT JOIN refunds f ON f.payment_id = p.id`

func scanRSVP(s scanner) (seq int64, r RSVP, err error) {
	var p, f payments.Payment
	err = s.Scan(slices.Concat([]any{
		&seq, &r.ID, &r.EventID, &r.Seats, &r.Status, asText{&r.Payer}, &r.Name, &r.Email, &r.Amount, asTime{&r.CreatedAt}, asTime{&r.CheckedIn},
	}, intoPayment(&p), intoPayment(&f))...)
	if p.ID != "" {
		r.Payment = &p
	}
	if f.ID != "" {
		r.Refund = &f
	}
	return seq, r, err
}
