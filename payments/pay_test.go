package payments_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

func TestPay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*x402.Payment)
		version int
		network string
	}{
		"version 1":                  {version1, 1, "base-sepolia"},
		"version 2":                  {func(*x402.Payment) {}, 2, "eip155:84532"},
		"version 2 without resource": {func(p *x402.Payment) { p.Resource = nil }, 2, "eip155:84532"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start(t)
			p.event(t, "ada", "opera", 3)
			g := testnet.guest(t, 3*x402.USD)
			order := w.order(t, "ada", "opera", g)
			payment := p.pays(t, g, order, c.change)

			paid, err := p.call(t.Context(), order, payment)
			if err != nil {
				t.Fatal(err)
			}
			if paid.State != payments.Settled || paid.RSVPID != order.Booking.RSVPID || paid.Open || paid.X402Version != c.version ||
				paid.Payer != g.Address() || paid.Amount != price {
				t.Errorf("paid: %+v", paid)
			}
			want := x402.SettleResponse{Success: true, Payer: g.Address().String(), Transaction: paid.Transaction.String(),
				Network: c.network, Amount: "2500000"}
			if diff := cmp.Diff(want, payments.Receipt(paid)); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			rsvp, err := p.books(t, "ada").RSVP(t.Context(), paid.RSVPID)
			if err != nil || rsvp.Status != store.RSVPConfirmed || rsvp.Payer != g.Address() {
				t.Errorf("RSVP %+v, %v", rsvp, err)
			}
			if got := testnet.balance(t, g.Address()); got != 3*x402.USD-price {
				t.Errorf("the guest has %s left", got)
			}
			// Until it is reconciled the claim is open, so that nothing is forgotten.
			p.agree(t, 0).wants(t, count{payments.Settled: 1})
			p.reconcile(t)
			p.finished(t, 0).wants(t, count{payments.Settled: 1})
		})
	}
}

func TestQuote(t *testing.T) {
	w := newWorld(t)
	p := w.start(t)
	o := w.order(t, "ada", "opera", guest{newWallet(t)})
	usdc, domain, _ := x402.USDC(x402.BaseSepolia)
	want := x402.PaymentRequired{
		X402Version: 2, Error: "Payment required to book", Resource: o.Resource,
		Accepts: []x402.Requirements{{Scheme: "exact", Network: "eip155:84532", Amount: x402.NewUint256(price), Asset: usdc,
			PayTo: o.PayTo, MaxTimeoutSeconds: 300, Extra: domain}},
		Extensions: json.RawMessage(`{"payment-identifier":` + string(x402.IdentifierExtension()) + `}`),
	}
	if diff := cmp.Diff(want, p.Quote(o)); diff != "" {
		t.Errorf("quote (-want +got):\n%s", diff)
	}
	p.finished(t, 0).wants(t, count{}) // asking costs nothing, and leaves nothing
}

func TestReceipt(t *testing.T) {
	tx := x402.Bytes32{1}
	for name, c := range map[string]struct {
		payment payments.Payment
		want    x402.SettleResponse
	}{
		"settling": {payments.Payment{State: payments.Settling}, x402.SettleResponse{ErrorReason: x402.ReasonSettlementPending}},
		"settled":  {payments.Payment{State: payments.Settled, Transaction: tx}, x402.SettleResponse{Success: true, Transaction: tx.String()}},
		"failed": {payments.Payment{State: payments.Failed, Reason: x402.ReasonExpiredUnused},
			x402.SettleResponse{ErrorReason: x402.ReasonExpiredUnused}},
		"owed": {payments.Payment{State: payments.Owed, Reason: x402.ReasonTransactionFailed, Transaction: tx},
			x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed, Transaction: tx.String()}},
	} {
		t.Run(name, func(t *testing.T) {
			c.payment.Network, c.payment.X402Version, c.payment.Amount = x402.BaseSepolia, 1, price
			c.want.Network, c.want.Payer, c.want.Amount = "base-sepolia", x402.Address{}.String(), "2500000"
			if diff := cmp.Diff(c.want, payments.Receipt(c.payment)); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
		})
	}
}
