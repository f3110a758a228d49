package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/cmd/internal/tune"
	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
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
	started         *cobra.Command // with them
	addr, publicURL string
	registryProof   string
	origins         []string
	limits          server.Limits
	hosts           hostsFlags
	network         networkFlags
	accounts        accountFlags
	agent           agentFlags
	watch           watchFlags
	proxies         proxyFlags
	admin           adminFlags
	tls             tlsFlags
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
	secrets      secretFlags
	keepPrograms int
	command      string           // for which its start is recorded; "": it is not
	metrics      *metrics.Metrics // nil: nobody counts
}

func (h *hostsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.data, "data", "./data", "data directory")
	cmd.Flags().BoolVar(&h.signReceipts, "sign-receipts", false, "have each Host sign its offers and receipts with its own wallet (x402 offer-receipt)")
	h.secrets.add(cmd)
	h.wallets.add(cmd)
	cmd.Flags().IntVar(&h.maxOpen, "max-open-hosts", store.DefaultMaxOpen, "how many Hosts have their file open at a time; fewer where the limit of open files (ulimit -n) is low")
	cmd.Flags().DurationVar(&h.idleAfter, "idle-after", time.Minute, "how long a Host's file stays open that nobody uses")
	cmd.Flags().StringVar(&h.backup.url, "backup", "", "have all that is written archived within a second: "+placeHelp+"; see 'concierge backup' and 'concierge restore'")
	cmd.Flags().IntVar(&h.keepPrograms, "keep-programs", keepPrograms, "how many of the last programs that served the data directory are kept in it, to go back to; see 'concierge rollback'")
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
	if h.keepPrograms < 0 {
		return misuse("--keep-programs %d: want 0 or more", h.keepPrograms)
	}
	if h.maxOpen < 1 {
		return misuse("--max-open-hosts %d: want 1 or more", h.maxOpen)
	}
	if h.idleAfter <= 0 {
		return misuse("--idle-after %v: want a time such as 1m", h.idleAfter)
	}
	return nil
}

func newServe() *cobra.Command { return new(serveOptions).command() }

// command is the command that runs with the options.
func (o *serveOptions) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve all Hosts over HTTP",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := o.log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			log = o.admin.keep(log)
			if err := tune.Server(cmd.Context()); err != nil {
				return err
			}
			o.started = cmd
			return o.serve(cmd.Context(), cmd.ErrOrStderr(), log)
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "", "address to listen on (default "+plainAddr+", with TLS "+tlsAddr+")")
	o.hosts.add(cmd)
	addQuotas(cmd, &o.hosts.quotas)
	addLimits(cmd, &o.limits)
	cmd.Flags().StringVar(&o.publicURL, "public-url", "", "where clients reach this server, such as https://events.example.org")
	cmd.Flags().StringVar(&o.registryProof, "mcp-registry-auth", "", "what the MCP registry is to find at /.well-known/mcp-registry-auth, such as 'v=MCPv1; k=ed25519; p=PUBLIC_KEY'")
	cmd.Flags().StringSliceVar(&o.origins, "cors-origin", nil, "web origins whose pages may call this server")
	o.network.addSettling(cmd)
	o.accounts.add(cmd)
	o.agent.add(cmd)
	o.watch.add(cmd)
	o.proxies.add(cmd)
	o.admin.add(cmd)
	o.tls.add(cmd)
	o.log.add(cmd, "info")
	return cmd
}

