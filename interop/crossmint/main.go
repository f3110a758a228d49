// Command crossmint is the other end of Crossmint's API (package crossminttest) as a
// server of its own, for the clients in this directory. Its wallets are those of
// payments/devnet's OwnerWallet, on the chain at -rpc.
package main

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"github.com/events-concierge/concierge/payments/wallet/crossminttest"
)

func main() {
	rpc := flag.String("rpc", "", "URL of the chain's JSON-RPC")
	code := flag.String("code", "payments/devnet/contracts/build/OwnerWallet.bin", "creation code of the wallets, in hex")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *rpc, *code); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve takes the key in CROSSMINT_KEY, until ctx ends.
func serve(ctx context.Context, rpc, code string) error {
	chain, err := ethclient.DialContext(ctx, rpc)
	if err != nil {
		return err
	}
	defer chain.Close()
	file, err := os.ReadFile(code)
	if err != nil {
		return err
	}
	creation, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.Server{Handler: crossminttest.New(crossminttest.Options{Key: os.Getenv("CROSSMINT_KEY"), Chain: chain,
		Creation: creation, Factory: params.DeterministicFactoryAddress, Polls: 1})}
	context.AfterFunc(ctx, func() { server.Close() })
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}
