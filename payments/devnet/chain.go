package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
)

// Options tune a [Chain]; the zero value is good.
type Options struct {
	// Now is the clock that the blocks' times follow. nil means time.Now.
	Now func() time.Time
	// Log takes what the chain has to say: blocks at debug level, what should
	// not happen at error level. nil means nobody listens.
	Log *slog.Logger
	// Lead is how far the newest block may run ahead of the clock. Each block
	// takes at least a second of the chain's time, so a burst of payments one
	// after the other uses it up, and from then on there is one block a second.
	// 0 means 5 seconds; tests that pay often and check no times set more.
	Lead time.Duration
}

// Chain is a running devnet. Its methods are safe for concurrent use.
type Chain struct {
	engine   *engine
	producer *producer
	faucet   *faucet
	handler  http.Handler
	client   *rpc.Client
	stop     context.CancelFunc

	mu     sync.Mutex
	closed bool
	users  sync.WaitGroup  // calls under way, and the producer
	ctx    context.Context // ends when the chain is closed

	closing  sync.Once
	closeErr error
}

// Start begins a chain with a faucet key of its own. Its head is block 1, with
// the time of opts.Now. The caller must Close it.
func Start(opts Options) (*Chain, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Lead == 0 {
		opts.Lead = 5 * time.Second
	}
	now := opts.Now().Unix()
	if now <= 1 {
		return nil, errors.New("start the devnet: the clock is before 1970")
	}
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the faucet's key: %w", err)
	}
	g, err := genesis(crypto.PubkeyToAddress(key.PublicKey), uint64(now)-1)
	if err != nil {
		return nil, err
	}
	e, err := startEngine(g)
	if err != nil {
		return nil, err
	}
	c := &Chain{engine: e, producer: newProducer(e, opts.Log, opts.Lead, opts.Now)}
	if c.faucet, err = newFaucet(key, e, c.producer); err != nil {
		return nil, errors.Join(err, e.close())
	}
	c.handler = c.routes(opts.Log)
	if c.client, err = dial(c.handler); err != nil {
		return nil, errors.Join(err, e.close())
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.users.Go(func() { c.producer.run(c.ctx) })
	return c, nil
}

// Close ends calls under way with an error, waits for them and for the block
// being made, and frees everything. Calls after the first return its error.
func (c *Chain) Close() error {
	c.closing.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.stop()
		c.users.Wait()
		c.client.Close()
		if err := c.engine.close(); err != nil {
			c.closeErr = fmt.Errorf("close the devnet: %w", err)
		}
	})
	return c.closeErr
}

// Handler serves the chain:
//
//	POST /         JSON-RPC 2.0, single or batch: the eth_, net_ and web3_
//	               methods of go-ethereum, except subscriptions
//	POST /faucet   {"address": "0x…", "usdc": "10.00"} → {"address", "usdc", "transaction"}
func (c *Chain) Handler() http.Handler { return c.handler }

// RPC returns a client in this process that goes the way of every other client
// of [Chain.Handler]. It lives as long as the chain; closing it does nothing.
func (c *Chain) RPC() *rpc.Client { return c.client }

func (c *Chain) routes(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", &gateway{node: c.engine.rpc, producer: c.producer, log: log})
	mux.Handle("POST /faucet", faucetHandler{c.faucet, log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, leave, err := c.enter(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer leave()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}

// enter lets a call in, unless the chain is closed; leave must follow. Closing
// the chain ends the context.
func (c *Chain) enter(parent context.Context) (ctx context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errClosed
	}
	c.users.Add(1)
	ctx, cancel := context.WithCancelCause(parent)
	unlink := context.AfterFunc(c.ctx, func() { cancel(errClosed) })
	return ctx, func() {
		unlink()
		cancel(nil)
		c.users.Done()
	}, nil
}
