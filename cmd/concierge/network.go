package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"
	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/metrics"
)

// networkFlags say which chain is paid on, and how it is reached.
type networkFlags struct {
	name          string
	rpc           string
	facilitators  []string
	confirmations uint64
	gasKeystore   string
	factories     addresses
	maxGasPrice   gwei
	data          string // where the gas account's outbox is kept
	secrets       *credentials
	metrics       *metrics.Metrics // nil: nobody counts
	newGas        bool             // an account made up for it pays for gas, whatever the environment says
}

// Names of --network.
const (
	onDevnet      = "devnet"
	onBaseSepolia = "base-sepolia"
	onBase        = "base"
)

// Environment variables that hold secrets, which are never flags.
const (
	envGasKey        = "CONCIERGE_GAS_KEY"
	envGasPassphrase = "CONCIERGE_GAS_PASSPHRASE"
)

// tendEvery is the pause between two looks at transactions that wait for a
// block.
const tendEvery = 5 * time.Second

// addChain adds the flags for reading a chain.
func (n *networkFlags) addChain(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.name, "network", onDevnet, "devnet, base-sepolia or base")
	cmd.Flags().StringVar(&n.rpc, "rpc", "", "URL of a node's JSON-RPC (default: the network's public one; devnet: embedded)")
}

// addSettling adds the flags for settling on it, too.
func (n *networkFlags) addSettling(cmd *cobra.Command) {
	n.addChain(cmd)
	cmd.Flags().StringSliceVar(&n.facilitators, "facilitator", []string{local}, "who settles payments; local: this process, with its own gas key; or URLs of x402 facilitators, in the order in which they are asked")
	n.addGas(cmd)
}

// addGas adds the flags for an account that puts transactions on the chain.
func (n *networkFlags) addGas(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&n.confirmations, "confirmations", 1, "blocks that a payment must have")
	cmd.Flags().Var(&n.factories, "wallet-factory", "address of a factory that may deploy a payer's smart wallet, at the cost of the gas account; repeat it or separate by commas (those of well-known wallets may anyway)")
	cmd.Flags().Var(&n.maxGasPrice, "max-gas-price", "most to pay for a unit of gas, in gwei; above it nothing is settled (default: base 2, base-sepolia 20, devnet 1000)")
	cmd.Flags().StringVar(&n.gasKeystore, "gas-keystore", "", "keystore file of the account that pays for gas; its passphrase is in "+envGasPassphrase+" (or a raw key in "+envGasKey+")")
}

func (n *networkFlags) network() (x402.Network, error) {
	switch n.name {
	case onDevnet, onBaseSepolia:
		return x402.BaseSepolia, nil
	case onBase:
		return x402.Base, nil
	}
	return "", misuse("--network %q: want devnet, base-sepolia or base", n.name)
}

// ceiling is the most to pay for a unit of gas, in wei.
func (n *networkFlags) ceiling() *big.Int {
	switch {
	case n.maxGasPrice.wei != nil:
		return n.maxGasPrice.wei
	case n.name == onBase:
		return big.NewInt(2 * params.GWei)
	case n.name == onBaseSepolia:
		return big.NewInt(20 * params.GWei)
	default:
		return big.NewInt(1000 * params.GWei)
	}
}

func (n *networkFlags) endpoint() string {
	switch {
	case n.rpc != "":
		return n.rpc
	case n.name == onBase:
		return "https://mainnet.base.org"
	default:
		return "https://sepolia.base.org"
	}
}

// settling is a network on which payments are settled, by this process or by
// others.
type settling struct {
	network     x402.Network
	asset       x402.Address
	domain      x402.Domain
	client      *evm.Client
	facilitator payments.Facilitator
	gas         x402.Address      // who pays for gas, if this process settles
	pool        *facilitator.Pool // if others do
	stop        func()            // ends what looks after the gas account or the pool
	chain       *devnet.Chain     // if it is embedded
}

// payments returns the network's side of a Cashier.
func (n *networkFlags) payments(f payments.Facilitator, c payments.Chain) (payments.Config, error) {
	network, err := n.network()
	asset, domain, _ := x402.USDC(network)
	return payments.Config{Network: network, Asset: asset, Domain: domain, Facilitator: f, Chain: c}, err
}

// balance returns what an address has of the token that is paid with.
func (s *settling) balance(ctx context.Context, of x402.Address) (x402.Amount, error) {
	n, err := s.client.Balance(ctx, s.asset, of)
	if err != nil {
		return 0, err
	}
	return n.Amount()
}

func (s *settling) close() error {
	if s.stop != nil {
		s.stop()
	}
	s.client.Close()
	if s.chain != nil {
		return s.chain.Close()
	}
	return nil
}

// valid finds what is wrong with the flags without asking anybody.
func (n *networkFlags) valid() error {
	if _, err := n.network(); err != nil {
		return err
	}
	if n.remote() {
		if n.name == onDevnet && n.rpc == "" {
			return misuse("--facilitator URL needs --rpc: the node of the devnet that it settles on")
		}
		_, err := n.clients()
		return err
	}
	if n.name != onDevnet && !n.ownGasKey() {
		return misuse("settling on %s needs an account with ETH for gas: set %s, or --gas-keystore and %s (or store the secrets %s, %s)", n.name, envGasKey, envGasPassphrase, secretGasKey, secretGasPassphrase)
	}
	return nil
}

func (n *networkFlags) ownGasKey() bool { return n.gasKeystore != "" || n.secrets.has(secretGasKey) }

