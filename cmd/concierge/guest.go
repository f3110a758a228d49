package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// Environment variables with a Guest's secrets, which are never flags.
const (
	envWalletKey        = "CONCIERGE_WALLET_KEY"
	envWalletPassphrase = "CONCIERGE_WALLET_PASSPHRASE"
)

// guestFlags say who the Guest is and what it may spend.
type guestFlags struct {
	network  networkFlags
	home     string
	keystore string
	maxPrice limit
	asJSON   bool
}

func newGuest() *cobra.Command {
	g := &guestFlags{}
	c := group("guest", "Find and book events of other people's Hosts",
		newGuestEvents(g), newGuestBook(g), newGuestWallet(g))
	for _, sub := range c.Commands() {
		g.add(sub)
		sub.Flags().BoolVar(&g.asJSON, "json", false, "print JSON")
	}
	return c
}

// add adds the flags that all Guests have.
func (g *guestFlags) add(cmd *cobra.Command) {
	g.network.addChain(cmd)
	cmd.Flags().StringVar(&g.home, "home", "", "folder of the Guest's wallet, spending policy and books (default: concierge in your configuration directory)")
	cmd.Flags().StringVar(&g.keystore, "wallet", "", "the wallet's keystore file (default: "+walletFile+" in --home); its passphrase is in "+envWalletPassphrase+" or asked for, or a raw key is in "+envWalletKey)
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
	c := guest.Config{Version: version, Wallet: signer, Policy: policies, Purse: purse}
	chain := g.chain()
	if chain != nil {
		c.Chain = chain
	}
	return c, func() { chain.close(); _ = purse.Close() }, nil
}

func (g *guestFlags) path() (string, error) {
	if g.keystore != "" {
		return g.keystore, nil
	}
	return g.file(walletFile)
}

// open opens the wallet. Errors: [wallet.ErrNoWallet] when there is none.
func (g *guestFlags) open(prompt io.Writer) (*wallet.Local, error) {
	w, err := wallet.FromEnv(envWalletKey)
	if !errors.Is(err, wallet.ErrNoWallet) {
		return w, err
	}
	path, err := g.path()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %s; make one with 'concierge guest wallet --create'", wallet.ErrNoWallet, path)
	}
	passphrase, err := askPassphrase(prompt)
	if err != nil {
		return nil, err
	}
	return wallet.Open(path, passphrase)
}

func askPassphrase(prompt io.Writer) (string, error) {
	if passphrase, ok := os.LookupEnv(envWalletPassphrase); ok {
		return passphrase, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", misuse("the wallet's passphrase is missing: set %s, or run in a terminal to be asked", envWalletPassphrase)
	}
	fmt.Fprint(prompt, "Passphrase of the wallet: ")
	passphrase, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(prompt)
	return string(passphrase), err
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
			c, done, err := g.config(cmd.Context(), nil)
			if err != nil {
				return err
			}
			defer done()
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
			signer, err := g.open(cmd.ErrOrStderr())
			if err != nil && !errors.Is(err, wallet.ErrNoWallet) {
				return err
			}
			c, done, configErr := g.config(cmd.Context(), nil)
			if configErr != nil {
				return configErr
			}
			defer done()
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
			if create {
				if err := g.create(cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			w, err := g.open(cmd.ErrOrStderr())
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
	cmd.Flags().BoolVar(&create, "create", false, "make the wallet first")
	cmd.Flags().BoolVar(&fund, "fund", false, "on devnet: take 10 USDC from its faucet")
	return cmd
}

func (g *guestFlags) create(prompt io.Writer) error {
	path, err := g.path()
	if err != nil {
		return err
	}
	passphrase, err := askPassphrase(prompt)
	if err != nil {
		return err
	}
	_, err = wallet.Create(path, passphrase, wallet.Standard, rand.Reader)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is a wallet at %s already, and none is ever overwritten: leave out --create to use it", path)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(prompt, "Made %s. Whoever has this file and its passphrase has the money.\n", path)
	return nil
}

func (g *guestFlags) show(cmd *cobra.Command, address x402.Address) error {
	network, err := g.network.network()
	if err != nil {
		return err
	}
	answer := map[string]any{"address": address, "network": network}
	if g.network.name != onDevnet || g.network.rpc != "" {
		client, err := evm.Dial(cmd.Context(), g.network.endpoint(), evm.Options{})
		if err != nil {
			return err
		}
		defer client.Close()
		if got := x402.EVM(client.ChainID()); got != network {
			return fmt.Errorf("the node at --rpc serves %s, not %s", got, network)
		}
		asset, _, _ := x402.USDC(network)
		balance, err := client.Balance(cmd.Context(), asset, address)
		if err != nil {
			return err
		}
		amount, err := balance.Amount()
		if err != nil {
			return err
		}
		answer["amount"], answer["usd"] = amount, amount.USD()
	}
	if g.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "address  %s\nnetwork  %s\n", address, network)
	if usd, ok := answer["usd"]; ok {
		fmt.Fprintf(cmd.OutOrStdout(), "balance  %s USDC\n", usd)
	} else {
		fmt.Fprintln(cmd.OutOrStdout(), "balance  give the chain's --rpc to see it, such as http://127.0.0.1:8402/devnet")
	}
	return nil
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
