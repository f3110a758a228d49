package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// Bounds of time.
const (
	skewWarning = 10 * time.Second
	skewFailed  = time.Minute
	headOld     = time.Minute // a block comes every two seconds
)

// gasOfSettling is what one settlement takes at most, and enoughFor how many of them
// an account should have money for, at the highest price that is paid.
const (
	gasOfSettling = 150_000
	enoughFor     = 5
)

// chain looks at the chain, its token, and who has to pay there.
func (d *doctor) chain(ctx context.Context, owing []debt) (all []finding) {
	n := &d.serve.network
	if n.valid() != nil { // which is told already
		if _, err := n.network(); err != nil {
			return nil
		}
	}
	if n.name == onDevnet && n.rpc == "" {
		return []finding{fine("chain", "embedded: it starts and ends with the server, and its money is play money")}
	}
	s := &settling{}
	s.network, _ = n.network()
	s.asset, s.domain, _ = x402.USDC(s.network)
	host := "the node"
	if u, err := url.Parse(n.endpoint()); err == nil && u.Host != "" {
		host = u.Host // the rest often has a key
	}
	var err error
	if s.client, err = evm.Dial(ctx, n.endpoint(), n.options(50*time.Millisecond)); err != nil {
		return []finding{failed("chain", host+" can't be asked: "+err.Error(), "see that the node of --rpc runs and can be reached from here, or name another")}
	}
	defer s.client.Close()
	if got := x402.EVM(s.client.ChainID()); got != s.network {
		return []finding{failed("chain", fmt.Sprintf("%s serves %s, not %s", host, got, s.network), "name a node of "+n.name+" as --rpc, or choose the --network that it is of")}
	}
	all = append(all, d.head(ctx, s, host), s.token(ctx))
	all = append(all, d.gas(ctx, s)...)
	for _, o := range owing {
		all = append(all, s.refund(ctx, o))
	}
	return all
}

// head looks at the newest block, and by it at the clock.
func (d *doctor) head(ctx context.Context, s *settling, host string) finding {
	head, err := s.client.Head(ctx)
	if err != nil {
		return failed("chain", host+": "+err.Error(), "see that the node of --rpc works, or name another")
	}
	age := d.now().Sub(head.Time)
	told := fmt.Sprintf("%s at %s, block %d", s.network, host, head.Number)
	switch {
	case age < -skewFailed:
		return failed("clock", fmt.Sprintf("the newest block is of %s from now", short(-age)), mendClock)
	case age < -skewWarning:
		return warning("clock", fmt.Sprintf("the newest block is of %s from now", short(-age)), mendClock)
	case age > headOld && d.serve.network.name != onDevnet: // whose blocks come when there is something in them
		return warning("chain", fmt.Sprintf("%s is %s old", told, short(age.Truncate(time.Second))), "the node is behind, or this clock is ahead: name another --rpc; "+mendClock)
	}
	return fine("chain", told)
}

const mendClock = "set this machine's clock by NTP (timedatectl set-ntp true): payments have windows of minutes"

// token compares the domain in which payments are signed.
func (s *settling) token(ctx context.Context) finding {
	got, err := s.client.DomainSeparator(ctx, s.asset)
	if err != nil {
		return failed("token", "USDC at "+s.asset.String()+" can't be asked: "+err.Error(), "the node is of another chain, or broken: name another --rpc")
	}
	domain := evm.Domain{Domain: s.domain, ChainID: s.client.ChainID(), Token: s.asset}
	if got != domain.Separator() {
		return failed("token", fmt.Sprintf("the token at %s signs in another EIP-712 domain than %q, version %q", s.asset, s.domain.Name, s.domain.Version),
			"no payment would be taken: this is not the chain that it says it is")
	}
	return fine("token", fmt.Sprintf("USDC at %s, domain %q version %q", s.asset, s.domain.Name, s.domain.Version))
}

