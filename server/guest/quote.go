package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// QuoteInput says which call is to be quoted.
type QuoteInput struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments"`
}

// What would become of a call that is quoted.
const (
	VerdictFree    = "free"
	VerdictPays    = "pays"           // without asking
	VerdictAsks    = "needs_approval" // Approval is the question to the person
	VerdictReady   = "approved"       // by the person, once
	VerdictRefuses = "refused"        // Reason says why
)

// Quote is what a call would cost.
type Quote struct {
	Host     string        `json:"host"`
	Verdict  string        `json:"verdict"`
	About    string        `json:"about,omitempty"` // the Host's words
	USD      string        `json:"usd,omitempty"`
	PayTo    *x402.Address `json:"pay_to,omitempty"`
	Network  x402.Network  `json:"network,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Approval *Question     `json:"approval,omitempty"`

	asked *store.Approval // of Approval
}

// Quote asks what a call of a tool costs, and the person for their approval if
// it needs that. Only tools are quoted whose Host says that they cost money: to
// call another may already do what it does.
func (d *Desk) Quote(ctx context.Context, in QuoteInput) (Quote, error) {
	tool, err := d.find(ctx, in.Tool)
	if err != nil {
		return Quote{}, err
	}
	if !tool.Paid {
		return Quote{}, fmt.Errorf("%s does not cost money, its host says", tool.Name)
	}
	if len(in.Arguments) == 0 {
		in.Arguments = json.RawMessage("{}")
	}
	return tool.Host.quote(ctx, tool.Remote, in.Arguments)
}

func (h *Host) quote(ctx context.Context, tool string, args json.RawMessage) (Quote, error) {
	q := Quote{Host: h.address}
	if tool == rsvpTool {
		if free, err := h.isFree(ctx, args); err != nil || free {
			q.Verdict = VerdictFree
			return q, err
		}
	}
	answer, err := h.call(ctx, tool, args, nil)
	if err != nil {
		return q, err
	}
	asked, err := answer.requested()
	switch {
	case err != nil:
		return q, err
	case asked == nil && answer.Failed:
		return q, answer.refusal()
	case asked == nil:
		q.Verdict, q.Reason = VerdictFree, "the host did what was asked without being paid"
		return q, nil
	}
	call, err := h.callHash(tool, args)
	if err != nil {
		return q, err
	}
	return h.judge(ctx, q, call, tool, *asked)
}

// judge holds a request for payment against the policy.
func (h *Host) judge(ctx context.Context, q Quote, call [32]byte, tool string, asked x402.PaymentRequired) (Quote, error) {
	o, err := h.weigh(ctx, call, tool, asked)
	if err != nil {
		q.Verdict, q.Reason = VerdictRefuses, err.Error()
		return q, nil
	}
	q.About, q.USD, q.PayTo, q.Network, q.Verdict = o.charge.About, o.charge.Amount.USD(), &o.charge.PayTo, o.charge.Network, VerdictPays
	if !o.ask {
		return q, nil
	}
	a, err := h.Purse.Ask(ctx, o.charge)
	if err != nil {
		return q, err
	}
	question := QuestionOf(a)
	switch a.State {
	case store.ApprovalApproved:
		q.Verdict = VerdictReady
	case store.ApprovalDenied:
		q.Verdict, q.Reason = VerdictRefuses, store.ErrDenied.Error()
	default:
		q.Verdict, q.Approval, q.asked = VerdictAsks, &question, &a
	}
	return q, nil
}

// isFree looks at the price of the event to be booked: to ask for a free one is
// to book it.
func (h *Host) isFree(ctx context.Context, args json.RawMessage) (bool, error) {
	var wish struct {
		EventID string `json:"event_id"`
	}
	if err := json.Unmarshal(args, &wish); err != nil || wish.EventID == "" {
		return false, errors.New("the arguments name no event_id")
	}
	e, err := h.Event(ctx, wish.EventID)
	if err != nil {
		return false, err
	}
	price, err := x402.ParseUSD(e.Price)
	if err != nil {
		return false, errors.New("the host names a price that is none: " + words(e.Price))
	}
	return price == 0, nil
}
