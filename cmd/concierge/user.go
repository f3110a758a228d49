package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
)

func newUser() *cobra.Command {
	var data string
	c := group("user", "Accounts of a data directory", newUserAdd(&data), newUserList(&data), newUserToken(&data),
		newUserUsage(&data), newUserInvite(&data), newUserRemove(&data))
	c.PersistentFlags().StringVar(&data, "data", "./data", "data directory")
	return c
}

// userID returns whom an argument means: an email, or an id as user list shows it.
func userID(h *host.Hosts, arg string) (string, error) {
	if !strings.Contains(arg, "@") && host.IsUserID(arg) {
		return arg, nil
	}
	id, err := h.UserID(arg)
	if err != nil {
		return "", misuse("%q: %v", arg, err)
	}
	return id, nil
}

// withHosts opens a data directory for a command that takes no payments.
func withHosts(ctx context.Context, data string, do func(*host.Hosts) error) error {
	return withConfig(ctx, host.Config{Dir: data}, do)
}

func withConfig(ctx context.Context, c host.Config, do func(*host.Hosts) error) error {
	c.Log = slog.New(slog.DiscardHandler)
	hosts, err := host.Open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(hosts), hosts.Close(ctx))
}

func newUserAdd(data *string) *cobra.Command {
	var address string
	var wallets hostWallets
	var network networkFlags
	var key secretFlags
	cmd := &cobra.Command{
		Use:   "add EMAIL",
		Short: "Register a user and print the owner token, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var payTo x402.Address
			if address != "" {
				var err error
				if payTo, err = x402.ParseAddress(address); err != nil {
					return misuse("--wallet-address: %v", err)
				}
			}
			c, err := registering(*data, &wallets, &network, &key)
			if err != nil {
				return err
			}
			return withConfig(cmd.Context(), c, func(h *host.Hosts) error {
				u, token, err := h.Register(cmd.Context(), host.Registration{Email: args[0], PayTo: payTo})
				if errors.Is(err, host.ErrEmail) {
					return misuse("%v", err)
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "user            %s\nwallet address  %s\nowner token     %s\n", u.ID, u.WalletAddress, token)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&address, "wallet-address", "", "where guests pay to (default: a new wallet)")
	cmd.Flags().StringVar(&network.name, "network", onDevnet, "of a wallet at Crossmint: devnet, base-sepolia or base")
	wallets.add(cmd)
	key.add(cmd)
	return cmd
}

// registering is the configuration of who adds users and takes no payments.
func registering(data string, wallets *hostWallets, n *networkFlags, key *secretFlags) (host.Config, error) {
	c := host.Config{Dir: data}
	if err := wallets.valid(); err != nil || wallets.where == walletsLocal {
		return c, err
	}
	network, err := n.network()
	if err != nil {
		return c, err
	}
	if wallets.secrets, err = key.open(data, slog.New(slog.DiscardHandler), secretCrossmintKey); err != nil {
		return c, err
	}
	c.Network = n.name
	c.Crossmint, c.AtCrossmint, err = wallets.open(network)
	return c, err
}

func newUserList(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the users; their emails are not kept",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHosts(cmd.Context(), *data, func(h *host.Hosts) error {
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "USER\tWALLET ADDRESS\tCREATED")
				for after := ""; ; {
					users, next, err := h.Server.Users(cmd.Context(), 100, after)
					if err != nil {
						return err
					}
					for _, u := range users {
						note := ""
						if u.Leaving {
							note = "\tbeing removed: run user remove again"
						}
						fmt.Fprintf(w, "%s\t%s\t%s%s\n", u.ID, u.WalletAddress, u.CreatedAt.Format(time.RFC3339), note)
					}
					if after = next; after == "" {
						return w.Flush()
					}
				}
			})
		},
	}
}