func (o *serveOptions) serve(ctx context.Context, notice io.Writer, log *slog.Logger) (err error) {
	next, err := openRestart(log)
	if err != nil {
		return err
	}
	defer func() { next.end(err) }()
	if err := o.openSecrets(log); err != nil {
		return err
	}
	if err := o.valid(); err != nil {
		return err
	}
	public, err := publicURL(o.publicURL)
	if err != nil {
		return err
	}
	if public, err = o.tls.public(public); err != nil {
		return err
	}
	proxies, err := o.proxies.open()
	if err != nil {
		return err
	}
	registration, err := o.accounts.open(o.network.name)
	if err != nil {
		return err
	}
	main, redirect := o.tls.addrs(o.addr)
	at, err := listen(ctx, next.Listeners, main, redirect)
	if err != nil {
		return err
	}
	defer at.close()
	o.network.data, o.hosts.command = o.hosts.data, "serve"
	watch, endWatch, err := newWatch(ctx, log)
	if err != nil {
		return err
	}
	defer endWatch()
	o.network.metrics, o.hosts.metrics = watch.metrics, watch.metrics
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

	secure, err := o.tls.open(o.hosts.data, at, log)
	if err != nil {
		return err
	}
	defer secure.end()
	index := host.OpenIndex(ctx, hosts)
	stopIndexing := tend(ctx, index.Run) // the first sweep is not waited for
	defer func() { stopIndexing(); err = errors.Join(err, index.Close()) }()

	c := server.Config{Hosts: hosts, Index: index, RegistryProof: o.registryProof, Version: versionName(), Log: log, PublicURL: public, Proxies: proxies, Origins: o.origins,
		Limits: o.limits, Registration: registration, Network: side.network, Asset: side.asset,
		Balance: side.balance}
	watch.over(&c, side, &o.network, hosts)
	if c.Operators, err = o.watch.open(ctx, hosts, notice); err != nil {
		return err
	}
	secure.configure(&c)
	if side.chain != nil {
		c.Devnet = side.chain.Handler()
		next.cannot = errEmbeddedChain
		fmt.Fprintln(notice, "The embedded chain forgets everything when this server stops; 'concierge devnet' keeps one that does not.")
	}
	way := o.ownWay(at.main, public, c.Domains)
	if !o.agent.off {
		var done func() error
		if c.Agent, done, err = o.agent.open(ctx, o, side, hosts, way, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
	}
	c.NoClients = !o.admin.clients
	o.admin.handedOver = next.TookOver()
	closeAdmin, err := o.admin.open(ctx, o, at.main, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAdmin()) }()
	fmt.Fprintf(notice, "Listening on %s://%s (%s, %s)\n", o.tls.scheme(), at.main.Addr(), o.network.name, side.network)
	log.Info("serving", "addr", at.main.Addr().String(), "network", string(side.network), "data", o.hosts.data, "version", versionName())
	web := server.New(c)
	way.Handler = web
	next.reload = (&reloader{o.started, o, web, hosts, side.pool, secure, notice, log}).reload
	defer watch.run(ctx)()
	listener, end := secure.begin(ctx, web, at, log)
	defer end()
	return next.serve(ctx, web, func(ctx context.Context) error { return web.Serve(ctx, listener, grace) })
}

// valid finds what is wrong with the options, all of it, without asking anybody.
func (o *serveOptions) valid() error {
	_, public := publicURL(o.publicURL)
	_, registration := o.accounts.open(o.network.name)
	_, log := o.log.logger(io.Discard)
	_, proxies := o.proxies.open()
	all := []error{public, proxies, o.tls.valid(), o.hosts.valid(), validLimits(o.limits, o.hosts.quotas), registration, o.network.valid(), log}
	if o.registryProof != "" && !server.ValidRegistryProof(o.registryProof) {
		all = append(all, misuse("--mcp-registry-auth: want 'v=MCPv1; k=ed25519; p=' and the public key in base64"))
	}
	if !o.network.remote() && secretFacilitatorToken.isGiven() {
		all = append(all, misuse("%s is set, and --facilitator is local: name the facilitator that it is for", envFacilitatorToken))
	}
	return errors.Join(all...)
}

// openHosts opens the data directory and keeps its payments reconciled until
// stop, which waits for those under way.
func openHosts(ctx context.Context, h hostsFlags, n *networkFlags, f payments.Facilitator, c payments.Chain, log *slog.Logger) (*host.Hosts, func() error, error) {
	config, err := n.payments(f, c)
	if err != nil {
		return nil, nil, err
	}
	config.Observe = h.metrics.Payment
	open := host.Config{Dir: h.data, Network: n.name, Payments: config, SignReceipts: h.signReceipts,
		MaxOpen: h.maxOpen, Idle: h.idleAfter, Quotas: h.quotas, Opened: h.metrics.Opened, Log: log}
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
	if h.command != "" {
		if open.Program, err = programOf(log); err != nil {
			return nil, nil, errors.Join(err, stopArchiving())
		}
		open.Command = h.command
	}
	hosts, err := host.Open(ctx, open)
	if err != nil {
		return nil, nil, errors.Join(err, stopArchiving())
	}
	stopReconciling := tend(ctx, func(ctx context.Context) { hosts.Cashier.Run(ctx, reconcileEvery) })
	stopKeeping := tend(ctx, func(ctx context.Context) { hosts.KeepUsage(ctx, keepUsageEvery) })
	stopCopying := keepProgram(ctx, hosts, h.keepPrograms, log)
	stopDropping := dropOldCopies(ctx, h.data, log)
	return hosts, func() error {
		stopReconciling()
		stopKeeping()
		stopCopying()
		stopDropping()
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
