package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// person is who runs a command: told on standard error, and asked if there is a
// terminal to answer at.
type person struct {
	in  io.Reader // nil: nobody to ask
	out io.Writer
}

func personAt(cmd *cobra.Command) person {
	p := person{out: cmd.ErrOrStderr()}
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.in = f
	}
	return p
}

// confirm asks a question. Anything but a yes is a no.
func (p person) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(p.out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // ends with the process, if not before: a read of a terminal can't be broken off
		line, _ := bufio.NewReader(io.LimitReader(p.in, 1024)).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return false, ctx.Err()
	case line := <-answer:
		return line == "y" || line == "yes", nil
	}
}

// progress tells how far a booking has come.
func (p person) progress(_ context.Context, s guest.Step) {
	switch s.Stage {
	case guest.StageAsking:
		fmt.Fprintln(p.out, "Asking for the price …")
	case guest.StagePrice:
		fmt.Fprintf(p.out, "It costs $%s, to be paid to %s.\n", s.Amount.USD(), s.PayTo)
	case guest.StagePaying:
		again := ""
		if s.Again {
			again = " once more, with the same payment: it is taken once"
		}
		fmt.Fprintf(p.out, "Paying $%s to %s%s …\n", s.Amount.USD(), s.PayTo, again)
	case guest.StagePending:
		fmt.Fprintf(p.out, "The payment is on its way; waiting until it is settled (RSVP %s) …\n", cell(s.RSVP))
	}
}

// approver takes --max-price for a yes up to it, or else asks the person at the
// terminal. Where there is none, the question stays in the purse.
type approver struct {
	purse  *store.Purse
	person person
	yes    *x402.Amount // nil: --max-price was not given
}

// Approve implements [guest.Approver].
func (a approver) Approve(ctx context.Context, q store.Approval) error {
	yes := a.yes != nil && q.Amount <= *a.yes
	if !yes {
		if a.person.in == nil {
			return nil
		}
		var err error
		if yes, err = a.person.confirm(ctx, question(q)); err != nil {
			return err
		}
	}
	_, err := a.purse.Answer(ctx, q.ID, yes)
	return err
}

// question says all that an approval is good for.
func question(q store.Approval) string {
	return fmt.Sprintf("Pay $%s to %s, to the host %s, which calls it %q?", q.Amount.USD(), q.PayTo, q.Host, cell(q.About))
}

// givenMaxPrice is the --max-price of this very command. One in the environment is
// a ceiling, but no yes.
func (g *guestFlags) givenMaxPrice(cmd *cobra.Command) *x402.Amount {
	if !cmd.Flags().Changed("max-price") {
		return nil
	}
	return g.maxPrice.amount
}
