package tools

import (
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Event is what everybody may know of an event.
type Event struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	StartsAt    string `json:"starts_at" jsonschema:"RFC 3339, in the event's own time zone"`
	EndsAt      string `json:"ends_at,omitempty" jsonschema:"RFC 3339"`
	TimeZone    string `json:"time_zone" jsonschema:"IANA name"`
	Location    string `json:"location,omitempty"`
	Capacity    int    `json:"capacity" jsonschema:"seats in all; 0 is unlimited"`
	SeatsLeft   *int   `json:"seats_left,omitempty" jsonschema:"absent when capacity is unlimited"`
	Price       string `json:"price" jsonschema:"USD for one seat, as a decimal string; 0.00 is free"`
	Currency    string `json:"currency" jsonschema:"always USDC"`
	Status      string `json:"status" jsonschema:"open, full, past or cancelled"`
	CancelUntil string `json:"cancel_until" jsonschema:"RFC 3339, until when guests may cancel an RSVP and are paid back"`
	Visibility  string `json:"visibility" jsonschema:"public: in lists; unlisted: for who knows its id"`
	CreatedAt   string `json:"created_at" jsonschema:"RFC 3339"`
	ChangedAt   string `json:"changed_at" jsonschema:"RFC 3339, when the event itself was last changed; a booking is no change"`
	Revision    int64  `json:"revision" jsonschema:"rises with each such change: a SEQUENCE for calendars"`
}

// What the visibility of an event can be.
const (
	Public   = "public"
	Unlisted = "unlisted"
)

// RSVP is a booking, as its guest and the event's owner see it.
type RSVP struct {
	ID          string  `json:"id" jsonschema:"keep it secret: who knows it may see the RSVP"`
	EventID     string  `json:"event_id"`
	Seats       int     `json:"seats"`
	Status      string  `json:"status" jsonschema:"confirmed, pending, cancelled, refunded or failed"`
	Payer       string  `json:"payer,omitempty" jsonschema:"the address that paid"`
	Name        string  `json:"name,omitempty"`
	Email       string  `json:"email,omitempty"`
	Amount      string  `json:"amount" jsonschema:"paid for all seats, in atomic units of USDC (6 decimals)"`
	Price       string  `json:"price" jsonschema:"the same in USD"`
	Network     string  `json:"network,omitempty" jsonschema:"CAIP-2 name of the chain that was paid on"`
	Transaction string  `json:"transaction,omitempty" jsonschema:"hash of the transfer"`
	Refund      *Refund `json:"refund,omitempty" jsonschema:"present when money goes back"`
	CheckedInAt string  `json:"checked_in_at,omitempty" jsonschema:"RFC 3339; absent until the guest has come"`
	CreatedAt   string  `json:"created_at" jsonschema:"RFC 3339"`
	Note        string  `json:"note,omitempty" jsonschema:"what to do, when there is something to do"`
}

// Sum is an amount of USDC.
type Sum struct {
	Amount string `json:"amount" jsonschema:"atomic units of USDC (6 decimals)"`
	USD    string `json:"usd"`
}

// Refund is money on its way back to who paid it.
type Refund struct {
	Amount      string `json:"amount" jsonschema:"atomic units of USDC (6 decimals)"`
	USD         string `json:"usd"`
	To          string `json:"to" jsonschema:"the address that paid"`
	Status      string `json:"status" jsonschema:"settled: the money is back; pending: it is on its way; owed: it could not be sent yet, see reason"`
	Transaction string `json:"transaction,omitempty" jsonschema:"hash of the transfer"`
	Reason      string `json:"reason,omitempty" jsonschema:"why it is owed still: payment_not_final (the payment is only just on the chain), insufficient_funds, payments_unavailable or wallet_not_held"`
}

// OpenRefund is a refund that is not settled yet.
type OpenRefund struct {
	RSVPID string `json:"rsvp_id"`
	Refund
}

