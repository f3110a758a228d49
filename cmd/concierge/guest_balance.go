package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// balanceTimeout is how long the chain is asked for a balance.
const balanceTimeout = 15 * time.Second

// errNoNode means that there is no chain to ask: the devnet is elsewhere.
var errNoNode = errors.New("give the chain's --rpc to see it, such as http://127.0.0.1:8402/devnet")

// show tells a wallet's address, whatever the chain says, and what is in it.
func (g *guestFlags) show(cmd *cobra.Command, address x402.Address) error {
	network, err := g.network.network()
	if err != nil {
		return err
	}
	amount, unknown := g.balance(cmd.Context(), network, address)
	out := cmd.OutOrStdout()
	if g.asJSON {
		answer := map[string]any{"address": address, "network": network}
		switch {
		case unknown == nil:
			answer["amount"], answer["usd"] = amount, amount.USD()
		case !errors.Is(unknown, errNoNode):
			answer["balance_error"] = unknown.Error()
		}
		return printJSON(out, answer)
	}
	fmt.Fprintf(out, "address  %s\nnetwork  %s (%s)\n", address, network, g.network.name)
	switch {
	case unknown == nil:
		fmt.Fprintf(out, "balance  %s USDC\n", amount.USD())
	case errors.Is(unknown, errNoNode):
		fmt.Fprintf(out, "balance  %v\n", unknown)
	default:
		fmt.Fprintf(out, "balance  not known: %v\n", unknown)
	}
	fmt.Fprintf(out, "fund     %s\n\n", g.network.funding())
	return drawQR(out, address.String(), isTerminal(out))
}

// balance asks the chain what is in a wallet. Errors: [errNoNode].
func (g *guestFlags) balance(ctx context.Context, network x402.Network, of x402.Address) (x402.Amount, error) {
	if g.network.name == onDevnet && g.network.rpc == "" {
		return 0, errNoNode
	}
	ctx, cancel := context.WithTimeout(ctx, balanceTimeout)
	defer cancel()
	client, err := evm.Dial(ctx, g.network.endpoint(), evm.Options{})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if got := x402.EVM(client.ChainID()); got != network {
		return 0, fmt.Errorf("the node at --rpc serves %s, not %s", got, network)
	}
	asset, _, _ := x402.USDC(network)
	balance, err := client.Balance(ctx, asset, of)
	if err != nil {
		return 0, err
	}
	return balance.Amount()
}

// funding says how USDC gets into a wallet. It needs no ETH: who settles pays for gas.
func (n *networkFlags) funding() string {
	asset, _, _ := x402.USDC(x402.BaseSepolia)
	switch n.name {
	case onDevnet:
		return "play money: concierge guest wallet --fund --rpc URL, of the devnet or of a server that embeds it"
	case onBaseSepolia:
		return fmt.Sprintf("test money: https://faucet.circle.com sends USDC (%s); choose Base Sepolia", asset)
	}
	asset, _, _ = x402.USDC(x402.Base)
	return fmt.Sprintf("send USDC (%s) on the network Base, and nothing else: other tokens and what comes on other networks can't be spent here", asset)
}
