package tools

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// RSVPInput is the input of rsvp_to_event.
type RSVPInput struct {
	EventID string `json:"event_id" jsonschema:"from list_events"`
	Seats   int    `json:"seats,omitempty" jsonschema:"1 to 20; default 1"`
	Name    string `json:"name,omitempty" jsonschema:"for the host's list, at most 200 characters"`
	Email   string `json:"email,omitempty" jsonschema:"for the host's list"`
}

func (h *Host) booking(in RSVPInput) (b payments.Booking, err error) {
	if err = identifier("event_id", in.EventID); err != nil {
		return b, err
	}
	if in.Seats == 0 {
		in.Seats = 1
	}
	if err = between("seats", in.Seats, 1, maxSeats); err != nil {
		return b, err
	}
	if b.Name, err = line("name", in.Name, 0, maxName); err != nil {
		return b, err
	}
	if b.Email, err = email(in.Email); err != nil {
		return b, err
	}
	b.EventID, b.Seats = in.EventID, in.Seats
	b.RSVPID, err = payments.NewID(rsvpPrefix, h.Now(), h.Rand)
	return b, explain(err)
}

// RSVPToEvent books seats. A free event is booked at once; otherwise a call
// without a payment is answered with [*PaymentRequired], and one with a payment
// is paid and booked, or neither. The receipt is nil when no money was asked
// for or offered.
func (h *Host) RSVPToEvent(ctx context.Context, in RSVPInput, payment *x402.Payment) (RSVP, *x402.SettleResponse, error) {
	b, err := h.booking(in)
	if err != nil {
		return RSVP{}, nil, err
	}
	if payment == nil && h.free(b.EventID) { // so it seems: the file knows
		if rsvp, err := h.bookFree(ctx, b); !errors.Is(err, store.ErrPriced) {
			return rsvp, nil, err
		}
	}
	ctx, cancel := h.Cashier.Patient(ctx)
	defer cancel()
	repeat := func() (RSVP, *x402.SettleResponse, bool, error) {
		if payment == nil {
			return RSVP{}, nil, false, nil
		}
		paid, seen, err := h.Cashier.Repeat(ctx, h.User, b, *payment)
		if err != nil || !seen {
			return RSVP{}, nil, err != nil, explain(err)
		}
		rsvp, receipt, err := h.answer(ctx, b, paid)
		return rsvp, receipt, true, err
	}
	if rsvp, receipt, done, err := repeat(); done {
		return rsvp, receipt, err
	}
	event, err := h.canBook(ctx, b)
	if err != nil {
		// Another copy of this very call may be what stands in the way.
		if rsvp, receipt, done, err := repeat(); done {
			return rsvp, receipt, err
		}
		return RSVP{}, nil, explain(err)
	}
	if event.Price == 0 {
		rsvp, err := h.bookFree(ctx, b)
		return rsvp, nil, err
	}
	order, err := h.order(event, b)
	if err != nil {
		return RSVP{}, nil, explain(err)
	}
	if payment == nil {
		// Before a price is named: who has been asked to pay finds room.
		if err := h.room(ctx); err != nil {
			return RSVP{}, nil, explain(err)
		}
		quote, err := h.quote(ctx, order)
		if err != nil {
			return RSVP{}, nil, explain(err)
		}
		return RSVP{}, nil, &PaymentRequired{PaymentRequired: quote}
	}
	paid, err := h.Cashier.Pay(ctx, order, *payment)
	var refused *payments.Refused
	if errors.As(err, &refused) {
		return RSVP{}, nil, h.askAgain(ctx, order, refused.Reason, "The payment is refused: "+refused.Message+". Nothing was charged.")
	}
	if err != nil {
		return RSVP{}, nil, explain(err)
	}
	return h.answer(ctx, b, paid)
}

// bookFree books at an event without a price. Errors: [store.ErrPriced] among
// others.
func (h *Host) bookFree(ctx context.Context, b payments.Booking) (RSVP, error) {
	if err := h.room(ctx); err != nil {
		return RSVP{}, explain(err)
	}
	rsvp, err := h.Store.BookFree(ctx, b)
	return rsvpOf(rsvp), explain(err)
}

// canBook checks whether a booking would be accepted now, and returns its event.
func (h *Host) canBook(ctx context.Context, b payments.Booking) (store.Event, error) {
	if b.Email != "" { // who may have booked already
		return h.Store.CanBook(ctx, b.EventID, b.Seats, b.Email)
	}
	e, err := h.event(ctx, b.EventID)
	if err == nil {
		err = e.CanTake(h.Now(), b.Seats)
	}
	return e, err
}

func (h *Host) order(e store.Event, b payments.Booking) (payments.Order, error) {
	amount, err := e.Price.Times(b.Seats)
	if err != nil {
		return payments.Order{}, err
	}
	return payments.Order{
		User: h.User, PayTo: h.PayTo, Amount: amount, Booking: b,
		Resource: x402.Resource{
			URL: h.resource(b),
			// Plain ASCII: some clients echo it through btoa, which takes no more.
			Description: fmt.Sprintf("%d seat(s) at event %s", b.Seats, e.ID),
			MimeType:    "application/json",
		},
	}, nil
}

// resource names what a booking pays for.
func (h *Host) resource(b payments.Booking) string {
	query := url.Values{"user": {h.User}, "event": {b.EventID}, "seats": {strconv.Itoa(b.Seats)}}
	return "mcp://tool/rsvp_to_event?" + query.Encode()
}

// quote asks for what an order costs.
func (h *Host) quote(ctx context.Context, o payments.Order) (x402.PaymentRequired, error) {
	quote := h.Cashier.Quote(o)
	if h.Notary == nil {
		return quote, nil
	}
	return payments.SignOffer(ctx, h.Notary, quote, h.Now())
}

