package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// guestFlags say who the Guest is and what it may spend.
type guestFlags struct {
	network  networkFlags
	wallet   walletFlags
	maxPrice usd
	asJSON   bool
}

func newGuest() *cobra.Command {
	g := &guestFlags{maxPrice: usd(guest.DefaultMaxPrice)}
	c := group("guest", "Find and book events of other people's Hosts",
		newGuestEvents(g), newGuestBook(g), newGuestWallet(g))
	for _, sub := range c.Commands() {
		g.network.addChain(sub)
		g.wallet.add(sub)
		sub.Flags().BoolVar(&g.asJSON, "json", false, "print JSON")
	}
	return c
}

func (g *guestFlags) config(signer wallet.Signer) (guest.Config, error) {
	network, err := g.network.network()
	return guest.Config{Version: version, Wallet: signer,
		Policy: guest.Policy{Network: network, MaxPrice: x402.Amount(g.maxPrice)}}, err
}

// maxPages bounds how far a Host's list is followed: one that has no end must not
// keep a person waiting.
const maxPages = 50

func newGuestEvents(g *guestFlags) *cobra.Command {
	var hostURL, query string
	cmd := &cobra.Command{
		Use:   "events --host URL",
		Short: "List a Host's events",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.config(nil)
			if err != nil {
				return err
			}
			h, err := dialHost(cmd.Context(), hostURL, c)
			if err != nil {
				return err
			}
			defer h.Close()
			events, cursor := []guest.Event{}, ""
			for range maxPages {
				page, next, err := h.Events(cmd.Context(), query, cursor)
				if err != nil {
					return err
				}
				events = append(events, page...)
				if cursor = next; cursor == "" {
					break
				}
			}
			if cursor != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "There are more events; narrow the list with --query.")
			}
			if g.asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"events": events})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "EVENT\tSTARTS\tPRICE\tSTATUS\tTITLE")
			for _, e := range events {
				fmt.Fprintf(w, "%s\t%s\t$%s\t%s\t%s\n", plain(e.ID), plain(e.StartsAt), plain(e.Price), plain(e.Status), plain(e.Title))
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&hostURL, "host", "", "the Host's MCP URL")
	cmd.Flags().StringVar(&query, "query", "", "words to find in title, description or location")
	return cmd
}

func dialHost(ctx context.Context, url string, c guest.Config) (*guest.Host, error) {
	if url == "" {
		return nil, misuse("--host is missing: the Host's MCP URL, such as http://127.0.0.1:8402/mcp/users/…")
	}
	return guest.Dial(ctx, url, c)
}

func newGuestBook(g *guestFlags) *cobra.Command {
	var hostURL string
	var wish guest.Wish
	cmd := &cobra.Command{
		Use:   "book EVENT --host URL",
		Short: "Book an event, paying at most --max-price",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wish.EventID = args[0]
			signer, err := g.open(cmd.Context(), g.asking(cmd.ErrOrStderr()))
			if err != nil && !errors.Is(err, wallet.ErrNoWallet) {
				return err
			}
			c, configErr := g.config(nil)
			if configErr != nil {
				return configErr
			}
			if err == nil {
				c.Wallet = signer
			}
			h, err := dialHost(cmd.Context(), hostURL, c)
			if err != nil {
				return err
			}
			defer h.Close()
			booked, err := h.Book(cmd.Context(), wish)
			// Also of a booking that failed or is not decided a person must know what
			// was paid, and the RSVP to ask for.
			if booked.RSVP.ID != "" || booked.Paid > 0 {
				err = errors.Join(err, g.tell(cmd.OutOrStdout(), booked))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&hostURL, "host", "", "the Host's MCP URL")
	cmd.Flags().Var(&g.maxPrice, "max-price", "the most to pay for this booking, in USD")
	cmd.Flags().IntVar(&wish.Seats, "seats", 1, "how many seats")
	cmd.Flags().StringVar(&wish.Name, "name", "", "for the host's list")
	cmd.Flags().StringVar(&wish.Email, "email", "", "for the host's list")
	return cmd
}

func (g *guestFlags) tell(out io.Writer, booked guest.Booked) error {
	if g.asJSON {
		return printJSON(out, map[string]any{"rsvp": booked.RSVP, "paid": booked.Paid, "pay_to": booked.PayTo, "receipt": booked.Receipt})
	}
	fmt.Fprintf(out, "%s: %d seat(s), RSVP %s\n", plain(booked.RSVP.Status), booked.RSVP.Seats, plain(booked.RSVP.ID))
	if booked.Paid > 0 {
		fmt.Fprintf(out, "paid $%s to %s\ntransaction %s\n", booked.Paid.USD(), booked.PayTo, plain(booked.RSVP.Transaction))
	}
	return nil
}

func newGuestWallet(g *guestFlags) *cobra.Command {
	var create, fund bool
	cmd := &cobra.Command{
		Use:   "wallet",
		Short: "Show the wallet's address and balance",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			open := g.open
			if create {
				open = g.create
			}
			w, err := open(cmd.Context(), g.asking(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if fund {
				if g.network.name != onDevnet || g.network.rpc == "" {
					return misuse("--fund is for --network devnet with --rpc; a real faucet of Base Sepolia USDC is https://faucet.circle.com")
				}
				if err := faucet(cmd.Context(), g.network.rpc, w.Address(), "10.00"); err != nil {
					return err
				}
			}
			return g.show(cmd, w.Address())
		},
	}
	cmd.Flags().BoolVar(&create, "create", false, "make a new wallet; without it one is made only if there is none")
	cmd.Flags().BoolVar(&fund, "fund", false, "on devnet: take 10 USDC from its faucet")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// plain keeps a Host's text from steering the terminal.
func plain(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			r = '\uFFFD'
		}
		out = append(out, r)
	}
	return string(out)
}
