package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Purse is the file of somebody who pays: what was signed for, what they have
// approved, and what was booked with it. All processes that pay from a wallet
// share one. Its methods may be called at the same time.
type Purse struct{ handle }

// OpenPurse opens a purse's file like [OpenHost] does a user's.
func OpenPurse(ctx context.Context, path string, o Options) (*Purse, error) {
	h, err := openAlone(ctx, path, kindOf("purse", purseID), o)
	if err != nil {
		return nil, err
	}
	return &Purse{h}, nil
}

// Close waits for the change under way, and closes the file.
func (p *Purse) Close() error { return p.files.Close() }

// Charge is what a Host asks for a call of one of its tools.
type Charge struct {
	Call    [sha256.Size]byte // of the payer, the Host, the tool and its arguments
	Host    string            // its address
	Tool    string
	About   string // what is bought, in the Host's words
	Network x402.Network
	Asset   x402.Address
	Payer   x402.Address
	PayTo   x402.Address
	Amount  x402.Amount
}

// chargeColumns are those of a Charge, in the tables of what was paid and of
// what was asked.
const chargeColumns = `call, host, tool, about, network, asset, payer, pay_to, amount`

func (c Charge) values() []any {
	return []any{c.Call[:], c.Host, c.Tool, c.About, string(c.Network), c.Asset.String(), c.Payer.String(), c.PayTo.String(), int64(c.Amount)}
}

func (c *Charge) scan() []any {
	return []any{asHash{&c.Call}, &c.Host, &c.Tool, &c.About, &c.Network, asText{&c.Asset}, asText{&c.Payer}, asText{&c.PayTo}, &c.Amount}
}

// KeptRSVP is a booking as a Host last told it.
type KeptRSVP struct {
	Payer    x402.Address // the wallet's; zero: there was none
	Host     string
	ID       string
	EventID  string
	Title    string
	Seats    int
	Amount   x402.Amount // 0: free
	Status   string
	BookedAt time.Time
}

// KeepRSVP notes a booking, or what has become of one.
func (p *Purse) KeepRSVP(ctx context.Context, r KeptRSVP) error {
	return p.write(ctx, "keep an RSVP", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO rsvps (payer, host, id, event_id, title, seats, amount, status, booked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET status = excluded.status, title = iif(excluded.title <> '', excluded.title, title)`,
			textOf(r.Payer), r.Host, r.ID, r.EventID, r.Title, r.Seats, int64(r.Amount), r.Status, millis(t.now))
		return err
	})
}

// RSVPs returns the bookings that a payer made last, the newest first.
func (p *Purse) RSVPs(ctx context.Context, payer x402.Address, limit int) ([]KeptRSVP, error) {
	return view(ctx, p.handle, "list RSVPs", func(ctx context.Context, q *statements) ([]KeptRSVP, error) {
		return list(ctx, q, func(s scanner) (KeptRSVP, error) {
			r := KeptRSVP{Payer: payer}
			err := s.Scan(&r.Host, &r.ID, &r.EventID, &r.Title, &r.Seats, &r.Amount, &r.Status, asTime{&r.BookedAt})
			return r, err
		}, `SELECT host, id, event_id, title, seats, amount, status, booked_at FROM rsvps WHERE payer = ? ORDER BY booked_at DESC, id LIMIT ?`,
			textOf(payer), pageSize(limit))
	})
}

// textOf is how a payer is stored where there may be none.
func textOf(a x402.Address) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}
