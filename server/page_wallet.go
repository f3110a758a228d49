package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/tools"
)

const (
	balanceWait   = 2 * time.Second  // for the chain, by who asks for the balance
	balanceFresh  = 10 * time.Minute // for so long one is shown that was read before
	maxBalances   = 10_000
	walletPath    = "/my-mcp/wallet"
	whyNoBalance  = "The chain could not be asked just now."
	noBalanceHere = "This server has no chain to ask."
)

// walletPage is the wallet that guests pay to.
type walletPage struct {
	Address, Network string
	Explorer         string // "": none knows this network
	Custody          host.Custody
	Balance          balance
	Revenue          tools.Revenue
	Refunds          []owedRefund
}

// balance is what a wallet has, as it was read from the chain.
type balance struct {
	USD string
	At  string // RFC 3339; "": not read yet
	Why string // there is none
}

// owedRefund is a refund that is not paid yet, with the reason in words.
type owedRefund struct {
	tools.OpenRefund
	Words string
}

// balances are those that were read lately: a page must not wait for the chain.
type balances struct {
	mu   sync.Mutex
	last map[x402.Address]readBalance
}

type readBalance struct {
	amount x402.Amount
	at     time.Time
}

func (b *balances) keep(of x402.Address, amount x402.Amount, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil || len(b.last) >= maxBalances {
		b.last = map[x402.Address]readBalance{}
	}
	b.last[of] = readBalance{amount, at}
}

func (b *balances) of(a x402.Address, now time.Time) (balance, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.last[a]
	if !ok || now.Sub(r.at) > balanceFresh {
		return balance{}, false
	}
	return balance{USD: r.amount.USD(), At: r.at.UTC().Format(time.RFC3339)}, true
}

// readBalance asks the chain, for a while.
func (s *Server) readBalance(ctx context.Context, of x402.Address) balance {
	if s.Balance == nil {
		return balance{Why: noBalanceHere}
	}
	ctx, cancel := context.WithTimeout(ctx, balanceWait)
	defer cancel()
	amount, err := s.Balance(ctx, of)
	if err != nil {
		if ctx.Err() == nil {
			s.Log.Warn("a balance can't be read", "err", err)
		}
		return balance{Why: whyNoBalance}
	}
	now := s.Hosts.Now()
	s.balances.keep(of, amount, now)
	b, _ := s.balances.of(of, now)
	return b
}

func (s *Server) walletPage(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	ctx := r.Context()
	p := walletPage{Address: c.Host.PayTo.String(), Network: s.networkName(), Explorer: s.explorer("address", c.Host.PayTo.String())}
	var err error
	if p.Custody, err = s.Hosts.Custody(ctx, c.Host); err != nil {
		return err
	}
	if p.Revenue, err = c.Host.GetRevenue(ctx, tools.GetRevenueInput{}); err != nil {
		return err
	}
	for _, f := range p.Revenue.Refunds {
		p.Refunds = append(p.Refunds, owedRefund{f, refundWords(f)})
	}
	var kept bool
	if p.Balance, kept = s.balances.of(c.Host.PayTo, s.Hosts.Now()); !kept && s.Balance == nil {
		p.Balance.Why = noBalanceHere
	}
	if r.URL.Query().Get("balance") == "now" { // for browsers without scripts
		p.Balance = s.readBalance(ctx, c.Host.PayTo)
	}
	return s.showMine(w, r, http.StatusOK, "wallet", "Wallet", p, "balance")
}

// balancePart is the part of the wallet's page that waits for the chain.
func (s *Server) balancePart(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	b := s.readBalance(r.Context(), c.Host.PayTo)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return s.pages.site.Fragment(w, "wallet", "balance", b)
}

// explorer is where people look something up on the chain: "address" or "tx". A
// transfer on the embedded chain has a page here; see [Server.transaction].
func (s *Server) explorer(kind, of string) string {
	if s.Devnet != nil && kind == "tx" {
		return "/devnet/tx/" + of
	}
	switch s.networkName() {
	case "base":
		return "https://basescan.org/" + kind + "/" + of
	case "base-sepolia":
		return "https://sepolia.basescan.org/" + kind + "/" + of
	}
	return ""
}

// refundWords says why a refund is not paid yet.
func refundWords(f tools.OpenRefund) string {
	switch f.Reason {
	case "payment_not_final":
		return "The payment is only just on the chain; the money goes back when it is final."
	case "insufficient_funds":
		return "The wallet has not enough USDC. Send it some, and it is paid."
	case "wallet_not_held":
		return "This server does not hold the key of the wallet. Pay it back yourself, to the address here."
	case "payments_unavailable":
		return "Nobody could send it just now; it is tried again."
	}
	if f.Status == "pending" {
		return "On its way."
	}
	return "It is paid in a moment."
}
