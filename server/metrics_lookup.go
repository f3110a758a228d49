package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
)

// refundsEvery is the pause between two looks at what is owed.
const refundsEvery = 30 * time.Second

// lookUpHosts has the metrics look up what there is to files of Hosts.
func (s *Server) lookUpHosts() {
	m := s.Metrics
	m.Lookup("hosts_open", "Hosts whose file is open.", nil, func(emit metrics.Emit) { emit(float64(s.Hosts.Stats().Open)) })
	m.Lookup("wal_bytes", "What the write-ahead logs of open Hosts hold that is not in their files yet.", nil,
		func(emit metrics.Emit) { emit(float64(s.Hosts.Stats().LogBytes)) })
	m.Lookup("wal_longest_bytes", "The same of the one that holds most.", nil,
		func(emit metrics.Emit) { emit(float64(s.Hosts.Stats().LongestLog)) })
}

// lookUpPayments has the metrics look up what has not come to its end. Payments the
// reconciler knows, which goes over them every few seconds; refunds are read from the
// files of those Hosts alone that owe some.
func (s *Server) lookUpPayments() {
	m, c := s.Metrics, s.Hosts.Cashier
	m.Lookup("payments_open", "Payments that may still change, by state.", []string{"state"}, func(emit metrics.Emit) {
		all, at := c.Standing()
		for _, state := range openStates {
			if !at.IsZero() {
				emit(float64(all[state].N), string(state))
			}
		}
	})
	m.Lookup("payments_open_oldest_seconds", "How long ago the oldest of them was begun; 0 without one.", []string{"state"}, func(emit metrics.Emit) {
		all, at := c.Standing()
		for _, state := range openStates {
			if !at.IsZero() {
				emit(s.since(all[state].Oldest), string(state))
			}
		}
	})
	m.Lookup("reconcile_timestamp_seconds", "When the reconciler last came to its end with all open payments (Unix time).", nil, func(emit metrics.Emit) {
		if _, at := c.Standing(); !at.IsZero() {
			emit(float64(at.Unix()))
		}
	})
	m.Sample(refundsEvery, s.readRefunds)
	refunds := func(value func(host.OpenRefunds) float64) func(metrics.Emit) {
		return func(emit metrics.Emit) {
			for _, state := range refundStates {
				if all := s.refunds.Load(); all != nil {
					emit(value((*all)[state]), string(state))
				}
			}
		}
	}
	m.Lookup("refunds_open", "Refunds that are not settled yet, by state.", []string{"state"},
		refunds(func(r host.OpenRefunds) float64 { return float64(r.N) }))
	m.Lookup("refunds_open_usdc", "What they come to.", []string{"state"},
		refunds(func(r host.OpenRefunds) float64 { return float64(r.Amount) / float64(x402.USD) }))
	m.Lookup("refunds_open_oldest_seconds", "How long ago the oldest of them was begun; 0 without one.", []string{"state"},
		refunds(func(r host.OpenRefunds) float64 { return s.since(r.Oldest) }))
}

// openStates are those of payments that may still change, refundStates those of refunds.
var (
	openStates   = []payments.State{payments.Claimed, payments.Settling, payments.Settled, payments.Failed, payments.Owed}
	refundStates = []payments.State{payments.Owed, payments.Settling}
)

// refundSums are what is owed, as it was read last.
type refundSums = atomic.Pointer[map[payments.State]host.OpenRefunds]

func (s *Server) readRefunds(ctx context.Context) {
	all, err := s.Hosts.OpenRefunds(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Warn("not all refunds that are owed can be counted", "err", err)
		}
		if all == nil {
			return
		}
	}
	s.refunds.Store(&all)
}

// since is how many seconds ago something was.
func (s *Server) since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, s.Hosts.Now().Sub(t).Seconds())
}