// Revenue is what a Host has earned. Its wallet received settled, refunded and
// owed, and has settled and owed.
type Revenue struct {
	EventID  string       `json:"event_id,omitempty"`
	Currency string       `json:"currency" jsonschema:"always USDC"`
	Settled  Sum          `json:"settled" jsonschema:"received on chain and kept"`
	Refunded Sum          `json:"refunded" jsonschema:"received and paid back"`
	Pending  Sum          `json:"pending" jsonschema:"may or may not have been received; the chain is being asked"`
	Owed     Sum          `json:"owed" jsonschema:"received and to be paid back: booked too late, or cancelled"`
	Refunds  []OpenRefund `json:"refunds" jsonschema:"what owed is made of, at most 100. This server pays them if it holds the wallet; with reason wallet_not_held, pay them yourself"`
}

func (h *Host) eventOf(e store.Event, now time.Time) Event {
	zone := h.zoneOf(e)
	out := Event{
		ID: e.ID, Title: e.Title, Description: e.Description, StartsAt: stamp(e.StartsAt, zone),
		TimeZone: e.TimeZone, Location: e.Location, Capacity: e.Capacity, Price: e.Price.USD(),
		Currency: "USDC", Status: string(e.Status(now)), CancelUntil: stamp(e.CutOff(), zone), Visibility: Public,
		CreatedAt: stamp(e.CreatedAt, time.UTC), ChangedAt: stamp(e.ChangedAt, time.UTC), Revision: e.Revision,
	}
	if e.Unlisted {
		out.Visibility = Unlisted
	}
	if !e.EndsAt.IsZero() {
		out.EndsAt = stamp(e.EndsAt, zone)
	}
	if e.Capacity > 0 {
		left := e.Capacity - e.SeatsTaken
		out.SeatsLeft = &left
	}
	return out
}

func (h *Host) zoneOf(e store.Event) *time.Location {
	zone, err := h.Cache.zone(e.TimeZone)
	if err != nil { // a zone that a newer tz database has and this one has not
		return time.UTC
	}
	return zone
}

func refundOf(p payments.Payment) Refund {
	out := Refund{Amount: p.Amount.String(), USD: p.Amount.USD(), To: p.PayTo.String(), Status: string(p.State), Reason: string(p.Reason)}
	if p.State == payments.Settling {
		out.Status = "pending"
	}
	if p.Transaction != (x402.Bytes32{}) {
		out.Transaction = p.Transaction.String()
	}
	return out
}

func rsvpOf(r store.RSVP) RSVP {
	out := RSVP{
		ID: r.ID, EventID: r.EventID, Seats: r.Seats, Status: string(r.Status), Name: r.Name, Email: r.Email,
		Amount: r.Amount.String(), Price: r.Amount.USD(), CreatedAt: stamp(r.CreatedAt, time.UTC),
	}
	if !r.CheckedIn.IsZero() {
		out.CheckedInAt = stamp(r.CheckedIn, time.UTC)
	}
	p := r.Payment
	if p == nil {
		return out
	}
	out.Payer, out.Network = p.Payer.String(), string(p.Network)
	if p.Transaction != (x402.Bytes32{}) {
		out.Transaction = p.Transaction.String()
	}
	switch p.State {
	case payments.Settling:
		out.Note = "The payment is being settled. Do NOT pay again; call get_rsvp with this id until the status is confirmed or failed."
	case payments.Failed:
		out.Note = "The payment failed (" + string(p.Reason) + "); no money was taken and the seats are free again."
	case payments.Owed:
		out.Note = "The payment arrived when the seats could no longer be had."
	}
	if r.Refund != nil {
		refund := refundOf(*r.Refund)
		out.Refund = &refund
		if r.Refund.Open {
			out.Note = strings.TrimSpace(out.Note + " The money goes back to the payer; call get_rsvp with this id to see when it has.")
		}
	}
	return out
}

func sumOf(a x402.Amount) Sum { return Sum{Amount: a.String(), USD: a.USD()} }

func stamp(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
