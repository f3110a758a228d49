package payments_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// step is a call that a Cashier makes.
type step string

const (
	openLedger    step = "open the ledger"
	claim         step = "claim"
	find          step = "find a claim"
	identified    step = "find an identifier"
	unname        step = "free an identifier"
	release       step = "release"
	openClaims    step = "list open claims"
	closeClaims   step = "close claims"
	head          step = "head"
	authorization step = "authorization"
	await         step = "await"
	signed        step = "signed"
	verify        step = "verify"
	settle        step = "settle"
	hold          step = "hold"
	lookUp        step = "look up"
	confirm       step = "confirm"
	reopen        step = "reopen"
	fail          step = "fail"
	abandon       step = "abandon"

	balance       step = "balance"
	openWallet    step = "open the wallet"
	note          step = "note a debtor"
	listDebtors   step = "list debtors"
	strike        step = "strike a debtor"
	readCleared   step = "read what is cleared"
	cancel        step = "cancel"
	readRefund    step = "read a refund"
	signRefund    step = "sign a refund"
	confirmRefund step = "confirm a refund"
	failRefund    step = "fail a refund"
	postpone      step = "postpone a refund"
	due           step = "list due refunds"
	clearHost     step = "clear"

	blockAt   step = "find a block"
	movements step = "list movements"
	reclaim   step = "reopen a claim"
	recoverIt step = "recover"
)

// point is a moment of a call: before anything has been done, or when all has
// been done and nobody has heard of it yet.
type point struct {
	step
	after bool
}

func (p point) String() string {
	if p.after {
		return "after " + string(p.step)
	}
	return "before " + string(p.step)
}

// between stands between a Cashier and the real things, and lets a test hear of
// every call and spoil it: an error of the hook takes the place of the answer.
type between struct {
	claims      payments.Claims
	debtors     payments.Debtors
	chain       payments.Chain
	facilitator payments.Facilitator

	mu   sync.Mutex
	hook func(context.Context, point) error
	// What a facilitator does instead; the real one is passed.
	verifies func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.VerifyResponse, error)
	settles  func(context.Context, payments.Facilitator, x402.Payment, x402.Requirements) (x402.SettleResponse, error)
	// What the chain says of an authorization instead of what it would.
	saw func(evm.Outcome) evm.Outcome
}

func (b *between) set(hook func(context.Context, point) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hook = hook
}

// on has f called at one point.
func (b *between) on(at point, f func(context.Context) error) {
	b.set(func(ctx context.Context, p point) error {
		if p == at {
			return f(ctx)
		}
		return nil
	})
}

func (b *between) at(ctx context.Context, p point) error {
	b.mu.Lock()
	hook := b.hook
	b.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, p)
}

func through[T any](ctx context.Context, b *between, s step, call func() (T, error)) (T, error) {
	var none T
	if err := b.at(ctx, point{s, false}); err != nil {
		return none, err
	}
	answer, err := call()
	if lost := b.at(ctx, point{s, true}); lost != nil {
		return none, lost
	}
	return answer, err
}

