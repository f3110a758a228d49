package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/x402"
)

type facilitatorOptions struct {
	addr    string
	rate    float64
	proxies proxyFlags
	network networkFlags
	data    string
	secrets secretFlags
	log     logFlags
}

func newFacilitator() *cobra.Command {
	o := facilitatorOptions{network: networkFlags{facilitators: []string{local}}}
	cmd := &cobra.Command{
		Use:   "facilitator",
		Short: "Verify and settle x402 payments for others",
		Long: "Serves GET /supported, POST /verify and POST /settle for x402 of versions 1 and 2: scheme\n" +
			"exact, USDC. The gas is paid by the account of " + envGasKey + " or --gas-keystore.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := o.log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if o.rate < 0 {
				return misuse("--rate %v: want requests a second, or 0 for any number", o.rate)
			}
			if o.network.name == onDevnet && o.network.rpc == "" {
				return misuse("--rpc is missing: the node of a running devnet; 'concierge devnet' has a facilitator of its own, too")
			}
			if o.data != "" {
				c, err := o.secrets.open(o.data, log, secretGasKey, secretGasPassphrase, secretRPCURL)
				if err != nil {
					return err
				}
				o.network.use(c)
			}
			return o.serve(cmd, log)
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:8403", "address to listen on")
	cmd.Flags().Float64Var(&o.rate, "rate", 20, "requests a second that one client address may make, in bursts twice as many; 0: any number")
	o.proxies.add(cmd)
	o.network.addChain(cmd)
	o.network.addGas(cmd)
	cmd.Flags().StringVar(&o.data, "data", "", "data directory with stored secrets (default: those of the environment alone)")
	o.secrets.add(cmd)
	o.log.add(cmd, "info")
	return cmd
}

func (o *facilitatorOptions) serve(cmd *cobra.Command, log *slog.Logger) (err error) {
	ctx := cmd.Context()
	proxies, err := o.proxies.open()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.addr, err)
	}
	defer listener.Close()
	side, err := o.network.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, side.close()) }()
	fmt.Fprintf(cmd.ErrOrStderr(), "Listening on http://%s (%s, %s; gas is paid by %s)\n", listener.Addr(), o.network.name, side.network, side.gas)
	f := side.serveOthers(o.rate, log)
	return serveHTTP(ctx, listener, proxies.Handler(f), grace, f.Close)
}

// serveOthers returns this process's facilitator, for others.
func (s *settling) serveOthers(rate float64, log *slog.Logger) *facilitator.Server {
	return facilitator.NewServer(facilitator.ServerConfig{
		Network: s.network, Assets: []x402.Address{s.asset}, Signers: []x402.Address{s.gas},
		Facilitator: s.facilitator, Chain: s.client, Log: log, Rate: rate,
	})
}

// serveHTTP answers on l until ctx ends; then calls in flight may finish, and
// after them stop is called. Both have grace.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, grace time.Duration, stop func(context.Context) error) error {
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 75 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	var failed error
	select {
	case failed = <-served:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := web.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("calls did not finish within %s", grace), web.Close())
	}
	if failed == nil {
		if failed = <-served; errors.Is(failed, http.ErrServerClosed) {
			failed = nil
		}
	}
	return errors.Join(failed, err, stop(stopping))
}
