package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// purchase is a call that is paid for, or that turned out to be free.
type purchase struct {
	host    *Host
	tool    string
	expense *store.Expense // nil: free
}

// callHash is the same for the same call by the same payer, however its
// arguments are written.
func (h *Host) callHash(tool string, args any) (sum [sha256.Size]byte, err error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return sum, fmt.Errorf("arguments of %s: %w", tool, err)
	}
	v, err := decoded(raw)
	if err != nil {
		return sum, fmt.Errorf("arguments of %s: %w", tool, err)
	}
	sorted, err := json.Marshal([]any{payerOf(h.Wallet), h.address, tool, v})
	return sha256.Sum256(sorted), err
}

// decoded returns what JSON says, however it is written.
func decoded(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// underWay returns the purchase of the same call whose outcome is not known, or
// nil.
func (h *Host) underWay(ctx context.Context, call [sha256.Size]byte) (*purchase, error) {
	e, err := h.Purse.Open(ctx, call)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case e.State == store.ExpenseReserved && !h.Now().Before(e.ValidBefore): // whoever reserved it never signed
		return nil, h.Purse.Decide(ctx, e.ID, store.ExpenseReleased, "", "")
	}
	return &purchase{h, e.Tool, &e}, nil
}

// offer is a request for payment that the policy and the budget have passed.
type offer struct {
	choice
	charge store.Charge
	budget store.Budget
	ask    bool // the person has to approve
}

// weigh holds a request for payment against the policy and the budget.
func (h *Host) weigh(ctx context.Context, call [sha256.Size]byte, tool string, asked x402.PaymentRequired) (o offer, err error) {
	policy, err := h.Policy.Current()
	if err != nil {
		return o, err
	}
	if o.choice, err = policy.choose(asked); err != nil {
		return o, err
	}
	if h.Wallet == nil {
		return o, ErrNoWallet
	}
	amount, err := o.Amount.Amount()
	if err != nil {
		return o, err
	}
	o.charge = store.Charge{Call: call, Host: h.address, Tool: words(tool), About: words(asked.Resource.Description),
		Network: o.Network, Asset: o.Asset, Payer: h.Wallet.Address(), PayTo: o.PayTo, Amount: amount}
	o.budget = store.Budget{Total: policy.PerDay, Host: policy.PerHost}
	o.ask = policy.AskAbove != nil && amount > *policy.AskAbove
	return o, h.affordable(ctx, o.charge, o.budget)
}

// promise counts what a Host asks for, if the policy, the budget and, where they
// have to be asked, the person allow it. wasThere: another process has done so
// meanwhile, and may have paid.
func (h *Host) promise(ctx context.Context, call [sha256.Size]byte, tool string, asked x402.PaymentRequired) (_ *purchase, wasThere bool, err error) {
	o, err := h.weigh(ctx, call, tool, asked)
	if err != nil {
		return nil, false, err
	}
	h.progress(ctx, Step{Stage: StagePrice, Amount: o.charge.Amount, PayTo: o.PayTo, About: o.charge.About})
	if o.ask {
		if err := h.approved(ctx, o.charge); err != nil {
			return nil, false, err
		}
	}
	payment, err := h.unsigned(asked, o.choice)
	if err != nil {
		return nil, false, err
	}
	raw, err := json.Marshal(payment)
	if err != nil {
		return nil, false, err
	}
	_, before, _ := payment.Payload.Authorization.Window()
	e, isNew, err := h.Purse.Reserve(ctx, store.Expense{Charge: o.charge, Nonce: payment.Payload.Authorization.Nonce,
		ValidBefore: before, Payment: raw}, o.budget, o.ask)
	return &purchase{h, tool, &e}, !isNew, err
}

// affordable is asked before the person is. Where the budget is used up by
// payments of which the chain may know that nobody took them, it is asked.
func (h *Host) affordable(ctx context.Context, c store.Charge, b store.Budget) error {
	err := h.Purse.Check(ctx, c, b)
	if errors.Is(err, store.ErrOverBudget) && Reclaim(ctx, h.Purse, h.Chain, c.Payer, h.Now()) == nil {
		err = h.Purse.Check(ctx, c, b)
	}
	return err
}

// noSignature stands where a signature is to come.
var noSignature = x402.Signature{0}

