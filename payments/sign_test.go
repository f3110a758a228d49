package payments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

const url = "mcp://tool/rsvp_to_event?event=opera"

// A receipt is signed when the payment is settled, and says what the ledger
// says: nothing in it comes from a clock.
func TestSignedReceipt(t *testing.T) {
	notary, payer, tx := newWallet(t), newWallet(t).Address(), x402.Bytes32{1}
	held := time.Unix(1_750_000_000, 999_000_000)
	for _, version := range []int{1, 2} {
		for _, state := range []payments.State{payments.Settling, payments.Settled, payments.Failed, payments.Owed} {
			p := payments.Payment{State: state, X402Version: version, Network: x402.BaseSepolia, Payer: payer, Amount: price, CreatedAt: held}
			if state == payments.Settled || state == payments.Owed {
				p.Transaction = tx
			}
			got, err := payments.SignedReceipt(t.Context(), notary, url, p)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := got.SignedReceipt()
			if err != nil || (signed != nil) != (state == payments.Settled) {
				t.Fatalf("%s: %+v, %v", state, signed, err)
			}
			if signed != nil {
				want := x402.ReceiptPayload{Version: 1, Network: "eip155:84532", ResourceURL: url, Payer: payer.String(), IssuedAt: 1_750_000_000, Transaction: tx.String()}
				if diff := cmp.Diff(want, signed.Payload); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if signer, err := evm.Recover(evm.ReceiptDigest(want), signed.Signature); err != nil || signer != notary.Address() {
					t.Errorf("signed by %s, %v", signer, err)
				}
			}
			p.UpdatedAt = held.Add(time.Hour)
			if again, err := payments.SignedReceipt(t.Context(), notary, url, p); err != nil || !cmp.Equal(got, again) {
				t.Errorf("%v\n%s", err, cmp.Diff(got, again))
			}
			got.Extensions = nil
			if diff := cmp.Diff(payments.Receipt(p), got); diff != "" {
				t.Errorf("beside it (-want +got):\n%s", diff)
			}
		}
	}
}

type mute struct{}

var errMute = errors.New("the notary is away")

func (mute) SignHash(context.Context, common.Hash) (x402.Signature, error) { return nil, errMute }

func TestNotaryFails(t *testing.T) {
	if _, err := payments.SignedReceipt(t.Context(), mute{}, url, payments.Payment{State: payments.Settled}); !errors.Is(err, errMute) {
		t.Error(err)
	}
	quote := x402.PaymentRequired{Accepts: make([]x402.Requirements, 1)}
	if _, err := payments.SignOffer(t.Context(), mute{}, quote, time.Time{}); !errors.Is(err, errMute) {
		t.Error(err)
	}
}

// BenchmarkQuote is what an unpaid call costs beside its look at the event.
func BenchmarkQuote(b *testing.B) {
	w := newWorld(b)
	p := w.start(b)
	notary := newWallet(b)
	order := w.order(b, "ada", "opera", guest{notary})
	b.Run("unsigned", func(b *testing.B) {
		for b.Loop() {
			p.Quote(order)
		}
	})
	b.Run("signed", func(b *testing.B) {
		for b.Loop() {
			if _, err := payments.SignOffer(b.Context(), notary, p.Quote(order), w.clock.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
