package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/server/guest/outgoing"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// Files of the agent in a data directory.
const (
	agentFile      = "agent.db"
	agentPurseFile = "agent-purse.db"
)

// Environment variables about the language model, named as its own clients do.
const (
	envModelKey = "OPENAI_API_KEY"
	envModelURL = "OPENAI_BASE_URL"
	envModel    = "OPENAI_MODEL"
)

// playMoney is what a visitor's wallet is given on devnet, while it has none.
const playMoney = 10 * x402.USD

// explorers are where transactions are seen, by networks.
var explorers = map[string]string{onBase: "https://basescan.org/tx/", onBaseSepolia: "https://sepolia.basescan.org/tx/"}

// agentFlags are about the agent that people talk to at /agent.
type agentFlags struct {
	off       bool
	maxPrice  usd
	perDay    usd
	tokensAnH int
	allow     blocks
	secrets   *credentials
}

func (a *agentFlags) add(cmd *cobra.Command) {
	a.maxPrice, a.perDay = usd(guest.DefaultMaxPrice), usd(guest.DefaultPerDay)
	cmd.Flags().BoolVar(&a.off, "no-agent", false, "do not serve the agent at /agent")
	cmd.Flags().Var(&a.maxPrice, "agent-max-price", "the most that a visitor of the agent may approve for one booking, in USD")
	cmd.Flags().Var(&a.perDay, "agent-per-day", "the most that one may spend in 24 hours, in USD")
	cmd.Flags().IntVar(&a.tokensAnH, "agent-tokens", chat.DefaultTokensAnHour, "tokens an hour that all conversations together may use of the language model in "+envModelURL+", for which "+envModelKey+" pays; 0: any number")
	cmd.Flags().Var(&a.allow, "guest-allow", "an address, or a block of them such as 10.0.0.0/8, at which the agent may reach Hosts although it is not public; repeat it or separate by commas. This server's own Hosts it always reaches")
}

// policy is what one visitor may spend; the agent asks them about each payment.
func (a *agentFlags) policy(n x402.Network) guest.Policy {
	return guest.Policy{Network: n, MaxPrice: x402.Amount(a.maxPrice), PerDay: (*x402.Amount)(&a.perDay)}
}

// model is the language model of the environment, or nil.
func (a *agentFlags) model() (*chat.Model, error) {
	key := a.secrets.get(secretModelKey).Reveal()
	if key == "" {
		return nil, nil
	}
	address := cmp.Or(os.Getenv(envModelURL), chat.DefaultModelURL)
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, misuse("%s: want a URL such as %s", envModelURL, chat.DefaultModelURL)
	}
	// It may be on this machine: whoever runs the server has named it. It goes
	// nowhere else, for the key goes with it.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &chat.Model{URL: address, Key: key, Name: cmp.Or(os.Getenv(envModel), chat.DefaultModel), TokensAnHour: a.tokensAnH, Client: client}, nil
}

// open opens the agent of a data directory. done closes its files, after the
// server has closed it.
func (a *agentFlags) open(ctx context.Context, o *serveOptions, side *settling, hosts *host.Hosts, way http.RoundTripper, log *slog.Logger) (_ *chat.Agent, done func() error, err error) {
	model, err := a.model()
	if err != nil {
		return nil, nil, err
	}
	chats, err := store.OpenChats(ctx, filepath.Join(o.hosts.data, agentFile), store.Options{Log: log})
	if err != nil {
		return nil, nil, err
	}
	purse, err := store.OpenPurse(ctx, filepath.Join(o.hosts.data, agentPurseFile), store.Options{Log: log})
	if err != nil {
		return nil, nil, errors.Join(err, chats.Close())
	}
	c := chat.Config{Chats: chats, Purse: purse, Policy: a.policy(side.network), Chain: &lateChain{flags: &o.network, client: side.client},
		Passphrase: hosts.VisitorPassphrase, Transport: way, Model: model, Version: versionName(), Log: log, Explorer: explorers[o.network.name]}
	if side.chain != nil {
		c.Explorer = "/devnet/tx/"
	}
	if o.network.name == onDevnet {
		c.Fund = func(ctx context.Context, to x402.Address) error { return side.fund(ctx, o.network.rpc, to) }
	}
	return chat.New(c), func() error { return errors.Join(chats.Close(), purse.Close()) }, nil
}

// fund gives play money to a wallet that has none.
func (s *settling) fund(ctx context.Context, rpc string, to x402.Address) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if has, err := s.client.Balance(ctx, s.asset, to); err != nil || has != (x402.Uint256{}) {
		return err
	}
	if s.chain == nil {
		return faucet(ctx, rpc, to, playMoney.USD())
	}
	_, err := s.chain.Fund(ctx, common.Address(to), playMoney)
	return err
}

// namesOf are the hosts in the URLs under which a server is reached.
func namesOf(l net.Listener, public *url.URL, domains ...string) []string {
	at := l.Addr().String()
	names := append([]string{at}, domains...)
	if host, port, err := net.SplitHostPort(at); err == nil {
		if ip := net.ParseIP(host); ip.IsLoopback() || ip.IsUnspecified() {
			names = append(names, "localhost:"+port, "127.0.0.1:"+port, "[::1]:"+port)
		}
	}
	if public != nil {
		names = append(names, public.Host, strings.TrimSuffix(strings.TrimSuffix(public.Host, ":443"), ":80"))
	}
	return names
}

// ownWay is how the agent reaches Hosts: those of this server without the network,
// others at public addresses and where the operator allows it.
func (o *serveOptions) ownWay(l net.Listener, public *url.URL, domains []string) *server.Own {
	return &server.Own{Next: outgoing.New(outgoing.Options{Allow: o.agent.allow}), Names: namesOf(l, public, domains...)}
}

// blocks is a flag for any number of addresses and blocks of them.
type blocks []netip.Prefix

func (b *blocks) String() string {
	var all []string
	for _, p := range *b {
		all = append(all, p.String())
	}
	return strings.Join(all, ",")
}

func (b *blocks) Type() string { return "cidr" }

func (b *blocks) Set(s string) error {
	for written := range strings.SplitSeq(s, ",") {
		p, err := outgoing.ParseAllow(strings.TrimSpace(written))
		if err != nil {
			return err
		}
		*b = append(*b, p)
	}
	return nil
}
