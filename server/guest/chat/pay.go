package chat

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// question is what is kept of a question: what the person is shown, and the call
// to be made when they say yes.
type question struct {
	Shown json.RawMessage `json:"shown"`
	Args  json.RawMessage `json:"args"`
}

// card is how a question is shown.
type card struct {
	guest.Question
	Network string `json:"network"`
	Tool    string `json:"tool"`
	EventID string `json:"event_id,omitempty"`
	Seats   int    `json:"seats,omitempty"`

	// Of the event, if it is known; the Host's words.
	Title    string `json:"title,omitempty"`
	StartsAt string `json:"starts_at,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
	Location string `json:"location,omitempty"`
}

// ask shows the person what they have to approve.
func (t *turn) ask(a store.Approval, args json.RawMessage) {
	c := card{Question: guest.QuestionOf(a), Network: string(a.Network), Tool: a.Tool}
	var wish guest.Wish
	_ = json.Unmarshal(args, &wish) // of another tool it says nothing
	c.EventID, c.Seats = clip(wish.EventID, maxID), max(1, wish.Seats)
	if e, ok := t.eventOf(a.Host, wish.EventID); ok {
		c.Title, c.StartsAt, c.TimeZone, c.Location = e.Title, e.StartsAt, e.TimeZone, e.Location
	}
	shown, err := json.Marshal(c)
	if err != nil {
		t.agent.Log.Error("a question can't be shown", "err", err)
		return
	}
	text := fmt.Sprintf("Pay $%s to %s for %q at %s? Nothing is paid before you approve it.", c.USD, c.PayTo, c.About, c.Host)
	if a.State == store.ApprovalDenied {
		text = "You said no to this payment. Approve it if you have changed your mind: " + text
	}
	t.showAbout(a.ID, kindApproval, text, question{shown, args})
}

// resume goes on with what was approved before this process began. It is called
// with mu locked.
func (c *conversation) resume(ctx context.Context, kept []store.ChatMessage, v *Visitor) {
	open := map[int64]store.ChatMessage{}
	for _, m := range kept {
		switch m.Kind {
		case kindApproval:
			open[m.Approval] = m
		case kindReceipt, kindError:
			delete(open, m.Approval)
		}
	}
	for id, m := range open {
		switch c.state(ctx, id) {
		case string(store.ApprovalApproved), string(store.ApprovalUsed):
			if err := c.click(v, m); err != nil { // it is tried again when somebody connects
				c.agent.Log.Warn("a payment under way has to wait", "err", err)
			}
		}
	}
}

// pay makes the call that a question was about, now that the person has said yes,
// and does not let go before its outcome is known: an unknown one is asked for
// with the same payment, never with a new one.
func (t *turn) pay(q store.ChatMessage) {
	ctx, cancel := context.WithTimeout(t.agent.life, longestPayment)
	defer cancel()
	asked, err := t.agent.Purse.Approval(ctx, q.Approval)
	var call question
	if err == nil {
		err = json.Unmarshal(q.Data, &call)
	}
	if err != nil {
		t.failAbout(q.Approval, "no_approval", "The question has expired, and nothing was paid. Ask me again.")
		return
	}
	if asked.State == store.ApprovalUsed {
		if _, err := t.agent.Purse.Open(ctx, asked.Call); errors.Is(err, sql.ErrNoRows) {
			t.settled(ctx, asked)
			return
		}
	}
	r := t.settle(ctx, asked, call.Args)
	switch {
	case errors.Is(r.Err, guest.ErrUnknown), r.Pending: // resume goes on with it
		t.progress("It is not decided yet whether the payment is taken. Nothing is paid twice; come back later.")
		return
	case r.Approval != nil && r.Approval.ID != asked.ID:
		t.ask(*r.Approval, call.Args)
		t.failAbout(asked.ID, "changed", "Nothing was paid: the host asks for something else now.")
		return
	case r.Err != nil:
		t.failAbout(asked.ID, "not_paid", r.Note())
	case r.Failed:
		t.failAbout(asked.ID, "refused", "The host refused: "+r.Refusal().Error())
	default:
		t.present(asked.ID, asked.Tool, r)
	}
	t.remember(asked.Tool, call.Args, r)
	if t.agent.Model != nil && !r.Failed {
		t.think()
	}
}

func (t *turn) failAbout(approval int64, code, text string) {
	t.showAbout(approval, kindError, text, code)
}

// settle calls until it is known what became of the payment.
func (t *turn) settle(ctx context.Context, asked store.Approval, args json.RawMessage) guest.Result {
	desk, err := t.at(true)
	if err != nil {
		return guest.Result{Failed: true, Err: err}
	}
	h, err := desk.Host(asked.Host)
	if errors.Is(err, guest.ErrNoHost) { // the person has left it meanwhile
		h, err = desk.Add(asked.Host)
	}
	if err != nil {
		return guest.Result{Failed: true, Err: err}
	}
	t.progress(fmt.Sprintf("Paying $%s to %s …", asked.Amount.USD(), asked.PayTo))
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		r := h.Use(ctx, asked.Tool, args)
		if !r.Pending && !errors.Is(r.Err, guest.ErrUnknown) {
			return r
		}
		t.progress("The payment is under way. It is never made twice.")
		if t.agent.Pause(ctx, wait) != nil {
			return r
		}
	}
}

// settled tells what became of a payment that was finished, but of which the
// conversation was not told.
func (t *turn) settled(ctx context.Context, asked store.Approval) {
	expenses, err := t.agent.Purse.Expenses(ctx, asked.Payer, 0)
	if err != nil {
		t.agent.Log.Error("payments can't be read", "err", err)
		return
	}
	for _, e := range expenses {
		switch {
		case e.Call != asked.Call || e.PayTo != asked.PayTo || e.Amount != asked.Amount:
		case e.State == store.ExpensePaid:
			t.receipt(asked.ID, receipt{Host: e.Host, Title: e.About, RSVP: e.RSVP, Status: "paid", USD: e.Amount.USD(), PayTo: e.PayTo.String(), Transaction: e.Transaction})
			return
		default:
			t.failAbout(asked.ID, "not_paid", "The host did not take the payment.")
			return
		}
	}
	t.failAbout(asked.ID, "not_paid", "Nothing was paid.")
}