func only(ctx context.Context, b *between, s step, call func() error) error {
	_, err := through(ctx, b, s, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// claimed is the answer about a claim.
type claimed struct {
	payments.Claim
	yes bool
}

type claimsBetween struct{ *between }

func (b claimsBetween) Claim(ctx context.Context, c payments.Claim) (payments.Claim, bool, error) {
	got, err := through(ctx, b.between, claim, func() (claimed, error) {
		standing, won, err := b.claims.Claim(ctx, c)
		return claimed{standing, won}, err
	})
	return got.Claim, got.yes, err
}

func (b claimsBetween) Find(ctx context.Context, k payments.ClaimKey) (payments.Claim, bool, error) {
	got, err := through(ctx, b.between, find, func() (claimed, error) {
		standing, found, err := b.claims.Find(ctx, k)
		return claimed{standing, found}, err
	})
	return got.Claim, got.yes, err
}

func (b claimsBetween) Identified(ctx context.Context, user string, payer x402.Address, id string) (payments.Claim, bool, error) {
	got, err := through(ctx, b.between, identified, func() (claimed, error) {
		standing, found, err := b.claims.Identified(ctx, user, payer, id)
		return claimed{standing, found}, err
	})
	return got.Claim, got.yes, err
}

func (b claimsBetween) FreeIdentifier(ctx context.Context, id string) error {
	return only(ctx, b.between, unname, func() error { return b.claims.FreeIdentifier(ctx, id) })
}

func (b claimsBetween) Release(ctx context.Context, k payments.ClaimKey, id string) error {
	return only(ctx, b.between, release, func() error { return b.claims.Release(ctx, k, id) })
}

func (b claimsBetween) Open(ctx context.Context) ([]payments.Claim, error) {
	return through(ctx, b.between, openClaims, func() ([]payments.Claim, error) { return b.claims.Open(ctx) })
}

func (b claimsBetween) Close(ctx context.Context, ids []string) error {
	return only(ctx, b.between, closeClaims, func() error { return b.claims.Close(ctx, ids) })
}

func (b claimsBetween) Reopen(ctx context.Context, c payments.Claim) error {
	return only(ctx, b.between, reclaim, func() error { return b.claims.Reopen(ctx, c) })
}

type debtorsBetween struct{ *between }

func (b debtorsBetween) Note(ctx context.Context, user string) error {
	return only(ctx, b.between, note, func() error { return b.debtors.Note(ctx, user) })
}

func (b debtorsBetween) Debtors(ctx context.Context) ([]payments.Debtor, error) {
	return through(ctx, b.between, listDebtors, func() ([]payments.Debtor, error) { return b.debtors.Debtors(ctx) })
}

func (b debtorsBetween) Strike(ctx context.Context, d payments.Debtor) error {
	return only(ctx, b.between, strike, func() error { return b.debtors.Strike(ctx, d) })
}

type chainBetween struct{ *between }

func (b chainBetween) Balance(ctx context.Context, token, owner x402.Address) (x402.Uint256, error) {
	return through(ctx, b.between, balance, func() (x402.Uint256, error) { return b.chain.Balance(ctx, token, owner) })
}

func (b chainBetween) Head(ctx context.Context) (evm.Head, error) {
	return through(ctx, b.between, head, func() (evm.Head, error) { return b.chain.Head(ctx) })
}

func (b chainBetween) Authorization(ctx context.Context, t evm.Transfer, since uint64) (evm.Outcome, error) {
	return through(ctx, b.between, authorization, func() (evm.Outcome, error) {
		o, err := b.chain.Authorization(ctx, t, since)
		if b.saw != nil {
			o = b.saw(o)
		}
		return o, err
	})
}

func (b chainBetween) Await(ctx context.Context, tx common.Hash, t evm.Transfer, since uint64) (evm.Outcome, error) {
	return through(ctx, b.between, await, func() (evm.Outcome, error) { return b.chain.Await(ctx, tx, t, since) })
}

func (b chainBetween) Signed(ctx context.Context, by x402.Address, digest common.Hash, sig x402.Signature) error {
	return only(ctx, b.between, signed, func() error { return b.chain.Signed(ctx, by, digest, sig) })
}

func (b chainBetween) Final(ctx context.Context) (evm.Head, error) {
	return through(ctx, b.between, head, func() (evm.Head, error) { return b.chain.Final(ctx) })
}

func (b chainBetween) BlockAt(ctx context.Context, t time.Time) (uint64, error) {
	return through(ctx, b.between, blockAt, func() (uint64, error) { return b.chain.BlockAt(ctx, t) })
}

func (b chainBetween) Movements(ctx context.Context, token, account x402.Address, from, to uint64) ([]evm.Movement, error) {
	return through(ctx, b.between, movements, func() ([]evm.Movement, error) { return b.chain.Movements(ctx, token, account, from, to) })
}

type facilitatorBetween struct{ *between }

func (b facilitatorBetween) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	return through(ctx, b.between, verify, func() (x402.VerifyResponse, error) {
		if b.verifies != nil {
			return b.verifies(ctx, b.facilitator, p, r)
		}
		return b.facilitator.Verify(ctx, p, r)
	})
}

func (b facilitatorBetween) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	return through(ctx, b.between, settle, func() (x402.SettleResponse, error) {
		if b.settles != nil {
			return b.settles(ctx, mining{b.facilitator}, p, r)
		}
		return mining{b.facilitator}.Settle(ctx, p, r)
	})
}

// mining is a facilitator that answers when the block is there, so that tests
// find the same chain each time.
type mining struct{ payments.Facilitator }

