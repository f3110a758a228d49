package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// ExpenseState is how far a payment has come.
type ExpenseState string

// All but the last count as spent.
const (
	ExpenseReserved ExpenseState = "reserved" // counted, and about to be signed
	ExpenseSigned   ExpenseState = "signed"   // maybe sent; nobody knows what became of it
	ExpensePaid     ExpenseState = "paid"
	ExpenseRefused  ExpenseState = "refused"  // the Host says so, and could still take it
	ExpenseReleased ExpenseState = "released" // nobody can take it any more, and nobody has
)

// Expense is a payment that a Guest made, or was about to make.
type Expense struct {
	ID int64
	Charge
	Nonce       x402.Bytes32
	ValidBefore time.Time // nobody can take it after
	// Payment is what is sent, while the outcome is not known.
	Payment     []byte
	State       ExpenseState
	RSVP        string // if it paid for one
	Transaction string // as the Host told it
	CreatedAt   time.Time
	DecidedAt   time.Time // zero: undecided
}

// Budget is what may be spent in [BudgetPeriod]; nil: no limit.
type Budget struct {
	Total *x402.Amount // to all Hosts together
	Host  *x402.Amount // to one Host
}

// BudgetPeriod is the time over which a budget is counted, up to now: so no
// calendar day, wherever, ever sees more.
const BudgetPeriod = 24 * time.Hour

// Reserve counts an expense before it is signed, and uses up the approval of its
// charge if there has to be one. When the same call has an expense whose outcome
// is not known, that one is returned and nothing is counted. Errors:
// [ErrOverBudget], [ErrNotApproved].
func (p *Purse) Reserve(ctx context.Context, e Expense, b Budget, approved bool) (_ Expense, isNew bool, err error) {
	err = p.write(ctx, "reserve a payment", func(ctx context.Context, t *tx) error {
		open, err := openExpense(ctx, t, e.Call[:])
		if !errors.Is(err, sql.ErrNoRows) {
			e, isNew = open, false
			return err
		}
		if err := b.check(ctx, t, e.Charge, t.now); err != nil {
			return err
		}
		if approved {
			if err := useApproval(ctx, t, e.Charge); err != nil {
				return err
			}
		}
		e.State, e.CreatedAt, isNew = ExpenseReserved, t.now, true
		args := append(e.values(), e.Nonce.String(), millis(e.ValidBefore), e.Payment, millis(t.now))
		return t.row(ctx, `INSERT INTO expenses (`+chargeColumns+`, nonce, valid_before, payment, created_at, state)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved') RETURNING id`, args...).Scan(&e.ID)
	})
	return e, isNew, err
}

// Check tells whether a budget has room for a charge. Errors: [ErrOverBudget].
func (p *Purse) Check(ctx context.Context, c Charge, b Budget) error {
	_, err := view(ctx, p.handle, "look into the budget", func(ctx context.Context, q *statements) (struct{}, error) {
		return struct{}{}, b.check(ctx, q, c, p.now())
	})
	return err
}

func (b Budget) check(ctx context.Context, q rowQuerier, c Charge, now time.Time) error {
	for _, limit := range []struct {
		most *x402.Amount
		host string
		name string
	}{{b.Total, "", "all hosts together"}, {b.Host, c.Host, "this host"}} {
		if limit.most == nil {
			continue
		}
		spent, err := spentSince(ctx, q, c.Payer, c.Network, limit.host, now)
		if err != nil {
			return err
		}
		if left := *limit.most - spent; c.Amount > left {
			return fmt.Errorf("%w: it costs $%s, and of $%s in %d hours for %s there is $%s left",
				ErrOverBudget, c.Amount.USD(), limit.most.USD(), int(BudgetPeriod.Hours()), limit.name, max(0, left).USD())
		}
	}
	return nil
}

// Spent is what a payer has promised within [BudgetPeriod] on a network, to one
// Host or, with "", to all.
func (p *Purse) Spent(ctx context.Context, payer x402.Address, n x402.Network, host string) (x402.Amount, error) {
	return view(ctx, p.handle, "add up what was spent", func(ctx context.Context, q *statements) (x402.Amount, error) {
		return spentSince(ctx, q, payer, n, host, p.now())
	})
}

