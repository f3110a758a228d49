package evm_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// sender is one behind a node that may fail.
type sender struct {
	*chain
	*evm.Sender
	node  *node
	clock *clock
	key   evm.Key
}

// clock stands still until it is moved.
type clock struct{ past atomic.Int64 }

func (c *clock) Now() time.Time           { return now.Add(time.Duration(c.past.Load())) }
func (c *clock) advance(by time.Duration) { c.past.Add(int64(by)) }

func faultySender(t *testing.T) sender {
	c := startChain(t, evm.Options{})
	return sender{c, nil, serve(t, c), &clock{}, nil}.again(t)
}

// again returns a sender of another account behind the same node, which works.
func (s sender) again(t *testing.T) sender {
	t.Helper()
	s.node.heal()
	return s.with(s.funded(t, 100), t, evm.SenderOptions{})
}

// with returns a sender of an account behind the node.
func (s sender) with(key evm.Key, t *testing.T, opts evm.SenderOptions) sender {
	t.Helper()
	opts.Now, opts.Log = s.clock.Now, testlog.New(slog.NewTextHandler(t.Output(), nil))
	s.Sender, s.key = evm.NewSender(s.node.dial(t, evm.Options{}), key, opts), key
	return s
}

// tend waits for longer than the sender's patience, and has it look.
func (s sender) tend(t *testing.T) {
	t.Helper()
	s.clock.advance(patience)
	if err := s.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const patience = 20 * time.Second

// try sends a transfer.
func (s sender) try(t *testing.T) (common.Hash, error) {
	t.Helper()
	return s.Send(t.Context(), evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
}

// mined sends a transfer and wants it to be mined with this nonce.
func (s sender) mined(t *testing.T, nonce uint64) {
	t.Helper()
	hash, err := s.try(t)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.sent(t, hash, s.Address()); got != nonce {
		t.Errorf("nonce %d, want %d", got, nonce)
	}
}

const submit = "eth_sendRawTransaction"

// Once the transaction is on its way its fate is unknown, unless the node says
// that it does not take it. To call an unknown one "not sent" would have the
// payer pay twice.
func TestSendUnknown(t *testing.T) {
	shared := faultySender(t)
	for name, answer := range map[string]func(call) []byte{
		"no answer":            func(call) []byte { return nil },
		"not JSON":             func(call) []byte { return []byte("<html>502 Bad Gateway</html>") },
		"HTTP 429":             func(c call) []byte { return c.fail(http.StatusTooManyRequests) },
		"HTTP 502":             func(c call) []byte { return c.fail(http.StatusBadGateway) },
		"internal error":       func(c call) []byte { return c.refuse(-32603, "internal error", nil) },
		"geth's own timeout":   func(c call) []byte { return c.refuse(-32002, "request timed out", nil) },
		"a timeout behind it":  func(c call) []byte { return c.refuse(-32000, "upstream request timeout", nil) },
		"timed out, in words":  func(c call) []byte { return c.refuse(-32000, "Backend timed out", nil) },
		"rate limit":           func(c call) []byte { return c.refuse(-32005, "too many requests", nil) },
		"answer of a provider": func(c call) []byte { return c.refuse(-32015, "gateway timeout", nil) },
	} {
		for what, arrives := range map[string]bool{"arrived": true, "lost": false} {
			t.Run(name+", "+what, func(t *testing.T) {
				s := shared.again(t)
				s.mined(t, 0)
				s.node.on(submit, func(c call) []byte {
					if arrives {
						c.forward()
					}
					return answer(c)
				})
				hash, err := s.try(t)
				if err == nil || errors.Is(err, evm.ErrNotSent) || hash == (common.Hash{}) {
					t.Fatalf("%s, %v", hash, err)
				}
				s.node.heal()
				s.mined(t, 2)
				if got := s.sent(t, hash, s.Address()); got != 1 { // also if it had to be submitted again
					t.Errorf("nonce %d, want 1", got)
				}
				s.mined(t, 3)
			})
		}
	}
}

func TestSendRefused(t *testing.T) {
	shared := faultySender(t)
	for name, test := range map[string]struct {
		code    int
		message string
	}{
		"geth":              {-32000, "insufficient funds for gas * price + value"},
		"pool":              {-32000, "txpool is full"},
		"reth":              {-32003, "nonce too low"},
		"no such method":    {-32601, "the method eth_sendRawTransaction does not exist/is not available"},
		"not a transaction": {-32602, "invalid params"},
		"another type":      {-32000, "transaction type not supported: unknown transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			s := shared.again(t)
			s.mined(t, 0)
			tries := 0
			s.node.on(submit, func(c call) []byte {
				tries = c.Nth
				return c.refuse(test.code, test.message, nil)
			})
			if hash, err := s.try(t); !errors.Is(err, evm.ErrNotSent) || !strings.Contains(err.Error(), test.message) || hash != (common.Hash{}) {
				t.Errorf("%s, %v", hash, err)
			}
			if tries != 2 {
				t.Errorf("%d tries, want 2: the nonce may have been wrong", tries)
			}
			s.node.heal()
			s.mined(t, 1)
		})
	}
}

// The real words come from a pool that has the transaction and can't mine it
// yet, for an earlier nonce is missing.
func TestSendAlreadyKnown(t *testing.T) {
	s := faultySender(t)
	s.node.on("eth_getTransactionCount", func(c call) []byte { return c.result("0x1") })
	var second string
	s.node.on(submit, func(c call) []byte {
		c.forward()
		again := c.forward()
		second = string(again)
		return again
	})
	hash, err := s.try(t)
	if err != nil || hash == (common.Hash{}) || !strings.Contains(second, "already known") {
		t.Fatalf("%s, %v; the node said %s", hash, err, second)
	}
	s.node.heal()
	s.tend(t) // sees that nothing is known of nonce 0,
	s.tend(t) // and uses it up
	if got := s.sent(t, hash, s.Address()); got != 1 {
		t.Errorf("nonce %d, want 1", got)
	}
	s.mined(t, 2)
}

func TestSendAlreadyKnownInOtherWords(t *testing.T) {
	shared := faultySender(t)
	for _, words := range []string{"already known", "AlreadyKnown", "transaction already imported", "ALREADY KNOWN: 0x12"} {
		t.Run(words, func(t *testing.T) {
			s := shared.again(t)
			s.node.on(submit, func(c call) []byte {
				c.forward()
				return c.refuse(-32000, words, nil)
			})
			hash, err := s.try(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.sent(t, hash, s.Address()); got != 0 {
				t.Errorf("nonce %d", got)
			}
			s.node.heal()
			s.mined(t, 1)
		})
	}
}

// What can't be asked for beforehand means that nothing was sent.
func TestSendWithoutNode(t *testing.T) {
	shared := faultySender(t)
	for _, method := range []string{"eth_maxPriorityFeePerGas", "eth_getBlockByNumber", "eth_getTransactionCount"} {
		t.Run(method, func(t *testing.T) {
			s := shared.again(t)
			s.node.on(submit, func(c call) []byte { t.Error("it was sent"); return c.forward() })
			s.node.on(method, func(call) []byte { return nil })
			if hash, err := s.try(t); !errors.Is(err, evm.ErrNotSent) || hash != (common.Hash{}) {
				t.Errorf("%s, %v", hash, err)
			}
			s.node.heal()
			s.mined(t, 0)
		})
	}
}

// Who gives up while another one sends has sent nothing, and does not wait.
func TestSendCancelledInTheQueue(t *testing.T) {
	const waiting = 10
	s := faultySender(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.node.on(submit, func(c call) []byte {
		if c.Nth == 1 {
			close(arrived)
		} else {
			t.Error("another one was sent")
		}
		<-release
		return c.forward()
	})
	first := make(chan error, 1)
	go func() {
		_, err := s.Send(t.Context(), evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
		first <- err
	}()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range waiting {
		all.Go(func() {
			hash, err := s.Send(ctx, evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
			if !errors.Is(err, evm.ErrNotSent) || !errors.Is(err, context.Canceled) || hash != (common.Hash{}) {
				t.Errorf("%s, %v", hash, err)
			}
		})
	}
	for s.Waiting() < waiting {
		runtime.Gosched()
	}
	cancel()
	all.Wait()
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	s.node.heal()
	s.mined(t, 1)
}

// cancellingKey ends the call while it signs.
type cancellingKey struct {
	evm.Key
	cancel func()
}

func (k cancellingKey) SignHash(ctx context.Context, digest common.Hash) (x402.Signature, error) {
	k.cancel()
	return k.Key.SignHash(ctx, digest)
}

func TestSendCancelledBeforeItLeft(t *testing.T) {
	c := startChain(t, evm.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s := evm.NewSender(c.client, cancellingKey{c.funded(t, 1), cancel}, evm.SenderOptions{})
	if hash, err := s.Send(ctx, evm.Call{To: c.usdc, Data: c.transferCall(), Gas: sendGas}); !errors.Is(err, evm.ErrNotSent) || !errors.Is(err, context.Canceled) || hash != (common.Hash{}) {
		t.Errorf("%s, %v", hash, err)
	}
}

// A caller who leaves while the node has the transaction does not know what
// became of it.
func TestSendCancelledOnItsWay(t *testing.T) {
	s := faultySender(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.node.on(submit, func(c call) []byte {
		answer := c.forward()
		cancel()
		<-ctx.Done()
		return answer[:len(answer)/2]
	})
	hash, err := s.Send(ctx, evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
	if err == nil || errors.Is(err, evm.ErrNotSent) {
		t.Fatalf("%s, %v", hash, err)
	}
	s.node.heal()
	if got := s.sent(t, hash, s.Address()); got != 0 {
		t.Errorf("nonce %d", got)
	}
	s.mined(t, 1)
}
