package facilitator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
)

// How long one request may take, unless its context ends sooner.
const (
	supportedTimeout = 5 * time.Second
	verifyTimeout    = 10 * time.Second
	settleTimeout    = 60 * time.Second // many facilitators answer when the transfer is in a block
)

// Client is one remote facilitator. Safe for concurrent use.
type Client struct {
	url        url.URL
	credential atomic.Pointer[Credential] // never nil; it may point to nil
	http       http.Client

	// Observe, if it is there, is told what the facilitator was asked (supported,
	// verify or settle), and what came of it: [Answered], [Declined] or [Broken].
	Observe func(host, operation, outcome string, took time.Duration)
}

// NewClient returns the facilitator at a URL such as
// https://x402.org/facilitator, http or https. A nil credential asks without
// one. No error, here or later, shows more of the URL than its host.
func NewClient(address string, c Credential) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, errors.New("a facilitator's URL begins with http:// or https:// and a host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("facilitator %s: its URL must have no user, query or fragment", u.Host)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	client := &Client{url: *u, http: newHTTP()}
	client.credential.Store(&c)
	return client, nil
}

// Host returns the facilitator's host, with its port if the URL has one.
func (c *Client) Host() string { return c.url.Host }

// Supported asks what the facilitator supports.
func (c *Client) Supported(ctx context.Context) (_ x402.Supported, err error) {
	defer c.observe("supported", time.Now(), func() (bool, error) { return true, err })
	ctx, cancel := context.WithTimeout(ctx, supportedTimeout)
	defer cancel()
	a, err := c.ask(ctx, http.MethodGet, "supported", nil, x402.MaxSupported)
	if err != nil {
		return x402.Supported{}, err
	}
	if a.status != http.StatusOK {
		return x402.Supported{}, c.errorf("supported", "it answers with HTTP status %d", a.status)
	}
	s, err := x402.DecodeSupported(a.body)
	if err != nil {
		return x402.Supported{}, c.errorf("supported", "%w", err)
	}
	return s, nil
}

// Verify implements [payments.Facilitator]. Whatever is not a plain "yes" or a
// "no" with its reason is an error.
func (c *Client) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (answer x402.VerifyResponse, err error) {
	defer c.observe("verify", time.Now(), func() (bool, error) { return answer.IsValid, err })
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	a, err := c.post(ctx, "verify", p, r, x402.MaxVerifyResponse)
	if err != nil {
		return x402.VerifyResponse{}, err
	}
	if !a.aboutPayment() {
		return x402.VerifyResponse{}, c.errorf("verify", "it answers with HTTP status %d", a.status)
	}
	v, err := x402.DecodeVerifyResponse(a.body)
	if err != nil {
		return x402.VerifyResponse{}, c.errorf("verify", "HTTP status %d, %w", a.status, err)
	}
	switch {
	case v.IsValid && a.status != http.StatusOK:
		err = c.errorf("verify", "it says valid with HTTP status %d", a.status)
	case v.IsValid && v.InvalidReason != "":
		err = c.errorf("verify", "it says valid and gives a reason why not")
	case v.IsValid && !names(v.Payer, p):
		err = c.errorf("verify", "it says valid of another payer")
	case !v.IsValid && v.InvalidReason == x402.ReasonUnexpectedVerify, !v.IsValid && a.status >= 500 && !c.isReason(v.InvalidReason):
		err = c.errorf("verify", "it could not find out, HTTP status %d", a.status)
	case !v.IsValid && !c.isReason(v.InvalidReason):
		v.InvalidReason = x402.ReasonPayload // in its own words, which are not passed on
	}
	if err != nil {
		return x402.VerifyResponse{}, err
	}
	v.Payer = p.Payload.Authorization.From.String() // nobody else, even if it said so
	return v, nil
}

// Settle implements [payments.Facilitator]. An error wraps
// [payments.ErrNotSettled] only if the request never left this process.
func (c *Client) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (answer x402.SettleResponse, err error) {
	defer c.observe("settle", time.Now(), func() (bool, error) { return Accepted(answer), err })
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	a, err := c.post(ctx, "settle", p, r, x402.MaxSettleResponse)
	if err != nil {
		if errors.Is(err, errNotSent) {
			err = fmt.Errorf("%w: %w", payments.ErrNotSettled, err)
		}
		return x402.SettleResponse{}, err
	}
	if !a.aboutPayment() {
		return x402.SettleResponse{}, c.errorf("settle", "it answers with HTTP status %d", a.status)
	}
	s, err := x402.DecodeReceipt(a.body)
	if err != nil {
		return x402.SettleResponse{}, c.errorf("settle", "HTTP status %d, %w", a.status, err)
	}
	if err := c.judge(s, a.status, p, r); err != nil {
		return x402.SettleResponse{}, err
	}
	if _, err := x402.ParseBytes32(s.Transaction); err != nil { // it failed without one
		s.Transaction = ""
	}
	s.Payer, s.Network, s.Amount = p.Payload.Authorization.From.String(), r.Network.Name(p.Version), r.Amount.String()
	return s, nil
}

// judge returns an error for an answer to Settle that leaves open what became
// of the payment.
func (c *Client) judge(s x402.SettleResponse, status int, p x402.Payment, r x402.Requirements) error {
	if !s.Success && s.ErrorReason != x402.ReasonSettlementPending {
		if s.ErrorReason == x402.ReasonUnexpectedSettle || !c.isReason(s.ErrorReason) {
			return c.errorf("settle", "it failed, and gives no reason in x402's words")
		}
		return nil
	}
	hash, err := x402.ParseBytes32(s.Transaction)
	switch {
	case s.Success && status != http.StatusOK:
		return c.errorf("settle", "it says settled with HTTP status %d", status)
	case s.Success && s.ErrorReason != "":
		return c.errorf("settle", "it says settled and gives a reason why not")
	case err != nil || hash == x402.Bytes32{}:
		return c.errorf("settle", "it submitted the payment, and does not say in which transaction")
	case s.Network != r.Network.Name(1) && s.Network != r.Network.Name(2):
		return c.errorf("settle", "it settled on another network")
	case !names(s.Payer, p):
		return c.errorf("settle", "it settled for another payer")
	case s.Amount != "" && s.Amount != r.Amount.String():
		return c.errorf("settle", "it settled another amount")
	}
	return nil
}

// names reports whether payer, which a facilitator may leave out, is p's.
func names(payer string, p x402.Payment) bool {
	return payer == "" || strings.EqualFold(payer, p.Payload.Authorization.From.String())
}

// reasonWord is the form of x402's reasons. They go to logs, to payers and into
// the books, so nothing that a facilitator likes to say instead may pass for one.
var reasonWord = regexp.MustCompile(`^[a-z0-9_]{1,80}$`)

func (c *Client) isReason(r x402.Reason) bool {
	credential := *c.credential.Load()
	return reasonWord.MatchString(string(r)) && (credential == nil || !credential.in(string(r)))
}

func (c *Client) post(ctx context.Context, op string, p x402.Payment, r x402.Requirements, limit int) (answer, error) {
	body, err := json.Marshal(x402.FacilitatorRequest{Payment: p, Requirements: r})
	if err != nil {
		return answer{}, c.errorf(op, "%w: %w", errNotSent, err)
	}
	return c.ask(ctx, http.MethodPost, op, body, limit)
}

func (c *Client) errorf(op, format string, args ...any) error {
	return fmt.Errorf("facilitator %s: %s: "+format, append([]any{c.Host(), op}, args...)...)
}
