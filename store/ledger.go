package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/events-concierge/concierge/payments"
)

var _ payments.Ledger = (*Host)(nil)

// Hold implements payments.Ledger. nil says that the seats of b are held for
// p, by this call or by one before it. p's state and times are set here.
//
// Errors: those of [Host.BookFree] without [ErrPriced], where
// [ErrAlreadyBooked] is also about p's payer; payments.ErrAbandoned; and
// payments.ErrHeld if the ledger knows p's id but holds no seats of b for it,
// or if p's authorization is that of another payment. An authorization is free
// again when its payment has failed and is closed.
func (h *Host) Hold(ctx context.Context, p payments.Payment, b payments.Booking) error {
	return h.write(ctx, "hold seats", func(ctx context.Context, t *tx) error {
		if p.Payer.IsZero() || p.Amount < 0 || p.Since > math.MaxInt64 || p.RSVPID != "" && p.RSVPID != b.RSVPID {
			return fmt.Errorf("%w: payment", ErrInvalid)
		}
		switch known, abandoned, err := t.heard(ctx, p.ID); {
		case err != nil:
			return err
		case known:
			return repeated(ctx, t, p.ID, b)
		case abandoned:
			return payments.ErrAbandoned
		}
		if _, err := bookable(ctx, t, t.now, b.EventID, b.Seats, guest{p.Payer, b.Email}); err != nil {
			return err
		}
		r := RSVP{
			ID: b.RSVPID, EventID: b.EventID, Seats: b.Seats, Name: b.Name, Email: b.Email,
			Status: RSVPPending, Payer: p.Payer, Amount: p.Amount,
		}
		if err := r.insert(ctx, t); err != nil {
			return err
		}
		return insertPayment(ctx, t, p, r.ID)
	})
}

// repeated answers a Hold of a payment that there is.
func repeated(ctx context.Context, t *tx, id string, b payments.Booking) error {
	known, err := payment(ctx, t, id)
	if err != nil {
		return err
	}
	r, err := rsvp(ctx, t, known.RSVPID)
	if err != nil {
		return err
	}
	if r.ID == b.RSVPID && (r.Status == RSVPPending || r.Status == RSVPConfirmed) {
		return nil
	}
	return fmt.Errorf("%w: it is %s", payments.ErrHeld, known.State)
}

func insertPayment(ctx context.Context, t *tx, p payments.Payment, rsvpID string) error {
	_, err := t.exec(ctx, `INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to,
			amount, nonce, valid_after, valid_before, signature, since, created_at, updated_at)
		VALUES (?1, ?2, 'settling', 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)`,
		p.ID, rsvpID, p.X402Version, p.Network, p.Asset.String(), p.Payer.String(), p.PayTo.String(),
		p.Amount, p.Nonce.String(), p.ValidAfter.UnixMilli(), p.ValidBefore.UnixMilli(), []byte(p.Signature), int64(p.Since), millis(t.now)) // #nosec G115 -- a number of a block
	switch {
	case duplicate(err): // of the authorization: the id has been looked for
		return fmt.Errorf("%w: its authorization belongs to another", payments.ErrHeld)
	case refused(err): // the id is empty
		return fmt.Errorf("%w: payment", ErrInvalid)
	}
	return err
}

// Payment implements payments.Ledger. Errors: payments.ErrNoPayment.
func (h *Host) Payment(ctx context.Context, id string) (payments.Payment, error) {
	return view(ctx, h.handle, "read a payment", func(ctx context.Context, q *statements) (payments.Payment, error) {
		return payment(ctx, q, id)
	})
}

// Abandon implements payments.Ledger. Errors: payments.ErrHeld.
func (h *Host) Abandon(ctx context.Context, id string) error {
	return h.write(ctx, "abandon a payment", func(ctx context.Context, t *tx) error {
		known, _, err := t.heard(ctx, id)
		if err == nil && known {
			return payments.ErrHeld
		}
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO abandoned (payment_id, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
			id, millis(t.now))
		if refused(err) {
			return fmt.Errorf("%w: payment without id", ErrInvalid)
		}
		return err
	})
}

// heard tells what is known of a payment by its id: that there is one, or that it was
// given up before there was.
func (t *tx) heard(ctx context.Context, id string) (known, abandoned bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM payments WHERE id = ?1), EXISTS (SELECT 1 FROM abandoned WHERE payment_id = ?1)`, id).
		Scan(&known, &abandoned)
	return known, abandoned, err
}

const paymentColumns = `p.id, p.rsvp_id, p.state, p.open, p.x402_version, p.network, p.asset, p.payer, p.pay_to,
	p.amount, p.nonce, p.valid_after, p.valid_before, p.signature, p.since, p.tx, p.block, p.reason, p.created_at, p.updated_at`

// intoPayment is where paymentColumns go. All of them may be NULL.
func intoPayment(p *payments.Payment) []any {
	return []any{
		zeroIfNull(&p.ID), zeroIfNull(&p.RSVPID), zeroIfNull(&p.State), zeroIfNull(&p.Open), zeroIfNull(&p.X402Version),
		zeroIfNull(&p.Network), asText{&p.Asset}, asText{&p.Payer}, asText{&p.PayTo}, zeroIfNull(&p.Amount), asText{&p.Nonce},
		asTime{&p.ValidAfter}, asTime{&p.ValidBefore}, (*[]byte)(&p.Signature), zeroIfNull(&p.Since), asText{&p.Transaction},
		zeroIfNull(&p.Block), zeroIfNull(&p.Reason), asTime{&p.CreatedAt}, asTime{&p.UpdatedAt},
	}
}

func payment(ctx context.Context, q rowQuerier, id string) (p payments.Payment, err error) {
	err = q.row(ctx, `SELECT `+paymentColumns+` FROM payments p WHERE p.id = ?`, id).Scan(intoPayment(&p)...)
	if errors.Is(err, sql.ErrNoRows) {
		return payments.Payment{}, payments.ErrNoPayment
	}
	return p, err
}
