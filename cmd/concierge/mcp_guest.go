package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/guest/approve"
	"github.com/events-concierge/concierge/server/host"
)

// mcpGuest is a paying proxy over stdio.
type mcpGuest struct {
	guestFlags
	urls    urls
	demo    bool
	browser bool

	prompt io.Writer
	close  []func() error // what was opened, to be closed in reverse
}

func newMCPGuest() *cobra.Command {
	m := &mcpGuest{}
	cmd := &cobra.Command{
		Use:   "guest --host URL [--host URL …]",
		Short: "Other people's Hosts, paid from your wallet",
		Long: "Shows the tools of the given Hosts over stdio, and pays what they cost from your wallet,\n" +
			"within your spending policy (" + policyFile + " in --home). What costs more than its ask_above\n" +
			"you are asked about first: in your MCP client if it can ask, else on a page in your browser or\n" +
			"by 'concierge guest approve'. With --demo it brings along all it needs, and lasts as long as it runs.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.check(); err != nil {
				return err
			}
			m.prompt = cmd.ErrOrStderr()
			return m.serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	m.add(cmd)
	cmd.Flags().Var(&m.urls, "host", "a Host's MCP URL; may be given several times")
	cmd.Flags().Var(&m.maxPrice, "max-price", "the most to pay for one call, in USD, besides what the spending policy says")
	cmd.Flags().BoolVar(&m.browser, "browser", hasDisplay(), "open a page in your browser where a payment has to be approved and your MCP client can't ask")
	cmd.Flags().BoolVar(&m.demo, "demo", false, "an embedded chain, sample hosts and a funded wallet instead of your own")
	return cmd
}

// inHost is what stands for --demo where a form asks for Hosts alone.
const inHost = "demo"

func (m *mcpGuest) check() error {
	if len(m.urls) == 1 && m.urls[0] == inHost {
		m.urls, m.demo = nil, true
	}
	if len(m.urls) == 0 && !m.demo {
		return misuse("--host is missing: a Host's MCP URL, such as http://127.0.0.1:8402/mcp/users/…")
	}
	if len(m.urls) > 0 && m.demo {
		return misuse("--demo has hosts of its own; give it without --host")
	}
	return checkHosts(m.urls)
}

func (m *mcpGuest) serve(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	defer func() {
		for len(m.close) > 0 {
			last := len(m.close) - 1
			err = errors.Join(err, m.close[last]())
			m.close = m.close[:last]
		}
	}()
	if m.demo {
		if m.home, err = os.MkdirTemp("", "concierge-demo-"); err != nil {
			return err
		}
		m.close = append(m.close, func() error { return os.RemoveAll(m.home) })
	}
	// What is opened outlives the signal to stop, as calls under way do.
	lasting := context.WithoutCancel(ctx)
	page := &approve.Page{}
	o := guest.ProxyOptions{Version: versionName(), Page: page.URL, Command: "concierge guest approve"}
	if m.home != "" {
		o.Command += fmt.Sprintf(" --home %q", m.home)
	}
	if m.browser {
		o.Browse = browse
	}
	proxy := guest.NewProxy(func(context.Context) (*guest.Desk, error) { return m.open(lasting) }, o)
	err = host.ServeStdio(ctx, proxy.Server(), in, out, proxy.Context)
	return errors.Join(err, proxy.Close(), page.Close())
}

// open makes the Desk, while the client is answered already: to open a keystore
// takes a second.
func (m *mcpGuest) open(ctx context.Context) (*guest.Desk, error) {
	bring := m.own
	if m.demo {
		bring = m.sample
	}
	c, urls, err := bring(ctx)
	if err != nil {
		return nil, err
	}
	desk := guest.NewDesk(c)
	for _, url := range urls {
		if _, err := desk.Add(url); err != nil {
			return nil, errors.Join(err, desk.Close())
		}
	}
	return desk, nil
}

// own is the person's own wallet, policy and books, and the Hosts they named.
func (m *mcpGuest) own(ctx context.Context) (guest.Config, []string, error) {
	c, done, err := m.config(ctx, nil)
	if err != nil {
		return c, nil, err
	}
	m.close = append(m.close, func() error { done(); return nil })
	s := m.unattended(m.prompt)
	s.given = s.passphrase != "" // a form leaves it empty
	signer, err := m.guestFlags.open(ctx, s)
	switch {
	case err == nil:
		c.Wallet = signer
	case !errors.Is(err, wallet.ErrNoWallet): // without one, what is free can be booked
		return c, nil, err
	}
	return c, m.urls, nil
}

// sample is a demo with events, and a Guest under the policy that holds where a
// person has none.
func (m *mcpGuest) sample(ctx context.Context) (guest.Config, []string, error) {
	d := &demo{story: newStory(io.Discard, false)}
	done, err := d.open(ctx, m.home)
	if err != nil {
		return guest.Config{}, nil, err
	}
	m.close = append(m.close, done)
	if err := d.stage(ctx); err != nil {
		return guest.Config{}, nil, err
	}
	c := d.config(0)
	c.Policy = guest.PolicyFile{Path: filepath.Join(m.home, policyFile), Network: d.side.network, MaxPrice: m.maxPrice.amount}
	c.Chain = &lateChain{client: d.side.client}
	return c, []string{d.club.MCPURL, d.school.MCPURL}, nil
}