func spentSince(ctx context.Context, q rowQuerier, payer x402.Address, n x402.Network, host string, now time.Time) (sum x402.Amount, err error) {
	err = q.row(ctx, `SELECT coalesce(sum(amount), 0) FROM expenses
		WHERE payer = ?1 AND network = ?2 AND created_at > ?3 AND state <> 'released' AND (?4 = '' OR host = ?4)`,
		payer.String(), string(n), millis(now.Add(-BudgetPeriod)), host).Scan(&sum)
	return sum, err
}

// Sign notes what an expense is paid by, before it is sent, and returns what is
// to be sent: another process may have signed the same authorization first.
func (p *Purse) Sign(ctx context.Context, id int64, payment []byte) (first []byte, err error) {
	err = p.write(ctx, "note a signed payment", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE expenses SET state = 'signed', payment = ? WHERE id = ? AND state = 'reserved'`, payment, id); err != nil {
			return err
		}
		return t.row(ctx, `SELECT payment FROM expenses WHERE id = ?`, id).Scan(&first)
	})
	if err == nil && first == nil {
		err = errors.New("note a signed payment: its outcome is known already")
	}
	return first, err
}

// Decide notes the outcome of an expense. A payment that was found paid stays so.
func (p *Purse) Decide(ctx context.Context, id int64, s ExpenseState, rsvp, transaction string) error {
	return p.write(ctx, "note the outcome of a payment", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE expenses SET state = ?2, rsvp_id = iif(?3 <> '', ?3, rsvp_id),
			transaction_hash = iif(?4 <> '', ?4, transaction_hash), payment = NULL, decided_at = ?5
			WHERE id = ?1 AND (state <> 'paid' OR ?2 = 'paid')`, id, string(s), rsvp, transaction, millis(t.now))
		return err
	})
}

// Open returns the expense of a call whose outcome is not known. Errors:
// [sql.ErrNoRows].
func (p *Purse) Open(ctx context.Context, call [32]byte) (Expense, error) {
	return view(ctx, p.handle, "look for a payment under way", func(ctx context.Context, q *statements) (Expense, error) {
		return openExpense(ctx, q, call[:])
	})
}

func openExpense(ctx context.Context, q rowQuerier, call []byte) (Expense, error) {
	return scanExpense(q.row(ctx, `SELECT `+expenseColumns+` FROM expenses WHERE call = ? AND state IN ('reserved', 'signed')`, call))
}

// Overdue returns a payer's expenses that nobody can take any more at a time,
// and of which it is not known for sure whether somebody did.
func (p *Purse) Overdue(ctx context.Context, payer x402.Address, at time.Time) ([]Expense, error) {
	return view(ctx, p.handle, "list payments to ask about", func(ctx context.Context, q *statements) ([]Expense, error) {
		return list(ctx, q, scanExpense, `SELECT `+expenseColumns+` FROM expenses
			WHERE payer = ? AND state IN ('reserved', 'signed', 'refused') AND valid_before < ? ORDER BY id DESC LIMIT 100`, payer.String(), millis(at))
	})
}

// Expenses returns a payer's last expenses, the newest first.
func (p *Purse) Expenses(ctx context.Context, payer x402.Address, limit int) ([]Expense, error) {
	return view(ctx, p.handle, "list payments", func(ctx context.Context, q *statements) ([]Expense, error) {
		return list(ctx, q, scanExpense, `SELECT `+expenseColumns+` FROM expenses WHERE payer = ? ORDER BY id DESC LIMIT ?`, payer.String(), pageSize(limit))
	})
}

const expenseColumns = `id, ` + chargeColumns + `, nonce, valid_before, payment, state, rsvp_id, transaction_hash, created_at, decided_at`

func scanExpense(s scanner) (e Expense, err error) {
	into := append([]any{&e.ID}, e.scan()...)
	err = s.Scan(append(into, asText{&e.Nonce}, asTime{&e.ValidBefore}, &e.Payment, &e.State, &e.RSVP, &e.Transaction,
		asTime{&e.CreatedAt}, asTime{&e.DecidedAt})...)
	return e, err
}
