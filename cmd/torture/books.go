package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/events-concierge/concierge/payments/x402"
)

// books is everything that is known in the end: what the Hosts have written
// down, what the chain says, and what the guests were told. The files are read
// as they are, not by the code that wrote them.
type books struct {
	Hosts    []hostBooks
	Claims   []claimRow
	Chain    history
	Balances map[x402.Address]x402.Amount
	Sent     []*sent
	Excused  map[authorization]bool
}

// hostBooks are the books of one Host.
type hostBooks struct {
	User     string
	Wallet   x402.Address
	Events   []eventRow
	RSVPs    []rsvpRow
	Payments []paymentRow
	Refunds  []refundRow
	Revenue  revenue // as its owner is told
	Apart    bool    // the server does not hold its wallet
	Debtor   bool    // it is on the server's list of those who owe something
}

type eventRow struct {
	ID              string
	Capacity, Taken int
	Cancelled       bool
}

// refundRow is money on its way back; its amount and payee are those of the
// payment.
type refundRow struct {
	Payment, State, Reason string
	Payer                  x402.Address
	Nonce, Tx              x402.Bytes32
}

type rsvpRow struct {
	ID, Event, Status string
	Seats             int
	Payer             x402.Address // zero: it was free
	Amount            x402.Amount
	Name              string
}

type paymentRow struct {
	ID, RSVP, State string
	Open            bool
	Payer, PayTo    x402.Address
	Amount          x402.Amount
	Nonce, Tx       x402.Bytes32
}

func (p paymentRow) authorization() authorization { return authorization{p.Payer, p.Nonce} }

// received tells whether the books say that the money came.
func (p paymentRow) received() bool { return p.State == "settled" || p.State == "owed" }

type claimRow struct {
	Payment string
	User    string
	Open    bool
	authorization
}

// revenue is what an owner is told, in atomic units.
type revenue struct {
	Settled, Refunded, Pending, Owed x402.Amount
}

// books reads everything. No server may run.
func (w *world) books(ctx context.Context) (*books, error) {
	b := &books{Sent: w.sent, Excused: w.excuses.all}
	var err error
	if b.Chain, err = w.chain.history(ctx); err != nil {
		return nil, err
	}
	if b.Balances, err = w.chain.balances(ctx, b.Chain.accounts()); err != nil {
		return nil, err
	}
	if b.Claims, err = readClaims(ctx, w.dir); err != nil {
		return nil, err
	}
	debtors, err := rows(ctx, serverFile(w.dir), `SELECT user_id FROM debtors`, scanText)
	if err != nil {
		return nil, err
	}
	for _, o := range w.programme.owners {
		h, err := readHost(ctx, w.dir, o)
		if err != nil {
			return nil, err
		}
		h.Revenue, h.Apart, h.Debtor = w.revenues[o.User], o.Apart, slices.Contains(debtors, o.User)
		b.Hosts = append(b.Hosts, h)
	}
	return b, nil
}

