package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/guest"
)

func newGuestRSVPs(g *guestFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rsvps [--host URL …]",
		Short: "Show the bookings of this wallet, as their Hosts tell them now",
		Long:  "Shows what was booked from this folder with its wallet. The Hosts are asked what has become of it:\nthose of --host, or else all.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			desk, done, err := g.desk(cmd, g.look)
			if err != nil {
				return err
			}
			defer done()
			if len(g.hosts) == 0 {
				if err := addBooked(cmd.Context(), desk); err != nil {
					return err
				}
			}
			bookings, err := desk.Bookings(cmd.Context())
			if err != nil {
				return err
			}
			return g.showRSVPs(cmd, bookings)
		},
	}
	g.addHosts(cmd)
	return cmd
}

// addBooked adds the Hosts of the last bookings, as many as there may be.
func addBooked(ctx context.Context, desk *guest.Desk) error {
	kept, err := desk.Purse.RSVPs(ctx, payer(desk), guest.MaxBookings)
	if err != nil {
		return err
	}
	for _, r := range kept {
		if checkHosts([]string{r.Host}) != nil {
			continue // a program, which has no URL
		}
		if _, err := desk.Add(r.Host); err != nil && !errors.Is(err, guest.ErrTooManyHosts) {
			return err
		}
	}
	return nil
}

func (g *guestFlags) showRSVPs(cmd *cobra.Command, bookings guest.Bookings) error {
	if g.asJSON {
		return printJSON(cmd.OutOrStdout(), bookings)
	}
	if len(bookings.RSVPs) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing has been booked yet.")
		return nil
	}
	for _, b := range bookings.RSVPs {
		if b.Error != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is shown as it was: %s\n", plain(b.ID), b.Error)
		}
	}
	return table(cmd.OutOrStdout(), func(w io.Writer) {
		fmt.Fprintln(w, "RSVP\tSTATUS\tSEATS\tPRICE\tBOOKED\tEVENT\tHOST")
		for _, b := range bookings.RSVPs {
			event := b.Title
			if event == "" {
				event = b.EventID
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t$%s\t%s\t%s\t%s\n", plain(b.ID), cell(b.Status), b.Seats, b.Price, b.BookedAt, cell(event), b.Host)
		}
	})
}
