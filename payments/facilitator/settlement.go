package facilitator

import (
	"context"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

const (
	// settlementLife is how long the chain is watched for one settlement.
	settlementLife = 10 * time.Minute
	// maxSettlements is how many may be under way, or wait for somebody to ask how
	// they ended.
	maxSettlements = 2000
	// reorgDepth is how many blocks may be replaced by others under a transfer.
	reorgDepth = 64
)

// identity is everything that a settlement's answer depends on.
type identity struct {
	version      int
	authorized   x402.Authorization
	signature    string
	accepted     x402.Requirements
	requirements x402.Requirements
}

func identityOf(r x402.FacilitatorRequest) identity {
	id := identity{version: r.Payment.Version, authorized: r.Payment.Payload.Authorization,
		signature: string(r.Payment.Payload.Signature), requirements: r.Requirements}
	if r.Payment.Accepted != nil {
		id.accepted = *r.Payment.Accepted
	}
	return id
}

// settlement is one payment on its way. All who ask for the same meanwhile share
// it, so that it is submitted once and they are told the same. It is forgotten
// when somebody was told its end: for who asks later, the payment is used.
type settlement struct {
	done   chan struct{} // closed at the end; then answer is set
	answer reply
	tx     string // guarded by Server.mu; once it is submitted
}

func (s *Server) settle(ctx context.Context, r x402.FacilitatorRequest) reply {
	id := identityOf(r)
	st := s.enter(id, r)
	if st == nil {
		return refusal(http.StatusServiceUnavailable, x402.ReasonUnexpectedSettle, "this facilitator takes nothing now")
	}
	patience := time.NewTimer(s.Patience)
	defer patience.Stop()
	select {
	case <-st.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.settlements[id] == st {
			delete(s.settlements, id)
		}
		return st.answer
	case <-ctx.Done(): // nobody is told anything
	case <-patience.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.tx == "" {
		return refusal(http.StatusInternalServerError, x402.ReasonUnexpectedSettle, "it is not known yet whether the payment was submitted")
	}
	return reply{status: http.StatusOK, reason: x402.ReasonSettlementPending, tx: st.tx}
}

// enter returns the settlement of a request, which it begins unless it is under
// way. nil: there is no place for it.
func (s *Server) enter(id identity, r x402.FacilitatorRequest) *settlement {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.settlements[id]; st != nil {
		return st
	}
	if len(s.settlements) >= maxSettlements {
		maps.DeleteFunc(s.settlements, func(_ identity, st *settlement) bool { return st.ended() })
	}
	if s.closed || len(s.settlements) >= maxSettlements {
		return nil
	}
	st := &settlement{done: make(chan struct{})}
	s.settlements[id] = st
	s.running.Go(func() { // Close waits for it
		defer close(st.done)
		defer func() {
			if p := recover(); p != nil {
				s.Log.Error("panic while settling", "panic", p, "stack", string(debug.Stack()))
				st.answer = unknown("something went wrong")
			}
		}()
		st.answer = s.carry(st, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if st.tx == "" { // nothing to come back for; it is as if nobody had asked
			delete(s.settlements, id)
		}
	})
	return st
}

func (st *settlement) ended() bool {
	select {
	case <-st.done:
		return true
	default:
		return false
	}
}

func unknown(message string) reply {
	return refusal(http.StatusInternalServerError, x402.ReasonUnexpectedSettle, message)
}

// carry takes a payment from its request to its end. The caller may have gone:
// it has a context of its own.
func (s *Server) carry(st *settlement, r x402.FacilitatorRequest) reply {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	log := s.Log.With("payer", r.Payment.Payload.Authorization.From)
	if v := s.verify(ctx, r); !v.success { // a transaction that reverts costs gas, too
		if v.reason == x402.ReasonUnexpectedVerify {
			v.reason = x402.ReasonUnexpectedSettle
		}
		return v
	}
	head, err := s.Chain.Head(ctx)
	if err != nil {
		log.Error("the chain can't be asked", "err", err)
		return unknown("the chain could not be asked")
	}
	answer, err := s.Facilitator.Settle(ctx, r.Payment, r.Requirements)
	if err != nil {
		log.Error("a payment could not be submitted", "err", err)
		return unknown("it is not known whether the payment was submitted")
	}
	tx, err := x402.ParseBytes32(answer.Transaction)
	switch {
	case !answer.Success && answer.ErrorReason != x402.ReasonSettlementPending:
		return reply{status: http.StatusOK, reason: answer.ErrorReason, tx: answer.Transaction}
	case err != nil:
		log.Error("a submitted payment has no transaction", "err", err)
		return unknown("it is not known in which transaction the payment was submitted")
	}
	s.mu.Lock()
	st.tx = tx.String()
	s.mu.Unlock()
	a := r.Payment.Payload.Authorization
	watch, cancel := context.WithTimeout(s.awaiting, settlementLife)
	defer cancel()
	o, err := s.Chain.Await(watch, common.Hash(tx),
		evm.Transfer{Token: r.Requirements.Asset, From: a.From, To: a.To, Value: a.Value, Nonce: a.Nonce},
		head.Number-min(head.Number, reorgDepth))
	if err != nil {
		log.Warn("a settlement is left to itself", "tx", tx, "err", err)
		return reply{status: http.StatusOK, reason: x402.ReasonSettlementPending, tx: tx.String()}
	}
	switch o.State {
	case evm.Transferred:
		return reply{status: http.StatusOK, success: true, tx: o.Transaction.Hex(), amount: r.Requirements.Amount.String()}
	case evm.Spent:
		return reply{status: http.StatusOK, reason: x402.ReasonTransactionState, tx: o.Transaction.Hex()}
	}
	return reply{status: http.StatusOK, reason: x402.ReasonTransactionFailed, tx: tx.String()}
}
