package store_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// purse is one with a clock of the test's own, and what it is asked for.
type purse struct {
	*store.Purse
	path string
	now  time.Time
	n    atomic.Int64 // nonces
}

func newPurse(t *testing.T) *purse {
	t.Helper()
	p := &purse{path: filepath.Join(t.TempDir(), "guest.db"), now: time.UnixMilli(1_800_000_000_000).UTC()}
	p.Purse = p.open(t)
	return p
}

// open opens the file once more, as another process does.
func (p *purse) open(t *testing.T) *store.Purse {
	t.Helper()
	opened, err := store.OpenPurse(t.Context(), p.path, store.Options{Now: func() time.Time { return p.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func charge(call byte, change ...func(*store.Charge)) store.Charge {
	usdc, _, _ := x402.USDC(x402.BaseSepolia)
	c := store.Charge{Call: [32]byte{call}, Host: "https://club.example/mcp", Tool: "rsvp_to_event", About: "Jazz", Network: x402.BaseSepolia,
		Asset: usdc, Payer: x402.Address{7}, PayTo: x402.Address{9}, Amount: x402.USD}
	for _, f := range change {
		f(&c)
	}
	return c
}

func (p *purse) expense(c store.Charge) store.Expense {
	n := p.n.Add(1)
	return store.Expense{Charge: c, Nonce: x402.Bytes32{byte(n >> 8), byte(n)}, ValidBefore: p.now.Add(5 * time.Minute), Payment: []byte("unsigned")}
}

// reserve reserves a charge, and fails the test if that fails.
func (p *purse) reserve(t *testing.T, c store.Charge, b store.Budget) store.Expense {
	t.Helper()
	e, isNew, err := p.Reserve(t.Context(), p.expense(c), b, false)
	if err != nil || !isNew {
		t.Fatalf("reserve: new %t, %v", isNew, err)
	}
	return e
}

func (p *purse) mustSpent(t *testing.T, want x402.Amount) {
	t.Helper()
	if got, err := p.Spent(t.Context(), x402.Address{7}, x402.BaseSepolia, ""); err != nil || got != want {
		t.Errorf("spent %s, %v; want %s", got, err, want)
	}
}

func total(a x402.Amount) store.Budget { return store.Budget{Total: &a} }

func TestBudget(t *testing.T) {
	amount := func(a x402.Amount) func(*store.Charge) { return func(c *store.Charge) { c.Amount = a } }
	other := func(c *store.Charge) { c.Host = "https://school.example/mcp" }
	five, two := 5*x402.USD, 2*x402.USD
	for name, c := range map[string]struct {
		before []store.Charge // each signed for
		charge store.Charge
		budget store.Budget
		over   bool
	}{
		"exactly all":             {nil, charge(1, amount(five)), total(five), false},
		"one unit more":           {nil, charge(1, amount(five+1)), total(five), true},
		"what is left":            {[]store.Charge{charge(2, amount(five-1))}, charge(1, amount(1)), total(five), false},
		"more than is left":       {[]store.Charge{charge(2, amount(five-1))}, charge(1, amount(2)), total(five), true},
		"nothing may be spent":    {nil, charge(1, amount(1)), total(0), true},
		"another host counts":     {[]store.Charge{charge(2, other, amount(five))}, charge(1, amount(1)), total(five), true},
		"of one host":             {[]store.Charge{charge(2, amount(two))}, charge(1, amount(1)), store.Budget{Host: &two}, true},
		"of another host":         {[]store.Charge{charge(2, other, amount(two))}, charge(1, amount(two)), store.Budget{Host: &two}, false},
		"both, the host's is out": {[]store.Charge{charge(2, amount(two))}, charge(1, amount(1)), store.Budget{Host: &two, Total: &five}, true},
		"another payer":           {[]store.Charge{charge(2, amount(five), func(c *store.Charge) { c.Payer = x402.Address{8} })}, charge(1), total(x402.USD), false},
		"another network":         {[]store.Charge{charge(2, amount(five), func(c *store.Charge) { c.Network = x402.Base })}, charge(1), total(x402.USD), false},
		"no limit":                {[]store.Charge{charge(2, amount(five))}, charge(1, amount(1<<60)), store.Budget{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPurse(t)
			for _, c := range c.before {
				p.reserve(t, c, store.Budget{})
			}
			check := p.Check(t.Context(), c.charge, c.budget)
			_, isNew, err := p.Reserve(t.Context(), p.expense(c.charge), c.budget, false)
			if over := errors.Is(err, store.ErrOverBudget); over != c.over || isNew == c.over || errors.Is(check, store.ErrOverBudget) != c.over {
				t.Errorf("%v, new %t; looked at before: %v", err, isNew, check)
			}
		})
	}
}

// What counts as spent is what somebody may have taken.
func TestWhatCounts(t *testing.T) {
	p := newPurse(t)
	for state, counts := range map[store.ExpenseState]bool{store.ExpensePaid: true, store.ExpenseRefused: true, store.ExpenseReleased: false} {
		e := p.reserve(t, charge(1), store.Budget{})
		before, _ := p.Spent(t.Context(), e.Payer, e.Network, "")
		if _, err := p.Sign(t.Context(), e.ID, []byte("signed")); err != nil {
			t.Fatal(err)
		}
		p.mustSpent(t, before)
		if err := p.Decide(t.Context(), e.ID, state, "rsvp_1", "0x1"); err != nil {
			t.Fatal(err)
		}
		if !counts {
			before -= x402.USD
		}
		p.mustSpent(t, before)
	}
	p.now = p.now.Add(store.BudgetPeriod - time.Millisecond)
	p.mustSpent(t, 2*x402.USD)
	p.now = p.now.Add(time.Millisecond)
	p.mustSpent(t, 0)
	p.now = p.now.Add(-48 * time.Hour) // a clock that goes back gives nothing back
	p.mustSpent(t, 2*x402.USD)
}

// However many pay at a time, in however many processes: the budget holds.
func TestBudgetInParallel(t *testing.T) {
	p := newPurse(t)
	const most = 7
	var wg sync.WaitGroup
	var reserved atomic.Int64
	for i := range 3 {
		other := p.open(t)
		for j := range 10 {
			wg.Go(func() {
				_, isNew, err := other.Reserve(t.Context(), p.expense(charge(byte(10*i+j))), total(most*x402.USD), false)
				switch {
				case isNew:
					reserved.Add(1)
				case !errors.Is(err, store.ErrOverBudget):
					t.Errorf("%v", err)
				}
			})
		}
	}
	wg.Wait()
	if n := reserved.Load(); n != most {
		t.Errorf("%d were reserved", n)
	}
	p.mustSpent(t, most*x402.USD)
}

// The same call is paid once, whoever makes it, until the outcome is known.
func TestOneExpenseACall(t *testing.T) {
	p := newPurse(t)
	first := p.reserve(t, charge(1), store.Budget{})
	again, isNew, err := p.open(t).Reserve(t.Context(), p.expense(charge(1)), total(0), true)
	if err != nil || isNew || again.ID != first.ID || again.Nonce != first.Nonce {
		t.Errorf("again: %+v, new %t, %v", again, isNew, err)
	}
	for _, signed := range []string{"signed here", "signed there"} {
		if got, err := p.Sign(t.Context(), first.ID, []byte(signed)); err != nil || string(got) != "signed here" {
			t.Errorf("to be sent: %q, %v", got, err)
		}
	}
	open, err := p.Open(t.Context(), [32]byte{1})
	if err != nil || open.State != store.ExpenseSigned || string(open.Payment) != "signed here" || open.Charge != charge(1) || !open.ValidBefore.Equal(first.ValidBefore) {
		t.Errorf("open: %+v, %v", open, err)
	}
	if err := p.Decide(t.Context(), first.ID, store.ExpensePaid, "rsvp_1", "0xab"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(t.Context(), [32]byte{1}); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("open: %v", err)
	}
	if _, err := p.Sign(t.Context(), first.ID, []byte("late")); err == nil {
		t.Error("signed once more")
	}
	if err := p.Decide(t.Context(), first.ID, store.ExpenseReleased, "", ""); err != nil { // which is wrong
		t.Fatal(err)
	}
	second := p.reserve(t, charge(1), store.Budget{})
	all, err := p.Expenses(t.Context(), x402.Address{7}, 0)
	if err != nil || len(all) != 2 || all[0].ID != second.ID || all[1].State != store.ExpensePaid || all[1].RSVP != "rsvp_1" ||
		all[1].Transaction != "0xab" || all[1].Payment != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestOverdue(t *testing.T) {
	p := newPurse(t)
	ids := map[int64]bool{}
	for i, state := range []store.ExpenseState{"", store.ExpenseSigned, store.ExpenseRefused, store.ExpensePaid, store.ExpenseReleased} {
		e := p.reserve(t, charge(byte(i)), store.Budget{})
		switch state {
		case "":
		case store.ExpenseSigned:
			if _, err := p.Sign(t.Context(), e.ID, []byte("signed")); err != nil {
				t.Fatal(err)
			}
		default:
			if err := p.Decide(t.Context(), e.ID, state, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		ids[e.ID] = i < 3
	}
	for at, want := range map[time.Duration]int{5 * time.Minute: 0, 5*time.Minute + time.Millisecond: 3} {
		overdue, err := p.Overdue(t.Context(), x402.Address{7}, p.now.Add(at))
		if err != nil || len(overdue) != want {
			t.Errorf("after %v: %d, %v", at, len(overdue), err)
		}
		for _, e := range overdue {
			if !ids[e.ID] {
				t.Errorf("%s is asked about", e.State)
			}
		}
	}
}

func TestApprovals(t *testing.T) {
	p := newPurse(t)
	ctx := t.Context()
	try := func(c store.Charge) error {
		t.Helper()
		e, isNew, err := p.Reserve(ctx, p.expense(c), store.Budget{}, true)
		if isNew {
			err = errors.Join(err, p.Decide(ctx, e.ID, store.ExpensePaid, "", ""))
		}
		return err
	}
	must := func(when string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	ask := func() store.Approval {
		t.Helper()
		a, err := p.Ask(ctx, charge(1))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	say := func(a store.Approval, yes bool) {
		t.Helper()
		if _, err := p.Answer(ctx, a.ID, yes); err != nil {
			t.Error(err)
		}
	}
	must("nobody was asked", try(charge(1)), store.ErrNotApproved)
	a := ask()
	if same := ask(); same.ID != a.ID || same.State != store.ApprovalAsked {
		t.Errorf("asked twice: %+v", same)
	}
	must("asked", try(charge(1)), store.ErrNotApproved)
	say(a, false)
	must("denied", try(charge(1)), store.ErrNotApproved)
	if denied := ask(); denied.ID != a.ID || denied.State != store.ApprovalDenied {
		t.Errorf("asked again after a no: %+v", denied)
	}
	say(a, true)
	for what, change := range map[string]func(*store.Charge){
		"more":            func(c *store.Charge) { c.Amount++ },
		"less":            func(c *store.Charge) { c.Amount-- },
		"another payee":   func(c *store.Charge) { c.PayTo[0]++ },
		"another asset":   func(c *store.Charge) { c.Asset[0]++ },
		"another network": func(c *store.Charge) { c.Network = x402.Base },
		"another call":    func(c *store.Charge) { c.Call[5]++ },
	} {
		must(what, try(charge(1, change)), store.ErrNotApproved)
	}
	must("approved", try(charge(1)), nil)
	must("approved once", try(charge(1)), store.ErrNotApproved)
	_, err := p.Answer(ctx, a.ID, true)
	must("answered when it was used", err, store.ErrNoApproval)

	a = ask()
	say(a, true)
	p.now = p.now.Add(store.ApprovalLife)
	must("expired", try(charge(1)), store.ErrNotApproved)
	_, err = p.Answer(ctx, a.ID, true)
	must("answered when it had expired", err, store.ErrNoApproval)
	_, err = p.Approval(ctx, a.ID)
	must("read when it had expired", err, store.ErrNoApproval)
	if next := ask(); next.ID == a.ID || next.State != store.ApprovalAsked {
		t.Errorf("asked after it had expired: %+v", next)
	}
	for payer, want := range map[x402.Address]int{{}: 1, {7}: 1, {8}: 0} {
		if asked, err := p.Asked(ctx, payer); err != nil || len(asked) != want {
			t.Errorf("asked about %s: %+v, %v", payer, asked, err)
		}
	}
}

// One yes is one payment, whoever is fastest.
func TestApprovalIsUsedOnce(t *testing.T) {
	p := newPurse(t)
	a, err := p.Ask(t.Context(), charge(1))
	if err == nil {
		_, err = p.Answer(t.Context(), a.ID, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	var used atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			e, isNew, err := p.Reserve(context.WithoutCancel(t.Context()), p.expense(charge(1)), store.Budget{}, true)
			if isNew {
				used.Add(1)
				err = p.Decide(context.WithoutCancel(t.Context()), e.ID, store.ExpensePaid, "", "")
			}
			if err != nil && !errors.Is(err, store.ErrNotApproved) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used.Load() != 1 {
		t.Errorf("used %d times", used.Load())
	}
}

func TestKeptRSVPs(t *testing.T) {
	p := newPurse(t)
	r := store.KeptRSVP{Payer: x402.Address{7}, Host: "https://club.example/mcp", ID: "rsvp_1", EventID: "evt_1", Title: "Jazz", Seats: 2, Amount: x402.USD, Status: "pending"}
	keep := func(r store.KeptRSVP) {
		t.Helper()
		if err := p.KeepRSVP(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	keep(r)
	r.Status, r.Title = "confirmed", ""
	p.now = p.now.Add(time.Minute)
	keep(r)
	free := store.KeptRSVP{Host: r.Host, ID: "rsvp_2", EventID: "evt_2", Seats: 1, Status: "confirmed"}
	keep(free)
	got, err := p.RSVPs(t.Context(), x402.Address{7}, 0)
	r.Title, r.BookedAt = "Jazz", p.now.Add(-time.Minute)
	if err != nil || len(got) != 1 || got[0] != r {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := p.RSVPs(t.Context(), x402.Address{}, 0); err != nil || len(got) != 1 || got[0].ID != "rsvp_2" || got[0].Amount != 0 {
		t.Errorf("without a wallet: %+v, %v", got, err)
	}
}
