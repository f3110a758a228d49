package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/devnet"
)

func newDevnet() *cobra.Command {
	var addr string
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run the embedded chain alone, so that servers may come and go",
		Long: "Runs a real EVM with Base Sepolia's chain id and a USDC at its address, in memory.\n" +
			"JSON-RPC is on /, and POST /faucet {\"address\": \"0x…\", \"usdc\": \"10.00\"} hands out money.\n" +
			"Point servers at it with: concierge serve --network devnet --rpc http://127.0.0.1:8545",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("listen on %s: %w", addr, err)
			}
			defer listener.Close()
			chain, err := devnet.Start(devnet.Options{Log: log})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, chain.Close()) }()
			fmt.Fprintf(cmd.ErrOrStderr(), "Listening on http://%s (chain id %d, USDC %s)\n", listener.Addr(), devnet.ChainID, devnet.USDC())
			web := &http.Server{Handler: chain.Handler(), ReadHeaderTimeout: 10 * time.Second,
				ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
			served := make(chan error, 1)
			go func() { served <- web.Serve(listener) }()
			select {
			case err := <-served:
				return err
			case <-cmd.Context().Done():
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), 5*time.Second)
			defer cancel()
			err = web.Shutdown(ctx)
			<-served
			return err
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8545", "address to listen on")
	logs.add(cmd, "warn")
	return cmd
}