// receipt returns the receipt of a payment for a booking.
func (h *Host) receipt(ctx context.Context, b payments.Booking, p payments.Payment) (x402.SettleResponse, error) {
	if h.Notary == nil {
		return payments.Receipt(p), nil
	}
	return payments.SignedReceipt(ctx, h.Notary, h.resource(b), p)
}

// answer tells what came of a payment, by what the books say now: another
// process may have gone on with it since it was returned. One that failed is asked
// for anew, with the reason; one that is not decided yet never is.
func (h *Host) answer(ctx context.Context, b payments.Booking, p payments.Payment) (RSVP, *x402.SettleResponse, error) {
	rsvp, err := h.outcome(ctx, b, p)
	if err != nil {
		receipt := payments.Receipt(p)
		return RSVP{}, &receipt, explain(err)
	}
	p = *rsvp.Payment
	receipt, err := h.receipt(ctx, b, p)
	if err != nil {
		return RSVP{}, &receipt, explain(err)
	}
	if p.State == payments.Failed {
		message := fmt.Sprintf("The payment failed (%s). No money was taken; sign a new payment to book.", p.Reason)
		if p.Open {
			message += " Should this one be taken after all, it pays for this RSVP or comes back."
		}
		event, err := h.canBook(ctx, b)
		if err != nil || event.Price == 0 {
			return RSVP{}, &receipt, &Error{Code: CodePaymentInvalid, Message: message, cause: err}
		}
		order, err := h.order(event, b)
		if err != nil {
			return RSVP{}, &receipt, explain(err)
		}
		return RSVP{}, &receipt, h.askAgain(ctx, order, p.Reason, message)
	}
	return rsvpOf(rsvp), &receipt, nil
}

// outcome returns the RSVP of a payment. One that was confirmed just now is as the
// booking says, and need not be read.
func (h *Host) outcome(ctx context.Context, b payments.Booking, p payments.Payment) (store.RSVP, error) {
	if !p.Booked {
		return h.Store.RSVP(ctx, p.RSVPID)
	}
	return store.RSVP{ID: p.RSVPID, EventID: b.EventID, Seats: b.Seats, Status: store.RSVPConfirmed, Payer: p.Payer,
		Name: b.Name, Email: b.Email, Amount: p.Amount, Payment: &p, CreatedAt: p.CreatedAt}, nil
}

// unreadable answers a payment that says nothing: with what is to be paid, if
// there is something to sell.
func (h *Host) unreadable(ctx context.Context, in RSVPInput, cause error) error {
	message := fmt.Sprintf("The payment can't be read (%v). Nothing was charged; send an x402 payment of version 1 or 2.", cause)
	b, err := h.booking(in)
	if err != nil {
		return err
	}
	event, err := h.canBook(ctx, b)
	if err != nil {
		return explain(err)
	}
	if event.Price == 0 {
		return &Error{Code: CodePaymentInvalid, Message: message, cause: cause}
	}
	order, err := h.order(event, b)
	if err != nil {
		return explain(err)
	}
	return h.askAgain(ctx, order, x402.ReasonOf(cause), message)
}

func (h *Host) askAgain(ctx context.Context, o payments.Order, reason x402.Reason, message string) error {
	quote, err := h.quote(ctx, o)
	if err != nil {
		return explain(err)
	}
	quote.Error = string(reason)
	return &PaymentRequired{PaymentRequired: quote, Code: CodePaymentInvalid, Message: message}
}

// GetRSVPInput is the input of get_rsvp.
type GetRSVPInput struct {
	RSVPID string `json:"rsvp_id" jsonschema:"from rsvp_to_event"`
}

// GetRSVP returns an RSVP to whoever knows its id.
func (h *Host) GetRSVP(ctx context.Context, in GetRSVPInput) (RSVP, error) {
	if err := identifier("rsvp_id", in.RSVPID); err != nil {
		return RSVP{}, err
	}
	r, err := h.Store.RSVP(ctx, in.RSVPID)
	if err != nil {
		return RSVP{}, explain(err)
	}
	return rsvpOf(r), nil
}

// ListRSVPsInput is the input of list_rsvps.
type ListRSVPsInput struct {
	EventID string `json:"event_id" jsonschema:"from list_events"`
	Limit   int    `json:"limit,omitempty" jsonschema:"1 to 100; default 20"`
	Cursor  string `json:"cursor,omitempty" jsonschema:"next_cursor of the previous answer"`
}

// ListRSVPsOutput is the output of list_rsvps.
type ListRSVPsOutput struct {
	RSVPs      []RSVP `json:"rsvps"`
	NextCursor string `json:"next_cursor,omitempty" jsonschema:"present when there are more"`
}

// ListRSVPs lists who booked an event.
func (h *Host) ListRSVPs(ctx context.Context, in ListRSVPsInput) (ListRSVPsOutput, error) {
	if err := identifier("event_id", in.EventID); err != nil {
		return ListRSVPsOutput{}, err
	}
	n, err := limit(in.Limit)
	if err != nil {
		return ListRSVPsOutput{}, err
	}
	if _, err := h.Store.Event(ctx, in.EventID); err != nil {
		return ListRSVPsOutput{}, explain(err)
	}
	rsvps, next, err := h.Store.RSVPs(ctx, in.EventID, n, in.Cursor)
	if err != nil {
		return ListRSVPsOutput{}, explain(err)
	}
	out := ListRSVPsOutput{RSVPs: make([]RSVP, 0, len(rsvps)), NextCursor: next}
	for _, r := range rsvps {
		out.RSVPs = append(out.RSVPs, rsvpOf(r))
	}
	return out, nil
}
