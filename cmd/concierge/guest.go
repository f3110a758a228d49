package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/guest"
)

// guestFlags say who the Guest is and what it may spend.
type guestFlags struct {
	network  networkFlags
	home     string
	wallet   walletFlags
	hosts    urls
	maxPrice limit
	asJSON   bool
}

func newGuest() *cobra.Command {
	g := &guestFlags{}
	c := group("guest", "Find and book events of other people's Hosts",
		newGuestEvents(g), newGuestBook(g), newGuestRSVPs(g), newGuestWallet(g), newGuestSpending(g), newGuestApprove(g), newGuestChat(g))
	for _, sub := range c.Commands() {
		g.add(sub)
		sub.Flags().BoolVar(&g.asJSON, "json", false, "print one JSON document, also of a failure")
		sub.RunE = g.explained(sub.RunE)
	}
	return c
}

// add adds the flags that all Guests have.
func (g *guestFlags) add(cmd *cobra.Command) {
	g.network.addChain(cmd)
	cmd.Flags().StringVar(&g.home, "home", "", "folder of the Guest's wallet, spending policy and books (default: concierge in your configuration directory)")
	g.wallet.add(cmd)
}

// config returns what a Guest brings along, and how to put it away.
func (g *guestFlags) config(ctx context.Context, signer wallet.Signer) (_ guest.Config, done func(), err error) {
	policies, err := g.policies()
	if err != nil {
		return guest.Config{}, nil, err
	}
	purse, err := g.purse(ctx)
	if err != nil {
		return guest.Config{}, nil, err
	}
	c := guest.Config{Version: versionName(), Wallet: signer, Policy: policies, Purse: purse}
	chain := g.chain()
	if chain != nil {
		c.Chain = chain
	}
	return c, func() { chain.close(); _ = purse.Close() }, nil
}

// addHosts adds the flag that names Hosts.
func (g *guestFlags) addHosts(cmd *cobra.Command) {
	cmd.Flags().Var(&g.hosts, "host", "a Host's MCP URL; may be given several times")
}

// desk opens the books and a wallet, connects to no Host yet, and says how to put
// it all away. Without a wallet what is free can be booked.
func (g *guestFlags) desk(cmd *cobra.Command, open func(context.Context) (wallet.Signer, error)) (_ *guest.Desk, done func(), err error) {
	if err := checkHosts(g.hosts); err != nil {
		return nil, nil, err
	}
	c, closeBooks, err := g.config(cmd.Context(), nil)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			closeBooks()
		}
	}()
	switch signer, err := open(cmd.Context()); {
	case err == nil:
		c.Wallet = signer
	case !errors.Is(err, wallet.ErrNoWallet):
		return nil, nil, err
	}
	person := personAt(cmd)
	c.Approver = approver{c.Purse, person, g.givenMaxPrice(cmd)}
	c.Progress = person.progress
	desk := guest.NewDesk(c)
	for _, url := range g.hosts {
		if _, err := desk.Add(url); err != nil {
			return nil, nil, err
		}
	}
	return desk, func() { _ = desk.Close(); closeBooks() }, nil
}

// paying opens the wallet to pay from.
func (g *guestFlags) paying(cmd *cobra.Command) func(context.Context) (wallet.Signer, error) {
	return func(ctx context.Context) (wallet.Signer, error) { return g.open(ctx, g.asking(cmd.ErrOrStderr())) }
}

func checkHosts(urls []string) error {
	for _, raw := range urls {
		if u, err := url.Parse(raw); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return misuse("--host %.100q: want a Host's MCP URL, such as http://127.0.0.1:8402/mcp/users/…", raw)
		}
	}
	return nil
}

// needHosts is for commands that do nothing without a Host.
func (g *guestFlags) needHosts() error {
	if len(g.hosts) == 0 {
		return misuse("--host is missing: a Host's MCP URL, such as http://127.0.0.1:8402/mcp/users/…")
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
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		out = append(out, r)
	}
	return string(out)
}

// cell is plain for a table, where a long text would hide the others.
func cell(s string) string { return fmt.Sprintf("%.80s", plain(s)) }