// unsigned makes the payment of a requirement, but for its signature. Nothing in
// it comes from anywhere else than from that one.
func (h *Host) unsigned(asked x402.PaymentRequired, r choice) (x402.Payment, error) {
	now := h.Now()
	life := min(time.Duration(r.MaxTimeoutSeconds)*time.Second, longestLife)
	a := x402.Authorization{
		From: payerOf(h.Wallet), To: r.PayTo, Value: r.Amount,
		ValidAfter:  x402.NewUint256(uint64(now.Add(-clockSkew).Unix())), // #nosec G115 -- a clock after 1970
		ValidBefore: x402.NewUint256(uint64(now.Add(life).Unix())),       // #nosec G115 -- a clock after 1970
	}
	if _, err := io.ReadFull(h.Rand, a.Nonce[:]); err != nil {
		return x402.Payment{}, fmt.Errorf("nonce: %w", err)
	}
	p := x402.Payment{Version: asked.X402Version, Scheme: r.Scheme, Network: r.Network,
		Payload: x402.Payload{Signature: noSignature, Authorization: a}}
	if p.Version == 2 {
		extensions, err := h.identify(asked.Extensions)
		if err != nil {
			return x402.Payment{}, err
		}
		p.Accepted, p.AcceptedRaw, p.Resource, p.Extensions = &r.Requirements, r.raw, &asked.Resource, extensions
	}
	return p, nil
}

// identify repeats what a Host declared and gives the payment a name there, if
// the Host wants to know one. The authorization can be read on the chain later,
// the name can't: only who knows both is its payer.
func (h *Host) identify(declared json.RawMessage) (json.RawMessage, error) {
	if declared == nil {
		return nil, nil
	}
	var id [16]byte
	if _, err := io.ReadFull(h.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("payment identifier: %w", err)
	}
	return x402.WithIdentifier(declared, "pay_"+hex.EncodeToString(id[:]))
}

// sign returns the payment to send. What was signed before is never signed anew.
func (b *purchase) sign(ctx context.Context) (x402.Payment, error) {
	p, err := stored(b.expense.Payment)
	if err != nil || b.expense.State == store.ExpenseSigned {
		return p, err
	}
	if b.host.Wallet == nil {
		return p, ErrNoWallet
	}
	e := b.expense
	_, domain, _ := x402.USDC(e.Network) // the one asset that a policy passes
	required := x402.Requirements{Scheme: p.Scheme, Network: e.Network, Amount: e.Amount.Uint256(), Asset: e.Asset, PayTo: e.PayTo, Extra: domain}
	if p.Payload.Signature, err = b.host.Wallet.SignAuthorization(ctx, required, p.Payload.Authorization); err != nil {
		return p, err
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	first, err := b.host.Purse.Sign(ctx, e.ID, raw)
	if err != nil {
		return p, err
	}
	return stored(first)
}

// stored reads a payment that a purse kept. What it accepted and the extensions
// are repeated to the letter, as odd as the Host may have made them.
func stored(raw []byte) (p x402.Payment, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return p, err
	}
	extensions := members["extensions"]
	delete(members, "extensions")
	if raw, err = json.Marshal(members); err != nil {
		return p, err
	}
	p, err = x402.DecodePayment(raw)
	p.AcceptedRaw, p.Extensions = members["accepted"], extensions
	return p, err
}

// paid notes that the Host took the payment, and the RSVP that it gave. What
// can't be noted stays counted, and is found on the chain.
func (b *purchase) paid(ctx context.Context, r RSVP) {
	if b.expense != nil {
		_ = b.host.Purse.Decide(context.WithoutCancel(ctx), b.expense.ID, store.ExpensePaid, words(r.ID), words(r.Transaction))
	}
	b.keep(ctx, r)
}

// keep notes an RSVP, so that its person finds it again.
func (b *purchase) keep(ctx context.Context, r RSVP) {
	if b.tool != rsvpTool || r.ID == "" || len(r.ID) > maxID {
		return
	}
	kept := store.KeptRSVP{Payer: payerOf(b.host.Wallet), Host: b.host.address, ID: r.ID, EventID: words(r.EventID), Seats: r.Seats, Status: words(r.Status)}
	if b.expense != nil {
		kept.Title, kept.Amount = b.expense.About, b.expense.Amount
	}
	_ = b.host.Purse.KeepRSVP(context.WithoutCancel(ctx), kept)
}

const maxID = 200 // bytes of an RSVP's id, which is a Host's word

// refused notes that the Host did not take the payment. It stays counted while
// somebody could: the Host may be wrong, or lie.
func (b *purchase) refused(ctx context.Context) {
	if b.expense != nil {
		_ = b.host.Purse.Decide(context.WithoutCancel(ctx), b.expense.ID, store.ExpenseRefused, "", "")
	}
}
