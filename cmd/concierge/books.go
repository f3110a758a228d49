package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
)

// Files in a Guest's folder.
const (
	walletFile = "guest-wallet.json"
	policyFile = "guest-policy.toml"
	purseFile  = "guest.db"
)

// file returns the path of a file in the Guest's folder.
func (g *guestFlags) file(name string) (string, error) {
	if g.home != "" {
		return filepath.Join(g.home, name), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", misuse("--home is missing, and there is no configuration directory to use instead: %v", err)
	}
	return filepath.Join(dir, "concierge", name), nil
}

// policies is what the person's file allows, and --max-price.
func (g *guestFlags) policies() (guest.PolicyFile, error) {
	network, err := g.network.network()
	if err != nil {
		return guest.PolicyFile{}, err
	}
	path, err := g.file(policyFile)
	return guest.PolicyFile{Path: path, Network: network, MaxPrice: g.maxPrice.amount}, err
}

func (g *guestFlags) purse(ctx context.Context) (*store.Purse, error) {
	path, err := g.file(purseFile)
	if err != nil {
		return nil, err
	}
	return store.OpenPurse(ctx, path, store.Options{})
}

// lateChain is a chain that is connected to when it is first asked. It is not
// safe for concurrent use with close.
type lateChain struct {
	flags *networkFlags

	mu     sync.Mutex
	client *evm.Client
}

// chain returns how to ask the chain, or nil where the chain is in another
// process that was not named.
func (g *guestFlags) chain() *lateChain {
	if g.network.name == onDevnet && g.network.rpc == "" {
		return nil
	}
	return &lateChain{flags: &g.network}
}

func (c *lateChain) connect(ctx context.Context) (*evm.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	client, err := evm.Dial(ctx, c.flags.endpoint(), evm.Options{})
	if err != nil {
		return nil, err
	}
	c.client = client
	return client, nil
}

// on is connect, for questions about a network.
func (c *lateChain) on(ctx context.Context, n x402.Network) (*evm.Client, error) {
	client, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	if served := x402.EVM(client.ChainID()); served != n {
		return nil, fmt.Errorf("the node at --rpc serves %s, not %s", served, n)
	}
	return client, nil
}

// Balance implements [guest.Chain].
func (c *lateChain) Balance(ctx context.Context, n x402.Network, asset, owner x402.Address) (x402.Amount, error) {
	client, err := c.on(ctx, n)
	if err != nil {
		return 0, err
	}
	balance, err := client.Balance(ctx, asset, owner)
	if err != nil {
		return 0, err
	}
	return balance.Amount()
}

// Used implements [guest.Chain].
func (c *lateChain) Used(ctx context.Context, n x402.Network, asset, payer x402.Address, nonce x402.Bytes32, after time.Time) (bool, error) {
	client, err := c.on(ctx, n)
	if err != nil {
		return false, err
	}
	head, err := client.Head(ctx)
	if err != nil {
		return false, err
	}
	if !head.Time.After(after) {
		return false, fmt.Errorf("the chain has no block later than %s yet", after.UTC().Format(time.RFC3339))
	}
	return client.AuthorizationUsed(ctx, asset, payer, nonce)
}

func (c *lateChain) close() {
	if c != nil && c.client != nil {
		c.client.Close()
	}
}
