package payments_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// behind gives a process a gas account of its own behind a node that does this
// instead of taking the nth transaction, counted from 1; pass gives it to the
// real node.
func (p *process) behind(t *testing.T, submits func(nth int64, pass func())) {
	t.Helper()
	var nth atomic.Int64
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var call struct{ Method string }
		_ = json.Unmarshal(body, &call)
		if call.Method != "eth_sendRawTransaction" {
			testnet.chain.Handler().ServeHTTP(w, r)
			return
		}
		passed := false
		submits(nth.Add(1), func() { passed = true; testnet.chain.Handler().ServeHTTP(w, r) })
		if !passed {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(node.Close)
	client, err := evm.Dial(t.Context(), node.URL, evm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	gas := newWallet(t)
	if _, err := testnet.chain.Fund(t.Context(), common.Address(gas.Address()), 0); err != nil {
		t.Fatal(err)
	}
	p.facilitator = payments.NewLocal(client, evm.NewSender(client, gas, evm.SenderOptions{}), []x402.Address{p.Asset}, p.world.clock.Now, p.Log)
}

// The node does not say whether it has the transaction: it is pending, by the
// hash that it would have, and only the chain knows.
func TestLocalSubmitsWithoutAnswer(t *testing.T) {
	for name, arrives := range map[string]bool{"arrived": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.behind(t, func(_ int64, pass func()) {
				if arrives {
					pass()
				}
				panic(http.ErrAbortHandler)
			})
			g := testnet.guest(t, price)
			payment := p.pays(t, g, w.order(t, "ada", "opera", g))
			got, err := p.facilitator.Settle(t.Context(), payment, *payment.Accepted)
			tx, hash := x402.ParseBytes32(got.Transaction)
			if err != nil || hash != nil || got.Success || got.ErrorReason != x402.ReasonSettlementPending {
				t.Fatalf("%+v, %v", got, err)
			}
			if arrives {
				testnet.mined(t.Context(), common.Hash(tx))
			}
			if moved(t, payment.Payload.Authorization) != arrives {
				t.Errorf("moved: %t", !arrives)
			}
		})
	}
}

// Payments that are settled at once may share a transaction. One that has gone
// bad since it was verified is refused then, or fails in a transaction of its
// own when it came alone; the others do not mind.
func TestLocalSettlesTogether(t *testing.T) {
	const guests = 6
	w := newWorld(t)
	p := w.start(t)
	busy, release := make(chan struct{}), make(chan struct{})
	p.behind(t, func(nth int64, pass func()) {
		if nth == 1 {
			close(busy)
			<-release
		}
		pass()
	})
	payment := make([]x402.Payment, guests)
	answer := make([]x402.SettleResponse, guests)
	var all sync.WaitGroup
	for i := range guests {
		g := testnet.guest(t, price)
		payment[i] = p.pays(t, g, w.order(t, "ada", "opera", g))
		all.Go(func() {
			var err error
			if answer[i], err = p.facilitator.Settle(t.Context(), payment[i], *payment[i].Accepted); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-busy
		}
	}
	const bad = guests - 1
	testnet.broadcast(t, payment[bad])
	close(release)
	all.Wait()
	for i, got := range answer {
		if i == bad && got.ErrorReason == x402.ReasonNonceUsed && got.Transaction == "" {
			continue
		}
		tx, err := x402.ParseBytes32(got.Transaction)
		if err != nil || got.ErrorReason != x402.ReasonSettlementPending {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
		testnet.mined(t.Context(), common.Hash(tx))
		if !moved(t, payment[i].Payload.Authorization) {
			t.Errorf("%d: nothing has moved", i)
		}
	}
}
