package evm_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

const settleGas = 150_000

// authorized is a call that settles an authorization.
func (c *chain) authorized(tb testing.TB, payer *account, a x402.Authorization) evm.Call {
	tb.Helper()
	return evm.Call{To: c.usdc, Data: c.call(tb, payer, a), Gas: settleGas, Signer: payer.Address()}
}

// sending is a Send under way.
type sending struct {
	hash common.Hash
	err  error
}

// together has all of these sent while another transaction is on its way to the
// node, and returns what came of each.
func (s sender) together(t *testing.T, sends ...[]evm.Call) []sending {
	t.Helper()
	return s.togetherBut(t, submit, call.forward, sends...)
}

// togetherBut does the same with calls of a method going wrong.
func (s sender) togetherBut(t *testing.T, method string, f fault, sends ...[]evm.Call) []sending {
	t.Helper()
	arrived, release := make(chan struct{}), make(chan struct{})
	s.node.on(method, f)
	s.node.on(submit, func(c call) []byte {
		if c.Nth == 1 {
			close(arrived)
			<-release
		}
		if method == submit {
			return f(c)
		}
		return c.forward()
	})
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := s.try(t); err != nil {
			t.Error(err)
		}
	})
	<-arrived
	results := make([]sending, len(sends))
	for i, calls := range sends {
		all.Go(func() { results[i].hash, results[i].err = s.Send(t.Context(), calls...) })
		s.waiting(i + 1) // they stay in order
	}
	close(release)
	all.Wait()
	return results
}

// waiting waits until n are in the queue.
func (s sender) waiting(n int) {
	for s.Waiting() < n {
		runtime.Gosched()
	}
}

// becomes wants the chain to say this of an authorization, asked both ways.
func (s sender) becomes(t *testing.T, a x402.Authorization, hash common.Hash, want evm.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	awaited, err := s.client.Await(ctx, hash, s.expected(a), 0)
	if err != nil || awaited.State != want {
		t.Errorf("Await: %+v, %v; want %v", awaited, err, want)
	}
	asked, err := s.client.Authorization(ctx, s.expected(a), 0)
	if err != nil || asked.State != want {
		t.Errorf("Authorization: %+v, %v; want %v", asked, err, want)
	}
	if want == evm.Transferred && (awaited.Transaction != hash || asked.Transaction != hash) {
		t.Errorf("paid by %s and %s, want %s", awaited.Transaction, asked.Transaction, hash)
	}
}

func TestBatch(t *testing.T) {
	const n = 20
	s := faultySender(t)
	s.mined(t, 0) // so that payee has a balance
	var (
		as    []x402.Authorization
		sends [][]evm.Call
	)
	for range n {
		payer := s.funded(t, 10)
		a := s.authorize(payer, payee, 10)
		as, sends = append(as, a), append(sends, []evm.Call{s.authorized(t, payer, a)})
	}
	s.node.tally()
	results := s.together(t, sends...)
	for i, r := range results {
		if r.err != nil || r.hash != results[0].hash {
			t.Errorf("%d: %s, %v; want %s", i, r.hash, r.err, results[0].hash)
		}
		s.becomes(t, as[i], r.hash, evm.Transferred)
	}
	receipt, err := s.eth.TransactionReceipt(t.Context(), results[0].hash)
	if err != nil || receipt.GasUsed > n*50_000 {
		t.Errorf("%d gas for %d, %v", receipt.GasUsed, n, err)
	}
	// The estimate and the submission of the first are among them.
	if asked := s.node.tally(); asked > 10 {
		t.Errorf("the node was asked %d times for %d payments", asked, n)
	}
	s.mined(t, 3)
}

// Who waits alone goes straight to the token.
func TestAlone(t *testing.T) {
	s := faultySender(t)
	payer := s.funded(t, 10)
	a := s.authorize(payer, payee, 10)
	s.mined(t, 0)
	s.node.tally()
	hash, err := s.Send(t.Context(), s.authorized(t, payer, a))
	if err != nil {
		t.Fatal(err)
	}
	if asked := s.node.tally(); asked != 1 {
		t.Errorf("the node was asked %d times", asked)
	}
	tx, _, err := s.eth.TransactionByHash(t.Context(), hash)
	if err != nil || *tx.To() != common.Address(s.usdc) {
		t.Errorf("to %s, %v", tx.To(), err)
	}
	s.becomes(t, a, hash, evm.Transferred)
}

