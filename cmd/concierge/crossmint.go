package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/x402"
)

// Environment variables about Crossmint; the key is a secret, and never a flag.
const (
	envCrossmintKey = "CONCIERGE_CROSSMINT_KEY"
	envCrossmintURL = "CONCIERGE_CROSSMINT_URL"
)

// atCrossmint begins the name of a wallet that is kept there.
const atCrossmint = "crossmint:"

// hostWallets says where the wallets of new Hosts are kept.
type hostWallets struct {
	where   string
	secrets *credentials
}

// Names of --wallets.
const (
	walletsLocal     = "local"
	walletsCrossmint = "crossmint"
)

func (w *hostWallets) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.where, "wallets", walletsLocal, "where new Hosts have their wallets: local (in their own files) or crossmint, with the project's key in "+envCrossmintKey)
}

func (w *hostWallets) valid() error {
	if w.where != walletsLocal && w.where != walletsCrossmint {
		return misuse("--wallets %q: want local or crossmint", w.where)
	}
	return nil
}

// open returns a client if there are to be wallets at Crossmint, or a key for those
// that there are already. The zero value of w looks for neither.
func (w *hostWallets) open(network x402.Network) (c *crossmint.Client, forNew bool, err error) {
	forNew = w.where == walletsCrossmint
	if w.where == "" || !forNew && !w.secrets.has(secretCrossmintKey) {
		return nil, false, nil
	}
	c, err = openCrossmint(network, w.secrets)
	return c, forNew, err
}

// openCrossmint returns a client for the project that the key is of.
func openCrossmint(network x402.Network, c *credentials) (*crossmint.Client, error) {
	key := c.get(secretCrossmintKey).Reveal()
	if key == "" {
		return nil, misuse("wallets at Crossmint need a server-side API key: %s", secretCrossmintKey.howTo())
	}
	client, err := crossmint.New(crossmint.Config{Key: key, Network: network, URL: os.Getenv(envCrossmintURL)})
	if err != nil {
		return nil, misuse("%s, %s: %v", envCrossmintKey, envCrossmintURL, err)
	}
	return client, nil
}
