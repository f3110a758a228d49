package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

func newGuestApprove(g *guestFlags) *cobra.Command {
	var yes, deny bool
	cmd := &cobra.Command{
		Use:   "approve [NUMBER]",
		Short: "Say yes or no to a payment that waits for you",
		Long: "Lists the payments that wait for your yes, or asks you about one of them. A yes is good for one\n" +
			"payment of exactly this amount to exactly this payee, for " + strconv.Itoa(int(store.ApprovalLife.Minutes())) + " minutes.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Never from the environment: a yes is to one question.
			yes, deny := yes && cmd.Flags().Changed("yes"), deny && cmd.Flags().Changed("deny")
			if yes && deny {
				return misuse("--yes or --deny, not both")
			}
			purse, err := g.purse(cmd.Context())
			if err != nil {
				return err
			}
			defer purse.Close()
			if len(args) == 0 {
				return g.showWaiting(cmd, purse)
			}
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return misuse("%.40q is not the number of a question; 'concierge guest approve' lists them", args[0])
			}
			answered, err := answer(cmd.Context(), purse, id, personAt(cmd), yes, deny)
			if err != nil {
				return err
			}
			return g.showAnswer(cmd, answered)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "approve without being asked")
	cmd.Flags().BoolVar(&deny, "deny", false, "deny without being asked")
	return cmd
}

// answer answers a question for the person, or asks them.
func answer(ctx context.Context, purse *store.Purse, id int64, p person, yes, deny bool) (store.Approval, error) {
	q, err := purse.Approval(ctx, id)
	if err != nil {
		return store.Approval{}, err
	}
	switch {
	case q.State == store.ApprovalUsed:
		return store.Approval{}, store.ErrNoApproval
	case yes || deny:
	case p.in == nil:
		return store.Approval{}, misuse("there is no terminal to ask at: %s Answer with --yes or --deny", question(q))
	default:
		if yes, err = p.confirm(ctx, question(q)); err != nil {
			return store.Approval{}, err
		}
	}
	return purse.Answer(ctx, id, yes)
}

func (g *guestFlags) showAnswer(cmd *cobra.Command, a store.Approval) error {
	if g.asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			guest.Question
			State store.ApprovalState `json:"state"`
		}{guest.QuestionOf(a), a.State})
	}
	if a.State == store.ApprovalDenied {
		fmt.Fprintf(cmd.OutOrStdout(), "denied: $%s to %s\n", a.Amount.USD(), a.PayTo)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "approved: $%s to %s, until %s; now make the same booking again\n",
		a.Amount.USD(), a.PayTo, a.ExpiresAt.Local().Format(time.TimeOnly))
	return nil
}

func (g *guestFlags) showWaiting(cmd *cobra.Command, purse *store.Purse) error {
	asked, err := purse.Asked(cmd.Context(), x402.Address{})
	if err != nil {
		return err
	}
	waiting := []guest.Question{}
	for _, a := range asked {
		waiting = append(waiting, guest.QuestionOf(a))
	}
	if g.asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"waiting": waiting})
	}
	if len(waiting) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing waits for you.")
		return nil
	}
	return table(cmd.OutOrStdout(), func(w io.Writer) { writeQuestions(w, waiting) })
}

func writeQuestions(w io.Writer, waiting []guest.Question) {
	fmt.Fprintln(w, "NUMBER\tAMOUNT\tPAYEE\tUNTIL\tEVENT\tHOST")
	for _, q := range waiting {
		fmt.Fprintf(w, "%d\t$%s\t%s\t%s\t%s\t%s\n", q.ID, q.USD, q.PayTo, q.Expires, cell(q.About), q.Host)
	}
}
