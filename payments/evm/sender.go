package evm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// Key signs hashes for an ordinary account. Package wallet has them.
type Key interface {
	Address() x402.Address
	SignHash(ctx context.Context, digest common.Hash) (x402.Signature, error)
}

// ErrNotSent is wrapped when the transaction did not leave this process, or the
// node answered that it does not take it. Any other error of Send leaves open
// whether it did.
var ErrNotSent = errors.New("transaction not taken by the node")

func notSent(err error) error { return fmt.Errorf("%w: %w", ErrNotSent, err) }

// Call is a call of a contract.
type Call struct {
	To   x402.Address
	Data []byte
	// Gas is the most that the call may use as a transaction of its own.
	Gas uint64
	// Signer is set if the call is made valid by this account's signature and
	// runs nobody's code but the contract's own. It may then share a transaction
	// with others, unless the account turns out to have code, which would be
	// asked about the signature and could use up the gas of all.
	Signer x402.Address
	// Fixed says that it gets all its gas. It seems to need less than it does,
	// for it swallows what fails for want of gas.
	Fixed bool
}

// Limits of one transaction.
const (
	maxTxGas = 1 << 24 // EIP-7825
	maxBatch = 50      // Sends that share one
)

// turnTimeout bounds how long others wait for a transaction to be prepared, and
// to be submitted.
const turnTimeout = 30 * time.Second

// SenderOptions tune a [Sender]; the zero value is good for an account that
// nobody else sends for, and that is forgotten with the process.
type SenderOptions struct {
	// Dir is a folder for the account's outbox, which survives a restart and
	// which all processes share that send for it from this machine. Empty: in
	// memory.
	Dir string
	// MaxGasPrice is the most to pay for a unit of gas, in wei. nil: no limit.
	MaxGasPrice *big.Int
	// Patience is how long a transaction may wait for its block before it is
	// replaced. 0 means 20 s.
	Patience time.Duration
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means nobody listens
}

// Sender puts transactions of one account on the chain, one nonce at a time.
// Nobody may send for that account from another machine while it does.
//
// Sends that come while another one is on its way to the node go out together,
// by Multicall3, as far as their calls allow it. Somebody must call
// [Sender.Run] or [Sender.Tend] for transactions that get stuck.
type Sender struct {
	client    *Client
	key       Key
	opts      SenderOptions
	multicall abi.ABI

	mu    sync.Mutex
	queue []*request

	turn   chan struct{} // holds a token while somebody sends; guards the rest
	outbox *outbox
	synced bool      // the outbox knows all that the node does
	asked  time.Time // when the node was last asked
	market market    // what gas costs,
	priced time.Time // and when it did
	lone   bool      // the last turn was that of a request by itself
}

