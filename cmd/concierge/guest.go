package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"unicode"

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
	hosts    []string
	maxPrice limit
	asJSON   bool
}

func newGuest() *cobra.Command {
	g := &guestFlags{}
	c := group("guest", "Find and book events of other people's Hosts",
		newGuestEvents(g), newGuestBook(g), newGuestRSVPs(g), newGuestWallet(g), newGuestSpending(g), newGuestApprove(g))
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

// addHosts adds the flag that names Hosts.
func (g *guestFlags) addHosts(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&g.hosts, "host", nil, "a Host's MCP URL; may be given several times")
}

// desk opens the books, connects to no Host yet, and says how to put it all away.
// The wallet is opened for commands that are about money; none is needed for what
// is free.
func (g *guestFlags) desk(cmd *cobra.Command, withWallet bool) (_ *guest.Desk, done func(), err error) {
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
	if withWallet {
		switch signer, err := g.open(cmd.ErrOrStderr()); {
		case err == nil:
			c.Wallet = signer
		case !errors.Is(err, wallet.ErrNoWallet):
			return nil, nil, err
		}
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
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		out = append(out, r)
	}
	return string(out)
}

// cell is plain for a table, where a long text would hide the others.
func cell(s string) string { return fmt.Sprintf("%.80s", plain(s)) }
