package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

const (
	callTimeout = 70 * time.Second // a Host answers within 45 s, pending if need be
	maxAnswer   = 4 << 20          // bytes of one answer
)

// Config is what a Guest brings along.
type Config struct {
	Policy Policies
	// Purse keeps what was signed for and booked. Required.
	Purse *store.Purse
	// Approver asks the person. Without one a call that needs approval fails, and
	// is made again when there is an answer in the purse.
	Approver Approver
	// Chain is asked about payments whose outcome is not known. Without one they
	// count as spent.
	Chain Chain
	// Progress is told how far the calls of a Host have come, while they wait for
	// it; calls at the same time tell it at the same time. nil: nobody is.
	Progress func(context.Context, Step)
	// Wallet pays. Without one only what is free can be booked.
	Wallet wallet.Signer
	// Version is the program's, told to Hosts.
	Version string
	// Protocol is the newest revision of MCP to speak; empty: the newest that
	// both sides know.
	Protocol string

	Now  func() time.Time // default time.Now
	Rand io.Reader        // for nonces; default crypto/rand.Reader. Read by calls at the same time
	// Pause waits between two tries. Default: d, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration) error
	// Transport carries HTTP. Default http.DefaultTransport; on a server, where
	// strangers say where to connect to, one of package outgoing.
	Transport http.RoundTripper
}

func (c *Config) defaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Pause == nil {
		c.Pause = func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		}
	}
}

// Host is a connection to one Host. Safe for concurrent use.
type Host struct {
	Config
	client  *mcp.Client
	connect func() mcp.Transport
	header  bool // pay by HTTP header, else by `_meta`; see bySpec

	// bySpec says that the Host asks for money as x402's MCP transport has it, and so
	// reads payments from `_meta`, as objects, and nowhere else. Hosts made with
	// Cloudflare's agents take none there, and all others know the header as well.
	bySpec atomic.Bool

	address string         // says which Host it is, in the purse
	dialing chan struct{}  // a place for the one call that connects
	ending  sync.WaitGroup // sessions that broke and are being closed

	mu      sync.Mutex // not held while anything is waited for
	session *mcp.ClientSession
	closed  bool
}

// ErrUnreachable is wrapped when there is no connection to a Host.
var ErrUnreachable = errors.New("the host is out of reach")

var errClosed = errors.New("the connection to the host is closed")

// Dial connects to the Host at a URL over streamable HTTP.
func Dial(ctx context.Context, address string, c Config) (*Host, error) {
	return connected(ctx, newWebHost(address, c))
}

// newWebHost is the Host at a URL, which is connected to when it is needed.
func newWebHost(address string, c Config) *Host {
	c.defaults()
	web := &http.Client{
		Timeout:   callTimeout,
		Transport: &transport{next: c.Transport},
		// A payment goes where it was meant to go, or nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the host redirects elsewhere; use the address it redirects to if you trust it")
		},
	}
	return newHost(c, addressOf(address), true, func() mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: address, HTTPClient: web, DisableStandaloneSSE: true,
			MaxRetries: 1, MaxEventSize: maxAnswer}
	})
}

// Command connects to the Host of an address that is a program speaking MCP on its standard
// input and output. After a lost connection it is started anew.
func Command(ctx context.Context, address string, command func() *exec.Cmd, c Config) (*Host, error) {
	return connected(ctx, newHost(c, address, false, func() mcp.Transport { return &mcp.CommandTransport{Command: command()} }))
}

// Over connects to the Host of an address by whatever transport connect makes,
// such as one in memory, and pays by `_meta`.
func Over(ctx context.Context, address string, connect func() mcp.Transport, c Config) (*Host, error) {
	return connected(ctx, newHost(c, address, false, connect))
}

func newHost(c Config, address string, header bool, connect func() mcp.Transport) *Host {
	c.defaults()
	return &Host{Config: c, address: address, connect: connect, header: header, dialing: make(chan struct{}, 1),
		client: mcp.NewClient(&mcp.Implementation{Name: "events-concierge-guest", Version: c.Version},
			&mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{},
				// Without it a Host may have one call sent to it ten times.
				MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true}})}
}

