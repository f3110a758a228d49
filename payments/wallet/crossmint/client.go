// Package crossmint pays from smart wallets that are kept at Crossmint: it speaks
// the part of their REST API (version 2025-06-09) that makes a wallet for an owner
// and has it sign typed data. Nothing here holds a key of a wallet, or looks at a
// chain; who has the API key can spend what is in its wallets.
//
// Start with [New], then [Client.Wallet]. Package crossminttest has the other end
// of the wire for tests.
//
// Source: https://docs.crossmint.com/api-reference/wallets, and the npm package
// @crossmint/wallets-sdk 1.1.0, whose calls these are.
package crossmint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/events-concierge/concierge/payments/x402"
)

// Config is what [New] needs.
type Config struct {
	// Key is a server-side API key with the scopes wallets.create and
	// wallets:signatures.create. It begins with sk_staging_ or sk_production_.
	Key string
	// Network is the chain to pay on. Staging keys are for testnets alone, and
	// production keys for the others.
	Network x402.Network
	// URL is a scheme and a host where the API is. Default: Crossmint's own, for
	// the environment of Key.
	URL string
	// Patience is how long a wallet or a signature is waited for. Default 20 s.
	Patience time.Duration
	// Pause waits between two requests. Default: d, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration) error
	// Transport carries HTTP. Default http.DefaultTransport.
	Transport http.RoundTripper
}

// ErrUnavailable means that Crossmint gave no answer to go by: it can't be reached,
// fails, or takes too long. What was asked for may have been done.
var ErrUnavailable = errors.New("crossmint is not available")

// Client asks for one project's wallets. Safe for concurrent use.
type Client struct {
	Config
	chain string // as the API calls the network
	http  http.Client
}

// New checks the configuration; it asks nobody. No error has the key in it.
func New(c Config) (*Client, error) {
	client := &Client{Config: c}
	if err := client.environment(); err != nil {
		return nil, err
	}
	if err := client.endpoint(); err != nil {
		return nil, err
	}
	if client.Patience == 0 {
		client.Patience = 20 * time.Second
	}
	if client.Pause == nil {
		client.Pause = pause
	}
	client.http = http.Client{Transport: c.Transport,
		// The key is for the host that was named, and nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return client, nil
}

// environment holds the key's environment against the network: play money and real
// money must not be signed for by mistake.
func (c *Client) environment() error {
	origin, network := "", x402.Network("")
	switch {
	case strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the Crossmint key is not one: want visible ASCII characters")
	case strings.HasPrefix(c.Key, "sk_staging_"):
		origin, network, c.chain = "https://staging.crossmint.com", x402.BaseSepolia, "base-sepolia"
	case strings.HasPrefix(c.Key, "sk_production_"):
		origin, network, c.chain = "https://www.crossmint.com", x402.Base, "base"
	default:
		return errors.New("the Crossmint key is not a server-side one: want sk_staging_… or sk_production_…")
	}
	if c.Network != network {
		return fmt.Errorf("the Crossmint key signs on %s, not on %s: staging keys are for testnets, production keys for Base", network, c.Network)
	}
	if c.URL == "" {
		c.URL = origin
	}
	return nil
}

// endpoint refuses a URL to which the key would go in the clear.
func (c *Client) endpoint() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the Crossmint URL is not one: want a scheme and a host, such as https://staging.crossmint.com")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !ip.IsLoopback()) {
		return errors.New("the Crossmint URL is not https, so the key would go there in the clear")
	}
	c.URL = u.Scheme + "://" + u.Host
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once names a request, the same way each time, so that it can be repeated without
// being carried out twice.
func once(parts ...[]byte) string {
	var all []byte
	for _, part := range parts {
		all = append(append(all, part...), 0)
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, all).String()
}