// NewSender returns the Sender of key's account.
func NewSender(client *Client, key Key, opts SenderOptions) *Sender {
	if opts.Patience == 0 {
		opts.Patience = 20 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{client: client, key: key, opts: opts, multicall: newMulticall(), turn: make(chan struct{}, 1),
		outbox: newOutbox(opts.Dir, client, key.Address(), opts.Log)}
}

// Address returns the account that pays for gas.
func (s *Sender) Address() x402.Address { return s.key.Address() }

// request is a Send that waits for its transaction.
type request struct {
	ctx   context.Context
	calls []Call
	id    common.Hash // the same for the same calls
	gas   uint64      // of all calls
	alone bool        // shares no transaction
	done  chan struct{}
	hash  common.Hash // readable, with err, once done is closed
	err   error
}

func newRequest(ctx context.Context, calls []Call) *request {
	r := &request{ctx: ctx, calls: calls, alone: len(calls) != 1 || calls[0].Signer.IsZero(), done: make(chan struct{})}
	var all []byte
	for _, c := range calls {
		all = append(append(all, c.To[:]...), crypto.Keccak256(c.Data)...)
		r.gas += min(c.Gas, maxTxGas+1) // does not overflow
	}
	r.id = crypto.Keccak256Hash(all)
	return r
}

func (r *request) finish(hash common.Hash, err error) {
	r.hash, r.err = hash, err
	close(r.done)
}

// Send signs and submits calls, of which there must be at least one, and
// returns the hash of their transaction at once; it does not wait for a block.
// Several calls are made in their order in one transaction of their own: the
// last must succeed, those before it may fail. Calls that are on their way
// already are not sent again; the hash of their transaction is returned.
//
// Errors: [ErrNotSent], with [ErrReverted] if a contract would refuse the
// calls. With any other error the transaction may be on its way all the same;
// its hash is then given too.
//
// A transaction that gets stuck is replaced by another with a higher fee, and
// another hash. Who waits for the first in vain must ask the chain about what
// the calls were to do ([Client.Authorization]) before calling it undone.
func (s *Sender) Send(ctx context.Context, calls ...Call) (common.Hash, error) {
	r := newRequest(ctx, calls)
	if len(calls) == 0 {
		return common.Hash{}, notSent(errors.New("no calls"))
	}
	if gas := r.gas + overhead(len(calls)); gas > maxTxGas {
		return common.Hash{}, notSent(fmt.Errorf("the calls' gas exceeds what a transaction may have, %d", maxTxGas))
	}
	s.enqueue(r)
	for {
		select {
		case <-r.done:
			return r.hash, r.err
		default:
		}
		select {
		case <-r.done:
			return r.hash, r.err
		case s.turn <- struct{}{}: // others may profit from it, and r come later
			s.serve(ctx)
			<-s.turn
		case <-ctx.Done():
			if s.withdraw(r) {
				return common.Hash{}, notSent(ctx.Err())
			}
			<-r.done // it is on its way
			return r.hash, r.err
		}
	}
}

func (s *Sender) enqueue(r ...*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, r...)
}

// withdraw reports whether r was still waiting.
func (s *Sender) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, r)
	if i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	return i >= 0
}

// take returns those whose turn it is: all that can share a transaction, or one
// that can't. The two kinds alternate, so that neither waits for the other.
func (s *Sender) take() (batch []*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = slices.DeleteFunc(s.queue, func(r *request) bool {
		left := r.ctx.Err() != nil
		if left {
			r.finish(common.Hash{}, notSent(r.ctx.Err()))
		}
		return left
	})
	if len(s.queue) == 0 {
		return nil
	}
	first := s.queue[0]
	if other := slices.IndexFunc(s.queue, func(r *request) bool { return r.alone != s.lone }); other >= 0 {
		first = s.queue[other]
	}
	s.lone = first.alone
	gas := uint64(0)
	s.queue = slices.DeleteFunc(s.queue, func(r *request) bool {
		cost := r.gas + overhead(1)
		fits := r == first || !r.alone && !first.alone && len(batch) < maxBatch && gas+cost <= maxTxGas
		if fits {
			batch = append(batch, r)
			gas += cost
		}
		return fits
	})
	return batch
}

// takeAll empties the queue.
func (s *Sender) takeAll() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.queue
	s.queue = nil
	return all
}

// serve has its turn: it submits one transaction, of whoever is waiting.
func (s *Sender) serve(ctx context.Context) {
	end, err := s.begin(ctx)
	if ctx.Err() != nil {
		if err == nil {
			end()
		}
		return // the next one in line will serve
	}
	if err != nil {
		// The others would be told the same, each after as long a time.
		finish(s.takeAll(), common.Hash{}, notSent(err))
		return
	}
	defer end()
	// It goes on when ctx ends, for the sake of the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTimeout)
	defer cancel()
	batch := s.unsent(ctx, s.take()) // as late as can be: meanwhile more have come
	if len(batch) > 1 {
		batch = s.judge(ctx, batch)
	}
	if len(batch) > 0 {
		hash, err := s.submit(ctx, batch)
		finish(batch, hash, err)
	}
}

func finish(batch []*request, hash common.Hash, err error) {
	for _, r := range batch {
		r.finish(hash, err)
	}
}
