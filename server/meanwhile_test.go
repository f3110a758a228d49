package server_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

// What happens to an authorization behind the server's back, after the payment
// was found good and the seat was held.
func TestMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name   string
		settle func(*shop, *fate) settlement
		answer string // the RSVP's status, or the reason why there is none
		last   string // its status when the authorization has expired
		moved  x402.Amount
	}{
		{"cancelled by its payer", func(s *shop, f *fate) settlement {
			return func(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
				s.submit(s.cancellation(p.Payload.Authorization))
				return f.Facilitator.Settle(ctx, p, r)
			}
		}, string(x402.ReasonTransactionState), "failed", 0},
		{"submitted by somebody else", func(s *shop, f *fate) settlement {
			return func(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
				s.submit(s.transfer(p))
				return f.Facilitator.Settle(ctx, p, r)
			}
		}, "confirmed", "confirmed", 150_000},
		{"submitted by somebody else alone", func(s *shop, f *fate) settlement {
			return func(_ context.Context, p x402.Payment, _ x402.Requirements) (x402.SettleResponse, error) {
				s.submit(s.transfer(p))
				return x402.SettleResponse{ErrorReason: x402.ReasonTransactionFailed}, nil
			}
		}, "confirmed", "confirmed", 150_000},
		{"a receipt with status 1 and no transfer", func(s *shop, f *fate) settlement {
			return func(_ context.Context, p x402.Payment, _ x402.Requirements) (x402.SettleResponse, error) {
				p.Payload.Authorization.Nonce[0]++ // so that the token refuses it
				tx := s.submitTo(devnet.Multicall3(), s.tolerant(s.transfer(p)))
				return x402.SettleResponse{Success: true, Transaction: tx.Hex()}, nil
			}
		}, "pending", "failed", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, facilitator := fatedShop(t)
			facilitator.set(test.settle(s, facilitator))
			arguments := s.arguments(s.event, 3) // all that there are
			s.asked = s.quote(s.a.URL, arguments)
			p := s.signed(2, nil)
			got := s.call(s.a.URL, "rsvp_to_event", arguments, &p)
			var answer struct{ Status, Error string }
			if err := json.Unmarshal(got.structured, &answer); err != nil || answer.Status+answer.Error != test.answer {
				t.Errorf("the answer is %s, %v", got.text, err)
			}
			facilitator.set(nil)
			if test.answer == "pending" {
				if left := s.seatsLeft(); left != 0 {
					t.Errorf("%d seats are left while it is pending", left)
				}
				s.later(time.Hour) // nobody submits what has expired
			}
			if err := s.hosts.Cashier.Reconcile(t.Context()); err != nil {
				t.Error(err)
			}
			if rows := s.count(s.hostFile(s.a), "SELECT count(*) FROM rsvps WHERE status = '"+test.last+"'"); rows != 1 {
				t.Errorf("%d RSVPs are %s", rows, test.last)
			}
			wantLeft := 3
			if test.last == "confirmed" {
				wantLeft = 0
			}
			if left := s.seatsLeft(); left != wantLeft {
				t.Errorf("%d seats are left, want %d", left, wantLeft)
			}
			if paid, has := s.balance(s.a.Wallet), s.balance(s.purse.Address()); paid != test.moved || has != 10*x402.USD-test.moved || s.revenue(s.a) != test.moved.String() {
				t.Errorf("paid %s, the payer has %s, revenue %s", paid, has, s.revenue(s.a))
			}
		})
	}
}

func (s *shop) seatsLeft() int {
	s.t.Helper()
	var e tools.Event
	s.do("GET", "/api/users/"+s.a.User+"/events/"+s.event, "", nil, &e)
	return *e.SeatsLeft
}

// transfer is the call of the token that settles p.
func (s *shop) transfer(p x402.Payment) []byte {
	s.t.Helper()
	data, err := s.client.PackTransfer(p.Payload.Authorization, p.Payload.Signature)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// tolerant is a call of Multicall3 that succeeds whether the token's does or not.
func (s *shop) tolerant(data []byte) []byte {
	s.t.Helper()
	multi, err := abi.JSON(strings.NewReader(`[{"type":"function","name":"aggregate3","stateMutability":"payable","outputs":[],
		"inputs":[{"name":"calls","type":"tuple[]","components":[
			{"name":"target","type":"address"},{"name":"allowFailure","type":"bool"},{"name":"callData","type":"bytes"}]}]}]`))
	if err != nil {
		s.t.Fatal(err)
	}
	type call struct {
		Target       common.Address
		AllowFailure bool
		CallData     []byte
	}
	packed, err := multi.Pack("aggregate3", []call{{devnet.USDC(), true, data}})
	if err != nil {
		s.t.Fatal(err)
	}
	return packed
}