func (m mining) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	answer, err := m.Facilitator.Settle(ctx, p, r)
	if tx, hash := x402.ParseBytes32(answer.Transaction); hash == nil {
		testnet.mined(ctx, common.Hash(tx))
	}
	return answer, err
}

type ledgerBetween struct {
	*between
	payments.Ledger
}

func (l ledgerBetween) Hold(ctx context.Context, p payments.Payment, b payments.Booking) error {
	return only(ctx, l.between, hold, func() error { return l.Ledger.Hold(ctx, p, b) })
}

func (l ledgerBetween) Payment(ctx context.Context, id string) (payments.Payment, error) {
	return through(ctx, l.between, lookUp, func() (payments.Payment, error) { return l.Ledger.Payment(ctx, id) })
}

func (l ledgerBetween) Confirm(ctx context.Context, id string, s payments.Settlement) (payments.Payment, error) {
	return through(ctx, l.between, confirm, func() (payments.Payment, error) { return l.Ledger.Confirm(ctx, id, s) })
}

func (l ledgerBetween) Reopen(ctx context.Context, id string) (payments.Payment, error) {
	return through(ctx, l.between, reopen, func() (payments.Payment, error) { return l.Ledger.Reopen(ctx, id) })
}

func (l ledgerBetween) Fail(ctx context.Context, id string, reason x402.Reason, final bool) (payments.Payment, error) {
	return through(ctx, l.between, fail, func() (payments.Payment, error) { return l.Ledger.Fail(ctx, id, reason, final) })
}

func (l ledgerBetween) Abandon(ctx context.Context, id string) error {
	return only(ctx, l.between, abandon, func() error { return l.Ledger.Abandon(ctx, id) })
}

func (l ledgerBetween) Refund(ctx context.Context, id string) (payments.Payment, error) {
	return through(ctx, l.between, readRefund, func() (payments.Payment, error) { return l.Ledger.Refund(ctx, id) })
}

func (l ledgerBetween) Sign(ctx context.Context, r payments.Payment) (payments.Payment, error) {
	return through(ctx, l.between, signRefund, func() (payments.Payment, error) { return l.Ledger.Sign(ctx, r) })
}

func (l ledgerBetween) ConfirmRefund(ctx context.Context, id string, tx x402.Bytes32) (payments.Payment, error) {
	return through(ctx, l.between, confirmRefund, func() (payments.Payment, error) { return l.Ledger.ConfirmRefund(ctx, id, tx) })
}

func (l ledgerBetween) FailRefund(ctx context.Context, id string, nonce x402.Bytes32, reason x402.Reason, final bool) (payments.Payment, error) {
	return through(ctx, l.between, failRefund, func() (payments.Payment, error) { return l.Ledger.FailRefund(ctx, id, nonce, reason, final) })
}

func (l ledgerBetween) Postpone(ctx context.Context, id string, reason x402.Reason, until time.Time) (payments.Payment, error) {
	return through(ctx, l.between, postpone, func() (payments.Payment, error) { return l.Ledger.Postpone(ctx, id, reason, until) })
}

func (l ledgerBetween) Due(ctx context.Context, n int) ([]string, error) {
	return through(ctx, l.between, due, func() ([]string, error) { return l.Ledger.Due(ctx, n) })
}

func (l ledgerBetween) Clear(ctx context.Context) (cleared bool, next time.Time, err error) {
	err = only(ctx, l.between, clearHost, func() (err error) {
		cleared, next, err = l.Ledger.Clear(ctx)
		return err
	})
	return cleared, next, err
}

func (l ledgerBetween) Cleared(ctx context.Context) (int64, error) {
	return through(ctx, l.between, readCleared, func() (int64, error) { return l.Ledger.Cleared(ctx) })
}

func (l ledgerBetween) Recover(ctx context.Context, r payments.Restore, found []payments.Found) error {
	return only(ctx, l.between, recoverIt, func() error { return l.Ledger.Recover(ctx, r, found) })
}

// noStep is a hook that minds every call but some.
func (b *between) noStep(tb testing.TB, but ...step) func(context.Context, point) error {
	return func(_ context.Context, p point) error {
		if !slices.Contains(but, p.step) {
			tb.Errorf("unexpected: %s", p)
		}
		return nil
	}
}
