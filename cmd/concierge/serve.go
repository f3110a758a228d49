package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// grace is how long calls and payments may go on after the signal to stop: a
// little more than the 45 s in which a call is answered.
const grace = 50 * time.Second

// reconcileEvery is the pause between two looks at payments that are open.
const reconcileEvery = 5 * time.Second

// keepUsageEvery is the pause between two writings of what Hosts were used for.
const keepUsageEvery = 10 * time.Second

type serveOptions struct {
	addr, publicURL string
	registryProof   string
	origins         []string
	limits          server.Limits
	hosts           hostsFlags
	network         networkFlags
	accounts        accountFlags
	agent           agentFlags
	log             logFlags
}

// hostsFlags are about the Hosts of a data directory.
type hostsFlags struct {
	data         string
	signReceipts bool
	wallets      hostWallets
	maxOpen      int
	idleAfter    time.Duration
	quotas       host.Quotas
	backup       backupFlags
}

func (h *hostsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.data, "data", "./data", "data directory")
	cmd.Flags().BoolVar(&h.signReceipts, "sign-receipts", false, "have each Host sign its offers and receipts with its own wallet (x402 offer-receipt)")
	h.wallets.add(cmd)
	cmd.Flags().IntVar(&h.maxOpen, "max-open-hosts", store.DefaultMaxOpen, "how many Hosts have their file open at a time; fewer where the limit of open files (ulimit -n) is low")
	cmd.Flags().DurationVar(&h.idleAfter, "idle-after", time.Minute, "how long a Host's file stays open that nobody uses")
	cmd.Flags().StringVar(&h.backup.url, "backup", "", "have all that is written archived within a second: "+placeHelp+"; see 'concierge backup' and 'concierge restore'")
	cmd.Flags().DurationVar(&h.backup.keep, "backup-keep", keepByDefault, "how far back a restore can go")
}

func (h *hostsFlags) valid() error {
	if h.backup.url != "" {
		if err := h.backup.valid(); err != nil {
			return err
		}
	}
	if err := h.wallets.valid(); err != nil {
		return err
	}
	if h.maxOpen < 1 {
		return misuse("--max-open-hosts %d: want 1 or more", h.maxOpen)
	}
	if h.idleAfter <= 0 {
		return misuse("--idle-after %v: want a time such as 1m", h.idleAfter)
	}
	return nil
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve all Hosts over HTTP",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := o.log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			tuneMemory()
			return o.serve(cmd.Context(), cmd.ErrOrStderr(), log)
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:8402", "address to listen on")
	o.hosts.add(cmd)
	addQuotas(cmd, &o.hosts.quotas)
	addLimits(cmd, &o.limits)
	cmd.Flags().StringVar(&o.publicURL, "public-url", "", "where clients reach this server, such as https://events.example.org")
	cmd.Flags().StringVar(&o.registryProof, "mcp-registry-auth", "", "what the MCP registry is to find at /.well-known/mcp-registry-auth, such as 'v=MCPv1; k=ed25519; p=PUBLIC_KEY'")
	cmd.Flags().StringSliceVar(&o.origins, "cors-origin", nil, "web origins whose pages may call this server")
	o.network.addSettling(cmd)
	o.accounts.add(cmd)
	o.agent.add(cmd)
	o.log.add(cmd, "info")
	return cmd
}

func (o *serveOptions) serve(ctx context.Context, notice io.Writer, log *slog.Logger) (err error) {
	public, err := publicURL(o.publicURL)
	if err != nil {
		return err
	}
	if err := errors.Join(o.hosts.valid(), validLimits(o.limits, o.hosts.quotas)); err != nil {
		return err
	}
	if o.registryProof != "" && !server.ValidRegistryProof(o.registryProof) {
		return misuse("--mcp-registry-auth: want 'v=MCPv1; k=ed25519; p=' and the public key in base64")
	}
	registration, err := o.accounts.open(o.network.name)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.addr, err)
	}
	defer listener.Close()
	o.network.data = o.hosts.data
	side, err := o.network.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, side.close()) }()
	hosts, stop, err := openHosts(ctx, o.hosts, &o.network, side.facilitator, side.client, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	index := host.OpenIndex(ctx, hosts)
	stopIndexing := tend(ctx, index.Run) // the first sweep is not waited for
	defer func() { stopIndexing(); err = errors.Join(err, index.Close()) }()

	c := server.Config{Hosts: hosts, Index: index, RegistryProof: o.registryProof, Version: version, Log: log, PublicURL: public, Origins: o.origins,
		Limits: o.limits, Registration: registration, Ready: side.ready, Network: side.network, Asset: side.asset,
		Balance: side.balance}
	if side.chain != nil {
		c.Devnet = side.chain.Handler()
		fmt.Fprintln(notice, "The embedded chain forgets everything when this server stops; 'concierge devnet' keeps one that does not.")
	}
	way := o.ownWay(listener, public)
	if !o.agent.off {
		var done func() error
		if c.Agent, done, err = o.agent.open(ctx, o, side, hosts, way, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
	}
	fmt.Fprintf(notice, "Listening on http://%s (%s, %s)\n", listener.Addr(), o.network.name, side.network)
	log.Info("serving", "addr", listener.Addr().String(), "network", string(side.network), "data", o.hosts.data, "version", version)
	web := server.New(c)
	way.Handler = web
	return web.Serve(ctx, listener, grace)
}

// openHosts opens the data directory and keeps its payments reconciled until
// stop, which waits for those under way.
func openHosts(ctx context.Context, h hostsFlags, n *networkFlags, f payments.Facilitator, c payments.Chain, log *slog.Logger) (*host.Hosts, func() error, error) {
	config, err := n.payments(f, c)
	if err != nil {
		return nil, nil, err
	}
	open := host.Config{Dir: h.data, Network: n.name, Payments: config, SignReceipts: h.signReceipts,
		MaxOpen: h.maxOpen, Idle: h.idleAfter, Quotas: h.quotas, Log: log}
	if open.Crossmint, open.AtCrossmint, err = h.wallets.open(config.Network); err != nil {
		return nil, nil, err
	}
	stopArchiving := func() error { return nil }
	if h.backup.url != "" {
		a, err := h.backup.open(ctx, h.data, n.name, log)
		if err != nil {
			return nil, nil, err
		}
		log.Warn(secretNotice)
		open.Archive, stopArchiving = a, keepArchiving(ctx, a)
	}
	hosts, err := host.Open(ctx, open)
	if err != nil {
		return nil, nil, errors.Join(err, stopArchiving())
	}
	stopReconciling := tend(ctx, func(ctx context.Context) { hosts.Cashier.Run(ctx, reconcileEvery) })
	stopKeeping := tend(ctx, func(ctx context.Context) { hosts.KeepUsage(ctx, keepUsageEvery) })
	return hosts, func() error {
		stopReconciling()
		stopKeeping()
		last, end := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer end()
		return errors.Join(hosts.Close(last), stopArchiving())
	}, nil
}

func publicURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, misuse("--public-url %q: want a scheme and a host, such as https://events.example.org", s)
	}
	u.Path = ""
	return u, nil
}
