package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/facilitator"
)

// local as --facilitator is this process, with its own gas key.
const local = "local"

// Environment variables that hold facilitators' secrets, which are never flags.
const (
	envFacilitatorToken = "CONCIERGE_FACILITATOR_TOKEN"
	envCDPKeyID         = "CDP_API_KEY_ID"
	envCDPKeySecret     = "CDP_API_KEY_SECRET"
)

// remote reports whether others settle.
func (n *networkFlags) remote() bool {
	return len(n.facilitators) != 1 || n.facilitators[0] != local
}

// clients returns the remote facilitators that the flags name, with their
// credentials. No URL is shown in an error, for some have a key in them.
func (n *networkFlags) clients() ([]*facilitator.Client, error) {
	tokens, err := n.tokens()
	if err != nil {
		return nil, err
	}
	var clients []*facilitator.Client
	for i, address := range n.facilitators {
		if address == local {
			return nil, misuse("--facilitator local settles in this process, and URLs elsewhere: name the one or the others")
		}
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, misuse("--facilitator, number %d: want local or a URL such as https://x402.org/facilitator", i+1)
		}
		if u.Scheme == "http" && n.name != onDevnet && !loopback(u.Hostname()) {
			return nil, misuse("--facilitator %s: payments may not travel over http://, except on this machine or on devnet", u.Host)
		}
		var credential facilitator.Credential
		switch token := tokens[u.Host]; {
		case u.Hostname() == facilitator.CDPHost:
			if credential, err = n.cdp(); err != nil {
				return nil, misuse("--facilitator %s: %w", u.Host, err)
			}
		case token != "":
			if u.Scheme == "http" && !loopback(u.Hostname()) {
				return nil, misuse("--facilitator %s: its token may not travel over http://", u.Host)
			}
			if credential, err = facilitator.NewBearer(u.Host, token); err != nil {
				return nil, misuse("%s: %w", envFacilitatorToken, err)
			}
		}
		c, err := facilitator.NewClient(address, credential)
		if err != nil {
			return nil, misuse("--facilitator: %w", err)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// tokens returns the bearer tokens by host. With one facilitator the variable
// may be its token; with several it must say whose it is: HOST=TOKEN, and more
// of them after spaces.
func (n *networkFlags) tokens() (map[string]string, error) {
	value := strings.TrimSpace(n.secrets.get(secretFacilitatorToken).Reveal())
	if value == "" {
		return nil, nil
	}
	hosts := map[string]bool{}
	last := ""
	for _, address := range n.facilitators {
		if u, err := url.Parse(address); err == nil && u.Host != "" && u.Hostname() != facilitator.CDPHost {
			hosts[u.Host], last = true, u.Host
		}
	}
	if host, _, named := strings.Cut(value, "="); len(hosts) == 1 && !(named && hosts[host]) {
		return map[string]string{last: value}, nil
	}
	tokens := map[string]string{}
	for _, entry := range strings.Fields(value) {
		host, token, ok := strings.Cut(entry, "=")
		if !ok || !hosts[host] || tokens[host] != "" {
			return nil, misuse("%s must say which facilitator each token is for: HOST=TOKEN, with a host of --facilitator (and its port, if it has one)", envFacilitatorToken)
		}
		tokens[host] = token
	}
	return tokens, nil
}

func (n *networkFlags) cdp() (facilitator.Credential, error) {
	id, secret := n.secrets.get(secretCDPKeyID).Reveal(), n.secrets.get(secretCDPKeySecret).Reveal()
	if id == "" || secret == "" {
		return nil, fmt.Errorf("it wants a key: set %s and %s, or store the secrets %s and %s", envCDPKeyID, envCDPKeySecret, secretCDPKeyID, secretCDPKeySecret)
	}
	return facilitator.NewCDP(id, secret, time.Now, rand.Reader)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// pool asks the remote facilitators what they support. That some don't answer
// now is told, and the server starts all the same; that none of them settles on
// this network is an error.
func (n *networkFlags) pool(ctx context.Context, log *slog.Logger) (*facilitator.Pool, error) {
	clients, err := n.clients()
	if err != nil {
		return nil, err
	}
	network, err := n.network()
	if err != nil {
		return nil, err
	}
	for _, c := range clients {
		c.Observe = n.metrics.Asked
	}
	pool := facilitator.NewPool(network, clients, time.Now, log)
	err = pool.Refresh(ctx)
	if errors.Is(err, facilitator.ErrUnsupported) {
		return nil, err
	}
	if err != nil {
		log.Warn("facilitators out of reach", "err", err)
	}
	return pool, nil
}
