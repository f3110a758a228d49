package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// refusal is why a Guest's command failed, and what a person can do about it.
type refusal struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	HostCode string `json:"host_code,omitempty"` // the Host's own, if it was the Host that refused
	Approval int64  `json:"approval,omitempty"`  // the number of the question to the person
	cause    error
}

func (r *refusal) Error() string { return r.Message }
func (r *refusal) Unwrap() error { return r.cause }

// explained makes a command say what to do when it fails, on standard output too
// if that is to be JSON. A [refusal] was told there by the command itself.
func (g *guestFlags) explained(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var misused *usageError
		var told *refusal
		if err == nil || errors.As(err, &misused) || errors.As(err, &told) {
			return err
		}
		r := g.refusal(err)
		if g.asJSON {
			if err := printJSON(cmd.OutOrStdout(), map[string]any{"error": r}); err != nil {
				return err
			}
		}
		return r
	}
}

// advice is what a reason to fail is called, and what to do about it.
type advice struct {
	when error
	code string
	do   string
}

// advices has what a payment comes to first: the rest may be its cause.
func (g *guestFlags) advices() []advice {
	policy, err := g.file(policyFile)
	if err != nil {
		policy = policyFile
	}
	return []advice{
		{guest.ErrUnknown, "outcome_unknown", "run the same command again: it goes on with the same payment, which is taken once"},
		{guest.ErrNotBooked, "not_booked", "ask the host about it, with the RSVP's id; see 'concierge guest rsvps'"},
		{guest.ErrNotPaid, "not_paid", "try again later; until the payment has run out it counts as spent"},
		{context.Canceled, "interrupted", "nothing was paid"},
		{errBooked, "already_booked", "nothing was paid; see 'concierge guest rsvps'"},
		{guest.ErrTooExpensive, "too_expensive", "nothing was paid; if it is worth it to you, raise --max-price, or per_payment in " + policy},
		{store.ErrOverBudget, "over_budget", "nothing was paid; wait, or raise per_day and per_host in " + policy},
		{store.ErrDenied, "denied", "nothing was paid"},
		{store.ErrNotApproved, "needs_approval", "nothing was paid"},
		{guest.ErrUntrusted, "untrusted", "nothing was paid; check the host's URL, --network and the policy " + policy},
		{guest.ErrPolicy, "policy", "mend the file; until then nothing is paid"},
		{guest.ErrNoWallet, "no_wallet", "make one with 'concierge guest wallet --create'"},
		{wallet.ErrNoWallet, "no_wallet", ""}, // it says so itself
		{store.ErrNoApproval, "no_such_question", "'concierge guest approve' lists those that wait; to be asked anew, make the booking again"},
		{guest.ErrUnreachable, "unreachable", "check the URL, and that the host is up"},
		{guest.ErrNoHost, "no_such_event", "'concierge guest events' lists what there is"},
	}
}

// refusal says what to do about an error; nil about none.
func (g *guestFlags) refusal(err error) *refusal {
	if err == nil {
		return nil
	}
	r := &refusal{Code: "failed", Message: strings.ReplaceAll(err.Error(), "\n", "; "), cause: err}
	var do string
	for _, a := range g.advices() {
		if errors.Is(err, a.when) {
			r.Code, do = a.code, a.do
			break
		}
	}
	if r.Code == "interrupted" {
		r.Message = r.Code // in whatever it was
	}
	if refused, ok := errors.AsType[*guest.ToolError](err); ok {
		r.HostCode = refused.Code
		if r.Code == "failed" {
			r.Code, r.Message = "refused", "the host refused: "+r.Message
		}
	}
	if wait, ok := errors.AsType[*guest.ApprovalError](err); ok {
		r.Approval = wait.ID
		if r.Code == "denied" {
			do += fmt.Sprintf("; to change your mind: 'concierge guest approve %d'", wait.ID)
		} else {
			do += fmt.Sprintf("; say yes with --max-price %s, or with 'concierge guest approve %d' and the same command again", wait.Amount.USD(), wait.ID)
		}
	}
	if do != "" {
		r.Message += ": " + do
	}
	return r
}
