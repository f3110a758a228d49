package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/host"
)

func newMCPGuest() *cobra.Command {
	g := &guestFlags{maxPrice: usd(guest.DefaultMaxPrice)}
	var urls []string
	cmd := &cobra.Command{
		Use:   "guest --host URL [--host URL …]",
		Short: "Other people's Hosts, paid from your wallet",
		Long: "Shows the tools of the given Hosts over stdio, and pays what they cost from your wallet,\n" +
			"never more than --max-price for one call.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(urls) == 0 {
				return misuse("--host is missing: a Host's MCP URL, such as http://127.0.0.1:8402/mcp/users/…")
			}
			c, err := g.config(nil)
			if err != nil {
				return err
			}
			signer, err := g.open(cmd.Context(), g.unattended(cmd.ErrOrStderr()))
			switch {
			case err == nil:
				c.Wallet = signer
			case !errors.Is(err, wallet.ErrNoWallet): // without one, what is free can be booked
				return err
			}
			// The connections outlive the signal to stop, as calls under way do.
			ctx := context.WithoutCancel(cmd.Context())
			var hosts []*guest.Host
			defer func() {
				for _, h := range hosts {
					_ = h.Close()
				}
			}()
			for _, url := range urls {
				h, err := guest.Dial(ctx, url, c)
				if err != nil {
					return err
				}
				hosts = append(hosts, h)
			}
			proxy, err := guest.NewProxy(ctx, version, hosts)
			if err != nil {
				return err
			}
			return host.ServeStdio(cmd.Context(), proxy, cmd.InOrStdin(), cmd.OutOrStdout(),
				func(ctx context.Context) (context.Context, error) { return ctx, nil })
		},
	}
	g.network.addChain(cmd)
	cmd.Flags().StringSliceVar(&urls, "host", nil, "a Host's MCP URL; may be given several times")
	g.wallet.add(cmd)
	cmd.Flags().Var(&g.maxPrice, "max-price", "the most to pay for one call, in USD")
	return cmd
}
