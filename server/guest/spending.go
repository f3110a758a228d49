package guest

import (
	"context"
	"errors"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// payerOf is a wallet's address; without a wallet it is zero.
func payerOf(w wallet.Signer) x402.Address {
	if w == nil {
		return x402.Address{}
	}
	return w.Address()
}

// Funds are what a wallet has.
type Funds struct {
	Address x402.Address `json:"address"`
	Network x402.Network `json:"network"`
	// USD is the balance of USDC; "" if the chain can't be asked, for Error.
	USD   string `json:"usd,omitempty"`
	Error string `json:"error,omitempty"`
}

// Funds asks the chain what the wallet has. Errors: [ErrNoWallet], and those of
// the policy.
func (d *Desk) Funds(ctx context.Context) (Funds, error) {
	if d.Wallet == nil {
		return Funds{}, ErrNoWallet
	}
	policy, err := d.Policy.Current()
	if err != nil {
		return Funds{}, err
	}
	f := Funds{Address: d.Wallet.Address(), Network: policy.Network}
	if d.Chain == nil {
		f.Error = "no chain is configured: give --rpc"
		return f, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	usdc, _, _ := x402.USDC(policy.Network)
	balance, err := d.Chain.Balance(ctx, policy.Network, usdc, f.Address)
	if err != nil {
		f.Error = words(err.Error())
		return f, nil
	}
	f.USD = balance.USD()
	return f, nil
}

// Spending is a policy, and what was spent under it. All amounts are USD.
type Spending struct {
	Network    x402.Network `json:"network"`
	PerPayment string       `json:"per_payment"`
	PerDay     string       `json:"per_day,omitempty"`   // "": no limit
	PerHost    string       `json:"per_host,omitempty"`  // likewise
	AskAbove   string       `json:"ask_above,omitempty"` // "": the person is never asked
	Spent      string       `json:"spent"`               // in the last 24 hours
	Left       string       `json:"left,omitempty"`      // of PerDay
	Payments   []Payment    `json:"payments"`            // the newest first
	Waiting    []Question   `json:"waiting"`             // for the person
}

// Payment is one that was made, or is under way.
type Payment struct {
	Host        string       `json:"host"`
	About       string       `json:"about,omitempty"` // the Host's words
	USD         string       `json:"usd"`
	PayTo       x402.Address `json:"pay_to"`
	State       string       `json:"state"` // see [store.ExpenseState]
	RSVP        string       `json:"rsvp_id,omitempty"`
	Transaction string       `json:"transaction,omitempty"`
	At          string       `json:"at"`
}

// Question is what a person is asked to approve.
type Question struct {
	ID      int64        `json:"id"`
	Host    string       `json:"host"`
	About   string       `json:"about,omitempty"` // the Host's words
	USD     string       `json:"usd"`
	PayTo   x402.Address `json:"pay_to"`
	Expires string       `json:"expires"`
}

// QuestionOf is how an approval is shown.
func QuestionOf(a store.Approval) Question {
	return Question{ID: a.ID, Host: a.Host, About: a.About, USD: a.Amount.USD(), PayTo: a.PayTo, Expires: a.ExpiresAt.Format(time.RFC3339)}
}

// Spending adds up what the wallet has promised, after it has asked the chain
// about payments that nobody can take any more.
func (d *Desk) Spending(ctx context.Context) (Spending, error) {
	policy, err := d.Policy.Current()
	if err != nil {
		return Spending{}, err
	}
	payer := payerOf(d.Wallet)
	asking, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	_ = Reclaim(asking, d.Purse, d.Chain, payer, d.Now()) // else they stay counted
	spent, err := d.Purse.Spent(ctx, payer, policy.Network, "")
	if err != nil {
		return Spending{}, err
	}
	expenses, err := d.Purse.Expenses(ctx, payer, 20)
	waiting, askedErr := d.Purse.Asked(ctx, payer)
	if err := errors.Join(err, askedErr); err != nil {
		return Spending{}, err
	}
	s := Spending{Network: policy.Network, PerPayment: policy.MaxPrice.USD(), PerDay: usdOf(policy.PerDay), PerHost: usdOf(policy.PerHost),
		AskAbove: usdOf(policy.AskAbove), Spent: spent.USD(), Payments: []Payment{}, Waiting: []Question{}}
	if policy.PerDay != nil {
		s.Left = max(0, *policy.PerDay-spent).USD()
	}
	for _, e := range expenses {
		s.Payments = append(s.Payments, Payment{Host: e.Host, About: e.About, USD: e.Amount.USD(), PayTo: e.PayTo, State: string(e.State),
			RSVP: e.RSVP, Transaction: e.Transaction, At: e.CreatedAt.Format(time.RFC3339)})
	}
	for _, a := range waiting {
		s.Waiting = append(s.Waiting, QuestionOf(a))
	}
	return s, nil
}

func usdOf(a *x402.Amount) string {
	if a == nil {
		return ""
	}
	return a.USD()
}
