package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Code is a stable name of what went wrong; clients decide by it.
type Code string

// The codes of the contract, and internal for what is nobody's fault outside.
const (
	CodeEventNotFound      Code = "event_not_found"
	CodeEventFull          Code = "event_full"
	CodeEventPast          Code = "event_past"
	CodeEventCancelled     Code = "event_cancelled"
	CodeEventChanged       Code = "event_changed" // since the caller has read it
	CodeAlreadyBooked      Code = "already_booked"
	CodeRSVPNotFound       Code = "rsvp_not_found"
	CodeInvalidArgument    Code = "invalid_argument"
	CodeNotAllowed         Code = "not_allowed"
	CodePaymentInvalid     Code = "payment_invalid"
	CodePaymentAlreadyUsed Code = "payment_already_used"
	CodePaymentUnavailable Code = "payment_unavailable"
	CodeOverLimit          Code = "over_limit"
	CodeInternal           Code = "internal"
)

// Error is a refusal that the caller is told: the message says what is wrong
// and what to do instead. Its cause is for the log.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// RetryAfter is in how many seconds the same call may go through, if time is
	// all that is wrong.
	RetryAfter int `json:"retry_after,omitempty"`
	cause      error
}

// OverLimit returns a refusal on account of a limit, which what says, until wait
// is over; 0: time does not help.
func OverLimit(what string, wait time.Duration) *Error {
	e := &Error{Code: CodeOverLimit, Message: what + " Nothing was changed or charged."}
	if wait > 0 {
		e.RetryAfter = int((wait + time.Second - 1) / time.Second)
		e.Message += fmt.Sprintf(" Repeat the call unchanged in %d s.", e.RetryAfter)
	}
	return e
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause, which callers outside are not shown.
func (e *Error) Unwrap() error { return e.cause }

// PaymentRequired is the answer to a call that costs money and has not paid.
// After a payment that was refused or failed, Code says so beside x402's own
// `error`; otherwise it is empty.
type PaymentRequired struct {
	x402.PaymentRequired
	Code    Code   `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// V1 returns the same in the shape of x402 version 1.
func (p *PaymentRequired) V1() any {
	return struct {
		x402.PaymentRequiredV1
		Code    Code   `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}{p.PaymentRequired.V1(), p.Code, p.Message}
}

func (p *PaymentRequired) Error() string { return "payment required: " + p.PaymentRequired.Error }

func invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalidArgument, Message: fmt.Sprintf(format, args...)}
}

// known maps the errors of the packages below to what a caller is told.
var known = []struct {
	err     error
	code    Code
	message string
}{
	{store.ErrEventNotFound, CodeEventNotFound, "There is no event with this id. Call list_events for the ids of this host."},
	{store.ErrEventFull, CodeEventFull, "The event has not enough seats left. Ask for fewer seats or choose another event."},
	{store.ErrEventPast, CodeEventPast, "The event is over. Call list_events for those to come."},
	{store.ErrEventCancelled, CodeEventCancelled, "The event is cancelled. Call list_events for others."},
	{store.ErrAlreadyBooked, CodeAlreadyBooked, "There is an RSVP for this event from the same payer or email already; nothing was charged."},
	{store.ErrRSVPNotFound, CodeRSVPNotFound, "There is no RSVP with this id at this host."},
	{store.ErrRSVPPending, CodeNotAllowed, "The payment of this RSVP is still being settled. Ask again in a minute; nothing is changed."},
	{store.ErrNotBooked, CodeNotAllowed, "This RSVP is not confirmed: it has no seats. Nothing is changed."},
	{store.ErrCheckedIn, CodeNotAllowed, "The guest of this RSVP has been checked in, so it can't be cancelled."},
	{store.ErrUserLeaving, CodeNotAllowed, "This host is being closed for good; nothing new begins at it."},
	{store.ErrUserNotFound, CodeEventNotFound, "There is no such host. Call find_events for the hosts and events of this server."},
	{store.ErrNoFile, CodeNotAllowed, "This host is closed for good."},
	{store.ErrCursor, CodeInvalidArgument, "cursor is not one that this host gave. Send next_cursor of the previous answer unchanged, or none."},
	{payments.ErrAlreadyUsed, CodePaymentAlreadyUsed, "This payment is already used, for another booking or under another payment identifier. Nothing more was charged; sign a new payment for a new booking."},
	{payments.ErrConflict, CodePaymentAlreadyUsed, "Conflict: this payment identifier belongs to another payment of yours to this host. Nothing was charged. Repeat that payment to see what came of it, or choose a new identifier for a new booking."},
	{payments.ErrUndecided, CodePaymentUnavailable, "It is not known yet what becomes of this payment. Do NOT pay again: repeat the call with the same payment in a minute."},
	{payments.ErrUnavailable, CodePaymentUnavailable, "Payments can't be taken at the moment and nothing was charged. Repeat the call with the same payment in a minute."},
}

// explain returns err as an [*Error] or a [*PaymentRequired], so that every
// failure of a tool has a code and a message fit for the caller.
func explain(err error) error {
	var coded *Error
	var payment *PaymentRequired
	if err == nil || errors.As(err, &coded) || errors.As(err, &payment) {
		return err
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return &Error{Code: k.code, Message: k.message, cause: err}
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: CodeInternal, Message: "The call was given up before it had an answer. Repeat it unchanged.", cause: err}
	}
	return &Error{Code: CodeInternal, Message: "Something went wrong on the server. Repeat the call unchanged; nothing is done twice.", cause: err}
}