// One that is bad is told so, and harms no other.
func TestBadOnesInABatch(t *testing.T) {
	s := faultySender(t)
	s.mined(t, 0)
	rich := s.funded(t, 100)
	forged := s.authorized(t, rich, s.authorize(rich, payee, 10))
	forged.Data = s.call(t, s.account(t), s.authorize(rich, payee, 10))
	expired := s.authorize(rich, payee, 10)
	expired.ValidBefore = x402.NewUint256(uint64(now.Unix()) - 1)
	used := s.authorize(rich, payee, 10)
	s.settle(t, rich, used)
	cancelled := s.authorize(rich, payee, 10)
	s.chain.send(t, s.relay, s.usdc, s.cancelCall(t, rich, cancelled.Nonce))
	bad := []struct {
		call evm.Call
		want string
	}{
		{forged, "invalid signature"},
		{s.authorized(t, rich, expired), "authorization is expired"},
		{s.authorized(t, rich, used), "authorization is used or canceled"},
		{s.authorized(t, rich, cancelled), "authorization is used or canceled"},
		{s.authorized(t, rich, s.authorize(rich, payee, 101)), "transfer amount exceeds balance"},
		{evm.Call{To: s.usdc, Data: s.call(t, rich, s.authorize(rich, payee, 1)), Gas: 30_000}, "more than 30000 gas"},
	}
	var (
		as    []x402.Authorization
		sends [][]evm.Call
	)
	for _, b := range bad {
		payer := s.funded(t, 10)
		a := s.authorize(payer, payee, 10)
		as = append(as, a)
		sends = append(sends, []evm.Call{s.authorized(t, payer, a)}, []evm.Call{b.call})
	}
	before := s.head(t)
	results := s.together(t, sends...)
	for i, b := range bad {
		good, refused := results[2*i], results[2*i+1]
		if good.err != nil || good.hash != results[0].hash {
			t.Errorf("beside %q: %s, %v", b.want, good.hash, good.err)
		}
		s.becomes(t, as[i], good.hash, evm.Transferred)
		if !errors.Is(refused.err, evm.ErrNotSent) || !errors.Is(refused.err, evm.ErrReverted) ||
			!strings.Contains(refused.err.Error(), b.want) || refused.hash != (common.Hash{}) {
			t.Errorf("%s, %v; want %q", refused.hash, refused.err, b.want)
		}
	}
	if blocks := s.head(t) - before; blocks > 2 {
		t.Errorf("%d blocks: what is bad was sent", blocks)
	}
	s.mined(t, 3)
}

// What turns bad on the way fails by itself.
func TestBadAfterItWasJudged(t *testing.T) {
	s := faultySender(t)
	s.mined(t, 0)
	one, other, third := s.funded(t, 10), s.funded(t, 10), s.funded(t, 10)
	as := []x402.Authorization{s.authorize(one, payee, 10), s.authorize(other, payee, 10), s.authorize(third, payee, 10)}
	s.node.on("eth_call", func(c call) []byte {
		answer := c.forward()
		if c.Nth == 2 { // the simulation; the first asks for code
			s.chain.send(t, s.relay, s.usdc, s.cancelCall(t, other, as[1].Nonce))
		}
		return answer
	})
	results := s.together(t, []evm.Call{s.authorized(t, one, as[0])}, []evm.Call{s.authorized(t, other, as[1])}, []evm.Call{s.authorized(t, third, as[2])})
	for i, want := range []evm.State{evm.Transferred, evm.Spent, evm.Transferred} {
		if r := results[i]; r.err != nil || r.hash != results[0].hash {
			t.Errorf("%d: %s, %v", i, r.hash, r.err)
		}
		s.becomes(t, as[i], results[i].hash, want)
	}
}

// A signer with code could use up the gas of the others.
func TestContractsShareNothing(t *testing.T) {
	s := faultySender(t)
	s.mined(t, 0)
	var sends [][]evm.Call
	for range 4 {
		payer := s.funded(t, 10)
		sends = append(sends, []evm.Call{s.authorized(t, payer, s.authorize(payer, payee, 10))})
	}
	sends[1][0].Signer = s.usdc         // has code
	sends[2][0].Signer = x402.Address{} // nobody knows what it runs
	results := s.together(t, sends...)
	if results[0].hash != results[3].hash {
		t.Error("two that could share a transaction did not")
	}
	seen := map[common.Hash]bool{}
	for i, r := range results {
		if r.err != nil {
			t.Errorf("%d: %v", i, r.err)
		}
		s.sent(t, r.hash, s.Address())
		seen[r.hash] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d transactions, want 3", len(seen))
	}
}

// Several calls of one Send are one transaction: the last must succeed, those
// before it may fail.
func TestSeveralCalls(t *testing.T) {
	s := faultySender(t)
	payer := s.funded(t, 30)
	first, second, tooMuch := s.authorize(payer, payee, 10), s.authorize(payer, payee, 20), s.authorize(payer, payee, 31)
	hash, err := s.Send(t.Context(), s.authorized(t, payer, tooMuch), s.authorized(t, payer, first), s.authorized(t, payer, second))
	if err != nil {
		t.Fatal(err)
	}
	s.becomes(t, tooMuch, hash, evm.Unused)
	s.becomes(t, first, hash, evm.Transferred)
	s.becomes(t, second, hash, evm.Transferred)
	if _, err := s.Send(t.Context(), s.authorized(t, payer, first), s.authorized(t, payer, tooMuch)); !errors.Is(err, evm.ErrReverted) || !errors.Is(err, evm.ErrNotSent) {
		t.Errorf("the last one fails: %v", err)
	}
	if hash, err := s.Send(t.Context()); err == nil {
		t.Errorf("no calls: %s", hash)
	}
}

