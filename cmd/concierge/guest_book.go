package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

func newGuestBook(g *guestFlags) *cobra.Command {
	var wish guest.Wish
	cmd := &cobra.Command{
		Use:   "book EVENT --host URL",
		Short: "Book an event, and pay what it costs",
		Long: "Books an event, and pays what it costs within the spending policy. --max-price is your yes to\n" +
			"a price up to it; without it you are asked above the policy's ask_above.\n\n" +
			"A payment whose outcome is not known is kept: the same command goes on with it, and pays once.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wish.EventID = args[0]
			if err := g.needHosts(); err != nil {
				return err
			}
			desk, done, err := g.desk(cmd, g.paying(cmd))
			if err != nil {
				return err
			}
			defer done()
			booked, err := bookAt(cmd.Context(), desk, wish, cmd.ErrOrStderr())
			// Also of a booking that failed or is not decided a person must know what
			// was paid, and the RSVP to ask for.
			if booked.RSVP.ID == "" && booked.Paid == 0 {
				return err
			}
			return g.showBooked(cmd, booked, err)
		},
	}
	g.addHosts(cmd)
	cmd.Flags().Var(&g.maxPrice, "max-price", "the most to pay for this booking, in USD, and your yes to it")
	cmd.Flags().IntVar(&wish.Seats, "seats", 1, "how many seats")
	cmd.Flags().StringVar(&wish.Name, "name", "", "for the host's list")
	cmd.Flags().StringVar(&wish.Email, "email", "", "for the host's list")
	return cmd
}

// bookAt books at the Host that has the event, and says which event it is.
func bookAt(ctx context.Context, desk *guest.Desk, wish guest.Wish, tell io.Writer) (guest.Booked, error) {
	h, err := desk.HostOf(ctx, wish.EventID)
	if err != nil {
		return guest.Booked{}, err
	}
	// Of one that is gone a payment may still be under way.
	if e, err := h.Event(ctx, wish.EventID); err == nil {
		fmt.Fprintf(tell, "%s, %s, at %s\n", cell(e.Title), cell(e.StartsAt), h.Address())
	}
	if err := paidBefore(ctx, desk, h, wish.EventID); err != nil {
		return guest.Booked{}, err
	}
	return h.Book(ctx, wish)
}

var errBooked = errors.New("you have booked this already")

// paidBefore fails if the wallet has paid for an event that is still booked. The
// Host would learn who pays from the payment, and refuse it; until that has run
// out it would count as spent.
func paidBefore(ctx context.Context, desk *guest.Desk, h *guest.Host, eventID string) error {
	kept, err := desk.Purse.RSVPs(ctx, payer(desk), guest.MaxBookings)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.Host != h.Address() || k.EventID != eventID || k.Amount == 0 || k.Status != "confirmed" {
			continue
		}
		if now, err := h.RSVP(ctx, k.ID); err == nil && now.Status == "confirmed" {
			return fmt.Errorf("%w: RSVP %s", errBooked, k.ID)
		}
	}
	return nil
}

// payer is the wallet's address; zero: there is none.
func payer(desk *guest.Desk) x402.Address {
	if desk.Wallet == nil {
		return x402.Address{}
	}
	return desk.Wallet.Address()
}

// bookedJSON is what came of a booking; with an error it is not a booking, or not
// known to be one yet.
type bookedJSON struct {
	RSVP    guest.RSVP           `json:"rsvp"`
	Paid    x402.Amount          `json:"paid"`
	PayTo   x402.Address         `json:"pay_to"`
	Receipt *x402.SettleResponse `json:"receipt"`
	Error   *refusal             `json:"error,omitempty"`
}

func (g *guestFlags) showBooked(cmd *cobra.Command, booked guest.Booked, failed error) error {
	out := cmd.OutOrStdout()
	if g.asJSON {
		why := g.refusal(failed)
		if err := printJSON(out, bookedJSON{booked.RSVP, booked.Paid, booked.PayTo, booked.Receipt, why}); err != nil || why == nil {
			return err
		}
		return why
	}
	fmt.Fprintf(out, "%s: %d seat(s), RSVP %s\n", cell(booked.RSVP.Status), booked.RSVP.Seats, plain(booked.RSVP.ID))
	if booked.Paid > 0 {
		fmt.Fprintf(out, "paid $%s to %s\ntransaction %s\n", booked.Paid.USD(), booked.PayTo, cell(booked.RSVP.Transaction))
	}
	return failed
}