// open connects to the chain, checks that it is the right one with the right
// token, and makes the facilitators or the gas account ready. It fails closed.
func (n *networkFlags) open(ctx context.Context, log *slog.Logger) (_ *settling, err error) {
	if err := n.valid(); err != nil {
		return nil, err
	}
	s := &settling{}
	s.network, _ = n.network()
	s.asset, s.domain, _ = x402.USDC(s.network)
	defer func() {
		if err != nil && s.client != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if n.name == onDevnet && n.rpc == "" {
		if s.chain, err = devnet.Start(devnet.Options{Log: log}); err != nil {
			return nil, err
		}
		if s.client, err = evm.NewClient(ctx, s.chain.RPC(), n.options(10*time.Millisecond)); err != nil {
			return nil, errors.Join(err, s.chain.Close())
		}
	} else if s.client, err = evm.Dial(ctx, n.endpoint(), n.options(50*time.Millisecond)); err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if n.remote() {
		return s, n.openPool(ctx, s, log)
	}
	gas, err := n.gasKey(ctx, s)
	if err == nil {
		err = n.refuseTestAccount(gas.Address())
	}
	if err != nil {
		return nil, err
	}
	sender, err := n.sender(s, gas, log)
	if err != nil {
		return nil, err
	}
	s.gas = gas.Address()
	s.facilitator = facilitator.Observed(payments.NewLocal(s.client, sender, []x402.Address{s.asset}, time.Now, log), local, n.metrics.Asked)
	s.stop = tend(ctx, func(ctx context.Context) { sender.Run(ctx, tendEvery) })
	return s, nil
}

// openPool has others settle, and keeps up with what they support.
func (n *networkFlags) openPool(ctx context.Context, s *settling, log *slog.Logger) (err error) {
	if s.pool, err = n.pool(ctx, log); err != nil {
		return err
	}
	s.facilitator, s.stop = s.pool, tend(ctx, s.pool.Run)
	return nil
}

// sender returns who submits with the gas key. A key made up for this process
// leaves nothing behind.
func (n *networkFlags) sender(s *settling, gas evm.Key, log *slog.Logger) (*evm.Sender, error) {
	opts := evm.SenderOptions{MaxGasPrice: n.ceiling(), Log: log}
	if n.ownGasKey() && s.chain == nil && n.data != "" {
		opts.Dir = n.data
		if err := os.MkdirAll(n.data, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	return evm.NewSender(s.client, gas, opts), nil
}

// tend runs what looks after something until stop, whatever becomes of ctx.
func tend(ctx context.Context, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// options of the chain's client; poll is for the devnet, where blocks come at
// once and none is ever undone.
func (n *networkFlags) options(poll time.Duration) evm.Options {
	o := evm.Options{Confirmations: n.confirmations, Factories: n.walletFactories()}
	if n.name == onDevnet {
		o.Poll, o.Finality = poll, 1
	}
	return o
}

// walletFactories may be called to deploy a payer's wallet. The one that devnet
// adds deploys anything.
func (n *networkFlags) walletFactories() []x402.Address {
	all := append(evm.WalletFactories(), n.factories...)
	if n.name == onDevnet {
		all = append(all, x402.Address(devnet.DeterministicFactory()))
	}
	return all
}

// check refuses a chain or a token that is not what signatures will be made for.
func (s *settling) check(ctx context.Context) error {
	if got := x402.EVM(s.client.ChainID()); got != s.network {
		return fmt.Errorf("the node at --rpc serves %s, not %s", got, s.network)
	}
	domain := evm.Domain{Domain: s.domain, ChainID: s.client.ChainID(), Token: s.asset}
	got, err := s.client.DomainSeparator(ctx, s.asset)
	if err != nil {
		return err
	}
	if got != domain.Separator() {
		return fmt.Errorf("the token at %s signs in another EIP-712 domain than USDC on %s", s.asset, s.network)
	}
	return nil
}

// gasKey returns the account that pays for gas. On devnet it may be made up, and
// is funded by the faucet if it has nothing.
func (n *networkFlags) gasKey(ctx context.Context, s *settling) (key evm.Key, err error) {
	if n.gasKeystore != "" {
		key, err = wallet.Open(n.gasKeystore, n.secrets.get(secretGasPassphrase).Reveal())
	} else if key, err = wallet.FromHex(envGasKey, n.secrets.get(secretGasKey).Reveal()); n.newGas || errors.Is(err, wallet.ErrNoWallet) {
		key, err = wallet.New(rand.Reader)
	}
	switch {
	case err != nil || n.name != onDevnet:
		return key, err
	case s.chain != nil:
		_, err = s.chain.Fund(ctx, common.Address(key.Address()), 0)
		return key, err
	}
	if wei, err := s.client.GasBalance(ctx, key.Address()); err != nil || wei.Sign() > 0 {
		return key, err
	}
	return key, faucet(ctx, n.rpc, key.Address(), "0.01") // it is the ETH beside that counts
}

// faucet asks the faucet of a running devnet for USDC and gas money.
func faucet(ctx context.Context, rpc string, to x402.Address, usdc string) error {
	body, err := json.Marshal(map[string]string{"address": to.String(), "usdc": usdc})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(rpc, "/")+"/faucet", bytes.NewReader(body))
	if err != nil {
		return errors.New("--rpc is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.New("the devnet's faucet can't be reached; is 'concierge devnet' running at --rpc?")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the devnet's faucet answers %s", resp.Status)
	}
	return nil
}