// A chain may have no Multicall3. Then everybody goes alone.
func TestWithoutMulticall3(t *testing.T) {
	s := faultySender(t)
	s.mined(t, 0)
	s.node.on("eth_call", func(c call) []byte {
		if c.Nth == 2 {
			return c.result("0x")
		}
		return c.forward()
	})
	var sends [][]evm.Call
	for range 3 {
		payer := s.funded(t, 10)
		sends = append(sends, []evm.Call{s.authorized(t, payer, s.authorize(payer, payee, 10))})
	}
	for i, r := range s.together(t, sends...) {
		if r.err != nil {
			t.Fatal(r.err)
		}
		if got := s.sent(t, r.hash, s.Address()); got != uint64(i+2) {
			t.Errorf("nonce %d, want %d", got, i+2)
		}
	}
}

// When the batch can't be judged, or is not taken, nobody was sent; when the
// answer is lost nobody knows. Everybody is told the same.
func TestBatchUnderFault(t *testing.T) {
	shared := faultySender(t)
	for name, test := range map[string]struct {
		method  string
		fault   fault
		notSent bool
	}{
		"no code":          {"eth_call", func(call) []byte { return nil }, true},
		"codes of too few": {"eth_call", func(c call) []byte { return c.result(common.Hash{}) }, true},
		"no simulation":    {"eth_call", func(c call) []byte { return onlyFirst(c, func() []byte { return c.fail(429) }) }, true},
		"refused": {submit, func(c call) []byte {
			return onlyFirst(c, func() []byte { return c.refuse(-32000, "txpool is full", nil) })
		}, true},
		"arrived without answer": {submit, func(c call) []byte { return onlyFirst(c, func() []byte { c.forward(); return nil }) }, false},
		"lost without answer":    {submit, func(c call) []byte { return onlyFirst(c, func() []byte { return nil }) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := shared.again(t)
			s.mined(t, 0)
			var (
				as    []x402.Authorization
				sends [][]evm.Call
			)
			for range 3 {
				payer := s.funded(t, 10)
				as = append(as, s.authorize(payer, payee, 10))
				sends = append(sends, []evm.Call{s.authorized(t, payer, as[len(as)-1])})
			}
			results := s.togetherBut(t, test.method, test.fault, sends...)
			for i, r := range results {
				if r.err == nil || errors.Is(r.err, evm.ErrNotSent) != test.notSent || (r.hash == common.Hash{}) != test.notSent || r.hash != results[0].hash {
					t.Errorf("%d: %s, %v", i, r.hash, r.err)
				}
			}
			s.node.heal()
			next := uint64(2)
			if !test.notSent {
				next = 3
			}
			s.mined(t, next)
			for i, r := range results {
				if !test.notSent {
					s.becomes(t, as[i], r.hash, evm.Transferred)
				} else if o, err := s.client.Authorization(t.Context(), s.expected(as[i]), 0); err != nil || o.State != evm.Unused {
					t.Errorf("%d: %+v, %v", i, o, err)
				}
			}
		})
	}
}

// onlyFirst lets the first call of a method pass.
func onlyFirst(c call, then func() []byte) []byte {
	if c.Nth == 1 {
		return c.forward()
	}
	return then()
}

// The same calls, while they are on their way, are the same transaction.
func TestTheSameCallsAgain(t *testing.T) {
	s := faultySender(t)
	payer := s.funded(t, 100)
	a := s.authorize(payer, payee, 10)
	s.swallow(t) // so that nothing is mined
	first, err := s.Send(t.Context(), s.authorized(t, payer, a))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if again, err := s.Send(t.Context(), s.authorized(t, payer, a)); err != nil || again != first {
			t.Errorf("%s, %v; want %s", again, err, first)
		}
	}
	s.tend(t)
	s.becomes(t, a, first, evm.Transferred)
	// Now they are not on their way any more.
	if again, err := s.Send(t.Context(), s.authorized(t, payer, a)); err != nil || again == first {
		t.Errorf("%s, %v", again, err)
	}
}

// The two kinds take turns, however many there are of either.
func TestNobodyStarves(t *testing.T) {
	s := faultySender(t)
	var sends [][]evm.Call
	for i := range 6 {
		payer := s.funded(t, 10)
		c := s.authorized(t, payer, s.authorize(payer, payee, 10))
		if i < 3 {
			c.Signer = x402.Address{}
		}
		sends = append(sends, []evm.Call{c})
	}
	var nonces []uint64
	for _, r := range s.together(t, sends...) {
		if r.err != nil {
			t.Fatal(r.err)
		}
		nonces = append(nonces, s.sent(t, r.hash, s.Address()))
	}
	if want := []uint64{2, 3, 4, 1, 1, 1}; !slices.Equal(nonces, want) {
		t.Errorf("nonces %v, want %v", nonces, want)
	}
}