func connected(ctx context.Context, h *Host) (*Host, error) {
	if _, err := h.live(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// addressOf is what a Host at a URL is known by: a query or a spelling does not
// make it another.
func addressOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return raw // which can't be dialled
	}
	clean := url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host), Path: strings.TrimSuffix(u.Path, "/")}
	return clean.String()
}

// Address says which Host it is.
func (h *Host) Address() string { return h.address }

// live returns the session, connecting if there is none. One call connects, and
// the others wait for it no longer than they want to.
func (h *Host) live(ctx context.Context) (*mcp.ClientSession, error) {
	if session, err := h.current(); session != nil || err != nil {
		return session, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	if session, err := h.current(); session != nil || err != nil {
		return session, err
	}
	session, err := h.client.Connect(ctx, h.connect(), &mcp.ClientSessionOptions{ProtocolVersion: h.Protocol})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, &strangersError{"connect", err})
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.session = session
	}
	h.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosed, session.Close())
	}
	return session, nil
}

func (h *Host) current() (*mcp.ClientSession, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	return h.session, nil
}

// drop forgets a session that broke; the next call connects anew. Other calls
// may still wait for their answers over it, and nobody should wait for them.
func (h *Host) drop(broken *mcp.ClientSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.session == broken {
		h.session = nil
		h.ending.Go(func() { _ = broken.Close() }) // it is broken already
	}
}

// Server returns the name of the other side and the revision of MCP that is
// spoken with it.
func (h *Host) Server(ctx context.Context) (name, protocol string, err error) {
	session, err := h.live(ctx)
	if err != nil {
		return "", "", err
	}
	init := session.InitializeResult()
	if init.ServerInfo != nil {
		name = init.ServerInfo.Name
	}
	return name, init.ProtocolVersion, nil
}

// Close ends the connection, after the calls that are under way.
func (h *Host) Close() error {
	h.mu.Lock()
	session := h.session
	h.session, h.closed = nil, true
	h.mu.Unlock()
	var err error
	if session != nil {
		err = session.Close()
	}
	h.ending.Wait()
	return err
}

// call calls a tool, with a payment if there is one. An error means that there
// was no answer: with a payment, nobody knows whether it was taken.
func (h *Host) call(ctx context.Context, tool string, args any, payment *x402.Payment) (Answer, error) {
	answer, err := h.callOnce(ctx, tool, args, payment)
	if errors.Is(err, mcp.ErrConnectionClosed) {
		// The session had ended before, so nothing was sent.
		answer, err = h.callOnce(ctx, tool, args, payment)
	}
	if err != nil {
		return Answer{}, &strangersError{"call " + tool, err}
	}
	return answer, nil
}

func (h *Host) callOnce(caller context.Context, tool string, args any, payment *x402.Payment) (Answer, error) {
	session, err := h.live(caller)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(withRequests(caller), callTimeout)
	defer cancel()
	params := &mcp.CallToolParams{Name: tool, Arguments: args}
	byHeader := payment != nil && h.header && !h.bySpec.Load()
	if byHeader {
		if ctx, err = withPayment(ctx, payment); err != nil {
			return Answer{}, err
		}
	} else if payment != nil {
		params.Meta = mcp.Meta{x402.MetaPayment: payment}
	}
	result, err := session.CallTool(ctx, params)
	if err != nil {
		// A caller who gives up, and a Host that refuses, leave the session whole;
		// others may be calling over it.
		var refused *jsonrpc.Error
		if caller.Err() == nil && !errors.As(err, &refused) {
			h.drop(session)
		}
		if refused == nil || refused.Code != http.StatusPaymentRequired {
			return Answer{}, err
		}
		// So do servers of mcp-go-x402 ask for money.
		result = &mcp.CallToolResult{IsError: true, StructuredContent: refused.Data,
			Content: []mcp.Content{&mcp.TextContent{Text: refused.Message}}}
	}
	if result.NeedsInput() {
		return Answer{}, errors.New("the host asks questions, which a guest does not answer")
	}
	answer, err := answerOf(result)
	if asked, _ := answer.requested(); asked != nil {
		bySpec := answer.Structured != nil && answer.Meta[x402.MetaError] == nil
		h.bySpec.Store(bySpec)
		if byHeader && bySpec { // a payment of an earlier process went where this Host does not look
			return h.callOnce(caller, tool, args, payment)
		}
	}
	return answer, err
}
