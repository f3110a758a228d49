package server_test

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/wallet/crossminttest"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

const crossmintKey = "sk_staging_5ecret"

// crossmint starts one, whose wallets are on the chain of this world; while down is
// set it is out of order.
func (w *world) crossmint(down *atomic.Bool) *crossmint.Client {
	w.t.Helper()
	file, err := os.ReadFile("../payments/devnet/contracts/build/OwnerWallet.bin")
	if err != nil {
		w.t.Fatal(err)
	}
	creation, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		w.t.Fatal(err)
	}
	api := crossminttest.New(crossminttest.Options{Key: crossmintKey, Chain: ethclient.NewClient(w.chain.RPC()),
		Creation: creation, Factory: devnet.DeterministicFactory(), Polls: 1})
	listener := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(rw, "out of order", http.StatusBadGateway)
			return
		}
		api.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(listener.Close)
	c, err := crossmint.New(crossmint.Config{Key: crossmintKey, Network: x402.BaseSepolia, URL: listener.URL,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// Both the Guest's wallet and the Host's are at Crossmint: one books and the other
// pays back, first as wallets that are not on the chain yet, then as such that are.
func TestCrossmintBothSides(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	c := w.crossmint(&down)
	w.hosts.Crossmint, w.hosts.AtCrossmint = c, true
	o := w.register("owner@example.org")
	if kept, err := c.Wallet(t.Context(), "userId:"+o.User); err != nil || kept.Address() != o.Wallet {
		t.Errorf("the Host has %s, Crossmint %v, %v", o.Wallet, kept, err)
	}
	purse, err := c.Wallet(t.Context(), "userId:alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.chain.Fund(t.Context(), common.Address(purse.Address()), 10*x402.USD); err != nil {
		t.Fatal(err)
	}
	g := w.guest(o, purse, "")
	for i, refunded := range []string{"2.50", "5.00"} {
		if deployed := i > 0; w.deployed(purse.Address()) != deployed || w.deployed(o.Wallet) != deployed {
			t.Errorf("%d: the guest's wallet is deployed: %v, the host's: %v", i, w.deployed(purse.Address()), w.deployed(o.Wallet))
		}
		booked, err := g.Book(t.Context(), guest.Wish{EventID: w.event(o, map[string]any{"price": "2.50"})})
		if err != nil || booked.RSVP.Status != "confirmed" {
			t.Fatalf("%+v, %v", booked, err)
		}
		r, code := w.rsvp(o, "cancel_rsvp", booked.RSVP.ID)
		if code != "" || r.Status != "refunded" || r.Refund == nil || r.Refund.To != purse.Address().String() {
			t.Fatalf("%s: %+v, refund %+v", code, r, r.Refund)
		}
		w.agree(o, "0.00", refunded, "0.00")
		if got := w.balance(purse.Address()); got != 10*x402.USD {
			t.Errorf("the guest has $%s", got.USD())
		}
	}
	if log := w.logged(); strings.Contains(log, "5ecret") {
		t.Errorf("the key is in the log:\n%s", log)
	}
}

func (w *world) deployed(a x402.Address) bool {
	w.t.Helper()
	code, err := ethclient.NewClient(w.chain.RPC()).CodeAt(w.t.Context(), common.Address(a), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(code) > 0
}

// While Crossmint is out of order nobody is registered, and what is owed stays owed;
// afterwards it is as if nothing had been.
func TestCrossmintOutOfOrder(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	w.hosts.Crossmint, w.hosts.AtCrossmint = w.crossmint(&down), true
	o := w.register("owner@example.org")
	purse := w.wallet(10 * x402.USD)
	booked, err := w.guest(o, purse, "").Book(t.Context(), guest.Wish{EventID: w.event(o, map[string]any{"price": "2.50"})})
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	var refused struct{ Code string }
	if status := w.do("POST", "/api/users", "", map[string]string{"email": "ada@example.org"}, &refused); status != http.StatusServiceUnavailable || refused.Code != "wallet_unavailable" {
		t.Errorf("%d %+v", status, refused)
	}
	if r, _ := w.rsvp(o, "cancel_rsvp", booked.RSVP.ID); r.Refund == nil || r.Refund.Status != "owed" || r.Refund.Reason != "payments_unavailable" {
		t.Errorf("refund %+v", r.Refund)
	}
	w.agree(o, "0.00", "0.00", "2.50")
	down.Store(false)
	w.register("ada@example.org")
	w.later(time.Hour) // it is tried again later
	if err := w.hosts.Cashier.Reconcile(t.Context()); err != nil {
		t.Error(err)
	}
	w.agree(o, "0.00", "2.50", "0.00")
	if got := w.balance(purse.Address()); got != 10*x402.USD {
		t.Errorf("the guest has $%s", got.USD())
	}
}