// rows reads what a query finds in a file.
func rows[T any](ctx context.Context, path, query string, scan func(func(...any) error) (T, error)) (all []T, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, db.Close()); err != nil {
			err = fmt.Errorf("read %s: %w", path, err)
		}
	}()
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		one, err := scan(found.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

func serverFile(dir string) string { return filepath.Join(dir, "data", "server.db") }

func hostFile(dir, user string) string {
	return filepath.Join(dir, "data", "hosts", user[:2], user+".db")
}

func scanText(scan func(...any) error) (s string, err error) { return s, scan(&s) }

// stillOpen returns the payments that may still change, and those whose refund
// the server has still to pay.
func stillOpen(ctx context.Context, dir string, owners []owner) ([]string, error) {
	open, err := rows(ctx, serverFile(dir), `SELECT payment_id FROM claims WHERE open = 1`, scanText)
	for _, o := range owners {
		if err != nil {
			return nil, err
		}
		query := `SELECT 'refund of ' || payment_id FROM refunds WHERE state <> 'settled'`
		if o.Apart {
			query += ` AND (state <> 'owed' OR reason <> 'wallet_not_held')`
		}
		var refunds []string
		refunds, err = rows(ctx, hostFile(dir, o.User), query, scanText)
		open = append(open, refunds...)
	}
	return open, err
}

func readClaims(ctx context.Context, dir string) ([]claimRow, error) {
	return rows(ctx, serverFile(dir), `SELECT payment_id, user_id, open, payer, nonce FROM claims`,
		func(scan func(...any) error) (c claimRow, err error) {
			return c, scan(&c.Payment, &c.User, &c.Open, text{&c.Payer}, text{&c.Nonce})
		})
}

func readHost(ctx context.Context, dir string, o owner) (hostBooks, error) {
	h := hostBooks{User: o.User, Wallet: o.Wallet}
	path := hostFile(dir, o.User)
	var errs [4]error
	h.Events, errs[0] = rows(ctx, path, `SELECT id, capacity, seats_taken, cancelled FROM events`,
		func(scan func(...any) error) (e eventRow, err error) {
			return e, scan(&e.ID, &e.Capacity, &e.Taken, &e.Cancelled)
		})
	h.RSVPs, errs[1] = rows(ctx, path, `SELECT id, event_id, status, seats, payer, amount, name FROM rsvps`,
		func(scan func(...any) error) (r rsvpRow, err error) {
			return r, scan(&r.ID, &r.Event, &r.Status, &r.Seats, text{&r.Payer}, &r.Amount, &r.Name)
		})
	h.Payments, errs[2] = rows(ctx, path, `SELECT id, rsvp_id, state, open, payer, pay_to, amount, nonce, tx FROM payments`,
		func(scan func(...any) error) (p paymentRow, err error) {
			return p, scan(&p.ID, &p.RSVP, &p.State, &p.Open, text{&p.Payer}, text{&p.PayTo}, &p.Amount, text{&p.Nonce}, text{&p.Tx})
		})
	h.Refunds, errs[3] = rows(ctx, path, `SELECT payment_id, state, reason, payer, nonce, tx FROM refunds`,
		func(scan func(...any) error) (r refundRow, err error) {
			return r, scan(&r.Payment, &r.State, &r.Reason, text{&r.Payer}, text{&r.Nonce}, text{&r.Tx})
		})
	return h, errors.Join(errs[:]...)
}

// text reads a column that holds a text form, or NULL for the zero value.
type text struct {
	into interface{ UnmarshalText([]byte) error }
}

// Scan implements sql.Scanner.
func (t text) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return t.into.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("a text column has %T", v)
}

// auditRevenue asks a server what an owner has earned.
func (w *world) auditRevenue(ctx context.Context, o owner) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.client.anywhere()+"/api/users/"+o.User+"/revenue", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+o.Token)
		resp, err := w.client.do(req)
		if err == nil && resp.status == http.StatusOK {
			var sums struct {
				Settled, Refunded, Pending, Owed struct {
					Amount x402.Amount `json:"amount"`
				}
			}
			if err := resp.decode(&sums); err != nil {
				return fmt.Errorf("read an owner's revenue: %w", err)
			}
			w.revenues[o.User] = revenue{sums.Settled.Amount, sums.Refunded.Amount, sums.Pending.Amount, sums.Owed.Amount}
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// count adds what is in the books to the table.
func (b *books) count(t *tally) {
	for _, h := range b.Hosts {
		t.add("books", "events", len(h.Events))
		for _, p := range h.Payments {
			t.add("payments", p.State, 1)
		}
		for _, r := range h.Refunds {
			t.add("refunds", strings.TrimSpace(r.State+" "+r.Reason), 1)
		}
		for _, e := range h.Events {
			if e.Cancelled {
				t.add("books", "events cancelled", 1)
			}
		}
		for _, r := range h.RSVPs {
			t.add("RSVPs", r.Status, 1)
		}
	}
	t.add("books", "claims", len(b.Claims))
	t.add("chain", "authorizations used", len(b.Chain.used))
	t.add("chain", "authorizations cancelled", len(b.Chain.cancelled))
	t.add("payments", "sent", len(b.Sent))
}
