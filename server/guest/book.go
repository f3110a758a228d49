package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Event is an event as a Host describes it. All of it is the Host's word.
type Event struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	StartsAt    string `json:"starts_at"`
	EndsAt      string `json:"ends_at,omitempty"`
	TimeZone    string `json:"time_zone"`
	Location    string `json:"location,omitempty"`
	Capacity    int    `json:"capacity"`
	SeatsLeft   *int   `json:"seats_left,omitempty"`
	Price       string `json:"price"`
	Currency    string `json:"currency"`
	Status      string `json:"status"`
	CreatedAt   string `json:"created_at,omitempty"`
	ChangedAt   string `json:"changed_at,omitempty"`
	Revision    int64  `json:"revision,omitempty"` // rises with each change
}

// RSVP is a booking as a Host reports it.
type RSVP struct {
	ID          string  `json:"id"`
	EventID     string  `json:"event_id"`
	Seats       int     `json:"seats"`
	Status      string  `json:"status"`
	Payer       string  `json:"payer,omitempty"`
	Amount      string  `json:"amount"`
	Price       string  `json:"price"`
	Network     string  `json:"network,omitempty"`
	Transaction string  `json:"transaction,omitempty"`
	Note        string  `json:"note,omitempty"`
	Refund      *Refund `json:"refund,omitempty"`
}

// Refund is money that a Host says it pays back.
type Refund struct {
	USD         string `json:"usd"`
	Status      string `json:"status"`
	Transaction string `json:"transaction,omitempty"`
}

// Events returns one page of a Host's events to come that contain query, and
// the cursor of the next page, if there is one.
func (h *Host) Events(ctx context.Context, query, cursor string) (events []Event, next string, err error) {
	args := map[string]any{}
	if query != "" {
		args["query"] = query
	}
	if cursor != "" {
		args["cursor"] = cursor
	}
	var out struct {
		Events []Event `json:"events"`
		Next   string  `json:"next_cursor"`
	}
	err = h.ask(ctx, "list_events", args, &out)
	return out.Events, out.Next, err
}

// Event asks a Host for an event.
func (h *Host) Event(ctx context.Context, id string) (e Event, err error) {
	err = h.ask(ctx, "get_event", map[string]any{"event_id": id}, &e)
	if err == nil && e.ID != id {
		err = errors.New("the host's answer is another event")
	}
	return e, err
}

// RSVP asks a Host for an RSVP.
func (h *Host) RSVP(ctx context.Context, id string) (RSVP, error) {
	answer, err := h.call(ctx, "get_rsvp", map[string]any{"rsvp_id": id}, nil)
	if err != nil {
		return RSVP{}, err
	}
	if answer.Failed {
		return RSVP{}, answer.refusal()
	}
	r, err := answer.rsvp()
	if err == nil && r.ID != id {
		err = errNoRSVP
	}
	return r, err
}

// ask calls a tool that costs nothing.
func (h *Host) ask(ctx context.Context, tool string, args any, into any) error {
	answer, err := h.call(ctx, tool, args, nil)
	if err != nil {
		return err
	}
	if answer.Failed {
		return answer.refusal()
	}
	return answer.decode(into)
}

// Wish is what to book.
type Wish struct {
	EventID string `json:"event_id"`
	Seats   int    `json:"seats,omitempty"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
}

// Booked is what came of a wish.
type Booked struct {
	RSVP RSVP
	// Paid is what was signed for, 0 for a free event; PayTo who got it.
	Paid    x402.Amount
	PayTo   x402.Address
	Receipt *x402.SettleResponse // as the Host gave it, if it did
}

const (
	rsvpTool     = "rsvp_to_event"
	longestPause = 10 * time.Second // between two questions about a pending RSVP
	polls        = 60
)

// Quote asks what a wish costs without signing anything. A free event has no
// price to tell, and is booked by asking.
func (h *Host) Quote(ctx context.Context, w Wish) (*x402.PaymentRequired, RSVP, error) {
	answer, err := h.call(ctx, rsvpTool, w, nil)
	if err != nil {
		return nil, RSVP{}, err
	}
	asked, err := answer.requested()
	if err != nil || asked != nil {
		return asked, RSVP{}, err
	}
	if answer.Failed {
		return nil, RSVP{}, answer.refusal()
	}
	free, err := answer.rsvp()
	return nil, free, err
}

// ErrNotBooked is wrapped when a Host reports an RSVP that is none (any more)
// without denying the payment: money that came after the seats were gone is
// owed back. What the Host says of it is in [Booked].
var ErrNotBooked = errors.New("there is no booking, but the payment may have been taken")

// Book books, pays what it costs if the policy allows, and waits for a payment
// that is pending. Errors: [*ToolError], [ErrNotBooked], and those of
// [Host.Call].
func (h *Host) Book(ctx context.Context, w Wish) (Booked, error) {
	answer, bought, err := h.buy(ctx, rsvpTool, w)
	if err != nil {
		return Booked{}, err
	}
	if answer.Failed {
		bought.refused(ctx)
		return Booked{}, answer.refusal()
	}
	booked := Booked{Paid: answer.Paid, PayTo: answer.PayTo, Receipt: answer.Receipt}
	if booked.RSVP, err = answer.rsvp(); err == nil && booked.RSVP.Status == "pending" {
		bought.keep(ctx, booked.RSVP)
		h.progress(ctx, Step{Stage: StagePending, Amount: booked.Paid, PayTo: booked.PayTo, RSVP: booked.RSVP.ID})
		booked.RSVP, err = h.await(ctx, booked.RSVP)
	}
	if err != nil {
		if booked.Paid > 0 {
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return booked, err
	}
	r := booked.RSVP
	if r.Status == "failed" && r.Transaction == "" {
		bought.refused(ctx)
		return Booked{RSVP: r}, fmt.Errorf("%w: %s", ErrNotPaid, r.words())
	}
	bought.paid(ctx, r)
	if r.Status != "confirmed" {
		err = fmt.Errorf("%w: %s", ErrNotBooked, r.words())
	}
	return booked, err
}

// words is what an error says of r.
func (r RSVP) words() string {
	s := fmt.Sprintf("RSVP %s is %s", words(r.ID), words(r.Status))
	if r.Note != "" {
		s += " (" + words(r.Note) + ")"
	}
	return s
}

// await asks for a pending RSVP until it is decided, for about as long as an
// authorization lives.
func (h *Host) await(ctx context.Context, r RSVP) (RSVP, error) {
	last := errors.New("it takes too long")
	pause := firstPause
	for range polls {
		if err := h.Pause(ctx, pause); err != nil {
			return r, fmt.Errorf("%s: %w", r.words(), err)
		}
		later, err := h.RSVP(ctx, r.ID)
		if err == nil && later.Status != "pending" {
			return later, nil
		}
		if err != nil {
			last = err
		}
		pause = min(2*pause, longestPause)
	}
	return r, fmt.Errorf("%s: %w", r.words(), last)
}