// gas looks at the account that pays for gas, if it is this server's.
func (d *doctor) gas(ctx context.Context, s *settling) []finding {
	n := &d.serve.network
	if n.remote() || !n.ownGasKey() {
		return nil // others pay; or it is made up on devnet; or the configuration has failed
	}
	key, err := d.gasKey()
	if err != nil {
		return []finding{failed("gas", "the key can't be opened: "+err.Error(), "see "+envGasKey+", or --gas-keystore and its passphrase in "+envGasPassphrase)}
	}
	wei, err := s.client.GasBalance(ctx, key.Address())
	if err != nil {
		return []finding{failed("gas", err.Error(), "see the chain's line")}
	}
	enough := new(big.Int).Mul(n.ceiling(), big.NewInt(gasOfSettling*enoughFor))
	says := fmt.Sprintf("%s has %s ETH", key.Address(), ether(wei))
	switch {
	case wei.Sign() == 0:
		return []finding{failed("gas", says, "send ETH on "+n.name+" to it: without it nothing is settled")}
	case wei.Cmp(enough) < 0:
		return []finding{warning("gas", says, fmt.Sprintf("send it some: %s ETH are enough for %d settlements at --max-gas-price", ether(enough), enoughFor))}
	}
	return []finding{fine("gas", says)}
}

// ownGas returns the account that was named to pay for gas.
func (n *networkFlags) ownGas() (evm.Key, error) {
	if n.gasKeystore != "" {
		return wallet.Open(n.gasKeystore, n.secrets.get(secretGasPassphrase).Reveal())
	}
	return wallet.FromHex(envGasKey, n.secrets.get(secretGasKey).Reveal())
}

// ether writes an amount of wei, to six decimals.
func ether(wei *big.Int) string {
	return new(big.Rat).SetFrac(wei, big.NewInt(1e18)).FloatString(6)
}

// refund looks whether a wallet has what it owes.
func (s *settling) refund(ctx context.Context, o debt) finding {
	has, err := s.balance(ctx, o.wallet)
	switch {
	case err != nil:
		return failed("refunds", err.Error(), "see the chain's line")
	case has < o.owed:
		return warning("refunds", fmt.Sprintf("the wallet of %s has $%s and owes $%s", o.user, has.USD(), o.owed.USD()), "send USDC to "+o.wallet.String()+"; a running server then pays")
	}
	return fine("refunds", fmt.Sprintf("the wallet of %s has the $%s that it owes", o.user, o.owed.USD()))
}

// facilitators asks those elsewhere whether they settle here, and what time it is there.
func (d *doctor) facilitators(ctx context.Context) (all []finding) {
	n := &d.serve.network
	network, err := n.network()
	if err != nil || !n.remote() {
		return nil
	}
	clients, err := n.clients()
	if err != nil {
		return nil // the configuration has failed
	}
	usable := 0
	for _, c := range clients {
		s, err := c.Supported(ctx)
		switch {
		case err != nil:
			all = append(all, warning("facilitator", err.Error(), "see that it can be reached from here, and its token or key"))
		case !s.Supports(1, network) && !s.Supports(2, network):
			all = append(all, warning("facilitator", fmt.Sprintf("%s does not settle exact payments on %s", c.Host(), network), "name one that does as --facilitator"))
		default:
			usable++
			all = append(all, fine("facilitator", fmt.Sprintf("%s settles on %s", c.Host(), network)))
		}
	}
	for i := range all {
		if usable == 0 { // else another one stands in
			all[i].Status = checkFailed
		}
	}
	for i, c := range clients {
		if f, ok := d.clock(ctx, n.facilitators[i], c.Host()); ok {
			return append(all, f)
		}
	}
	return all
}

// clock compares this clock with that of an HTTP server.
func (d *doctor) clock(ctx context.Context, address, host string) (_ finding, ok bool) {
	then, err := dateAt(ctx, address)
	if err != nil {
		return finding{}, false
	}
	skew := then.Sub(d.now()).Abs().Truncate(time.Second)
	says := fmt.Sprintf("%s off that of %s", skew, host)
	switch {
	case skew > skewFailed:
		return failed("clock", says, mendClock), true
	case skew > skewWarning:
		return warning("clock", says, mendClock), true
	}
	return fine("clock", says), true
}

var errNoDate = errors.New("the answer has no date")
