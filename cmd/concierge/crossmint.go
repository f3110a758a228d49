package main

import (
	"os"

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

// openCrossmint returns a client for the project that the environment's key is of.
func openCrossmint(network x402.Network) (*crossmint.Client, error) {
	key := os.Getenv(envCrossmintKey)
	if key == "" {
		return nil, misuse("wallets at Crossmint need a server-side API key: set %s", envCrossmintKey)
	}
	client, err := crossmint.New(crossmint.Config{Key: key, Network: network, URL: os.Getenv(envCrossmintURL)})
	if err != nil {
		return nil, misuse("%s, %s: %v", envCrossmintKey, envCrossmintURL, err)
	}
	return client, nil
}
