package payments_test

import (
	"context"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// transfers returns how many payments an account has received on the chain.
func transfers(tb testing.TB, to x402.Address) int {
	tb.Helper()
	return transferLogs(tb, nil, []common.Hash{common.BytesToHash(to[:])})
}

// sent returns how many payments an account has made on the chain.
func sent(tb testing.TB, from x402.Address) int {
	tb.Helper()
	return transferLogs(tb, []common.Hash{common.BytesToHash(from[:])}, nil)
}

func transferLogs(tb testing.TB, from, to []common.Hash) int {
	tb.Helper()
	logs, err := testnet.eth.FilterLogs(tb.Context(), ethereum.FilterQuery{
		FromBlock: big.NewInt(0), Addresses: []common.Address{devnet.USDC()},
		Topics: [][]common.Hash{{crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))}, from, to},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return len(logs)
}

// moved reports whether the money of an authorization has moved.
func moved(tb testing.TB, a x402.Authorization) bool {
	tb.Helper()
	o, err := testnet.client.Authorization(tb.Context(),
		evm.Transfer{Token: x402.Address(devnet.USDC()), From: a.From, To: a.To, Value: a.Value, Nonce: a.Nonce}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return o.State == evm.Transferred
}

// rsvps returns all RSVPs of a Host.
func rsvps(tb testing.TB, h *store.Host) (all []store.RSVP) {
	tb.Helper()
	events, _, err := h.Events(context.Background(), store.EventQuery{Limit: store.MaxPage})
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range events {
		for cursor := ""; ; {
			page, next, err := h.RSVPs(context.Background(), e.ID, store.MaxPage, cursor)
			if err != nil {
				tb.Fatal(err)
			}
			all = append(all, page...)
			if cursor = next; next == "" {
				break
			}
		}
	}
	return all
}

// count is how many payments there are of each state.
type count map[payments.State]int

// statusOf is what an RSVP must be, by its payment and refund.
func statusOf(r store.RSVP) []store.RSVPStatus {
	switch {
	case r.Refund != nil && r.Refund.State == payments.Settled:
		return []store.RSVPStatus{store.RSVPRefunded}
	case r.Refund != nil && r.Payment.State == payments.Owed:
		return []store.RSVPStatus{store.RSVPFailed, store.RSVPCancelled}
	case r.Refund != nil && r.Payment.State == payments.Settled:
		return []store.RSVPStatus{store.RSVPCancelled}
	case r.Refund != nil || r.Payment.State == payments.Owed:
		return nil
	}
	return []store.RSVPStatus{map[payments.State]store.RSVPStatus{payments.Settling: store.RSVPPending,
		payments.Settled: store.RSVPConfirmed, payments.Failed: store.RSVPFailed}[r.Payment.State]}
}

// agree holds the books of all Hosts against themselves and against the chain,
// and returns how many payments they have. Stray is what the Hosts got without
// a payment that they know of.
func (p *process) agree(tb testing.TB, stray x402.Amount) count {
	tb.Helper()
	n, received, got, gave := count{}, map[x402.Address]x402.Amount{}, map[x402.Address]int{}, map[x402.Address]int{}
	all, used := map[string][]store.RSVP{}, map[x402.Bytes32]bool{}
	for user := range p.world.users() {
		all[user] = rsvps(tb, p.books(tb, user))
		for _, r := range all[user] {
			if r.Payment == nil {
				tb.Fatalf("RSVP %s has no payment", r.ID)
			}
			used[r.Payment.Nonce] = used[r.Payment.Nonce] || r.Payment.Transaction != x402.Bytes32{}
		}
	}
	for user, payTo := range p.world.users() {
		received[payTo] += 0
		h, taken := p.books(tb, user), map[string]int{}
		for _, r := range all[user] {
			n[r.Payment.State]++
			if want := statusOf(r); !slices.Contains(want, r.Status) {
				tb.Errorf("RSVP %s of a payment that is %s is %s, want %s; its refund: %+v", r.ID, r.Payment.State, r.Status, want, r.Refund)
			}
			if r.Status == store.RSVPPending || r.Status == store.RSVPConfirmed {
				taken[r.EventID] += r.Seats
			}
			if r.Payment.Transaction == (x402.Bytes32{}) && used[r.Payment.Nonce] {
				continue // it was never submitted, and the guest has used it for another
			}
			if p.onChain(tb, *r.Payment) {
				received[payTo] += r.Payment.Amount
				got[payTo]++
			}
			if r.Refund == nil || r.Refund.Nonce == (x402.Bytes32{}) {
				continue
			}
			if p.onChain(tb, *r.Refund) {
				received[payTo] -= r.Refund.Amount
				gave[payTo]++
				if r.Refund.PayTo != r.Payment.Payer || r.Refund.Payer != payTo || r.Refund.Amount != r.Payment.Amount {
					tb.Errorf("a refund of %+v is %+v", r.Payment, r.Refund)
				}
			}
		}
		for event, seats := range taken {
			if e, err := h.Event(tb.Context(), event); err != nil || e.SeatsTaken != seats {
				tb.Errorf("%s: %d seats taken, RSVPs have %d (%v)", event, e.SeatsTaken, seats, err)
			}
		}
	}
	for payTo, sum := range received {
		if balance := testnet.balance(tb, payTo); balance != sum+stray {
			tb.Errorf("a Host has %s on the chain, its books say %s and %s strayed", balance, sum, stray)
		}
		if stray == 0 && transfers(tb, payTo) != got[payTo] {
			tb.Errorf("%d transfers to a Host, its books have %d", transfers(tb, payTo), got[payTo])
		}
		if stray == 0 && sent(tb, payTo) != gave[payTo] {
			tb.Errorf("%d transfers from a Host, its books have %d", sent(tb, payTo), gave[payTo])
		}
	}
	return n
}

// onChain reports whether the payment's money has moved, and that the payment
// says so if it is decided.
func (p *process) onChain(tb testing.TB, paid payments.Payment) bool {
	tb.Helper()
	o, err := testnet.client.Authorization(tb.Context(), evm.Transfer{
		Token: paid.Asset, From: paid.Payer, To: paid.PayTo, Value: paid.Amount.Uint256(), Nonce: paid.Nonce}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	has := o.State == evm.Transferred
	says := paid.State == payments.Settled || paid.State == payments.Owed
	if !paid.Open && has != says {
		tb.Errorf("payment is %s for good, on the chain: %t", paid.State, has)
	}
	if says && x402.Bytes32(o.Transaction) != paid.Transaction {
		tb.Errorf("payment was settled in %s, the books say %s", o.Transaction, paid.Transaction)
	}
	return has
}

// finished is agree, with nothing open any more.
func (p *process) finished(tb testing.TB, stray x402.Amount) count {
	tb.Helper()
	n := p.agree(tb, stray)
	if n[payments.Settling] > 0 {
		tb.Errorf("%d payments are settling still", n[payments.Settling])
	}
	open, err := p.server.Claims().Open(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range open {
		tb.Errorf("the claim of payment %s is open still", c.PaymentID)
	}
	for user := range p.world.users() {
		refunds, err := p.books(tb, user).OpenRefunds(context.Background(), "", 10)
		if err != nil {
			tb.Fatal(err)
		}
		for _, r := range refunds {
			tb.Errorf("the refund of payment %s is %s still (%s)", r.ID, r.State, r.Reason)
		}
	}
	debtors, err := p.server.Debtors(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	if len(debtors) > 0 {
		tb.Errorf("%v are debtors still", debtors)
	}
	return n
}

// wants compares counts.
func (n count) wants(tb testing.TB, want count) {
	tb.Helper()
	for _, s := range []payments.State{payments.Settling, payments.Settled, payments.Failed, payments.Owed} {
		if n[s] != want[s] {
			tb.Errorf("%d payments are %s, want %d", n[s], s, want[s])
		}
	}
}
