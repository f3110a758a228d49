package main

import (
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
			"An x402 facilitator that settles on it is under /facilitator.\n" +
			"Point servers at it with: concierge serve --network devnet --rpc http://127.0.0.1:8545\n" +
			"and, to have this process settle for them: --facilitator http://127.0.0.1:8545/facilitator",
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
			// Servers may have a gas key in the environment that this process shares
			// with them; one account must not send from two processes.
			network := networkFlags{name: onDevnet, facilitators: []string{local}, confirmations: 1, newGas: true}
			side, err := network.open(cmd.Context(), log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, side.close()) }()
			f := side.serveOthers(0, log)
			mux := http.NewServeMux()
			mux.Handle("/", side.chain.Handler())
			mux.Handle("/facilitator/", http.StripPrefix("/facilitator", f))
			fmt.Fprintf(cmd.ErrOrStderr(), "Listening on http://%s (chain id %d, USDC %s)\n", listener.Addr(), devnet.ChainID, devnet.USDC())
			return serveHTTP(cmd.Context(), listener, mux, 5*time.Second, f.Close)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8545", "address to listen on")
	logs.add(cmd, "warn")
	return cmd
}
