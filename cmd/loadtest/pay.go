package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// purchases makes n paid calls, each of a payer of its own: who has booked once
// may not book again. They are signed beforehand, so that signing them takes
// nothing from the server.
func purchases(ctx context.Context, user, event string, quote []byte, n int) ([]call, error) {
	var a answer
	if err := json.Unmarshal(quote, &a); err != nil {
		return nil, err
	}
	required, err := x402.DecodeRequired(a.Result.Structured)
	if err != nil {
		return nil, fmt.Errorf("the quote: %w", err)
	}
	all, failed := make([]call, n), make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for w := range failed {
		wg.Go(func() {
			for i := w; i < n && failed[w] == nil; i += len(failed) {
				var payment json.RawMessage
				payment, failed[w] = pay(ctx, required)
				all[i] = call{post(path(user), "", tool("rsvp_to_event", map[string]any{"event_id": event},
					map[string]any{x402.MetaPayment: payment})), confirmed}
			}
		})
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pay signs for a quote with a wallet that is used for nothing else.
func pay(ctx context.Context, required x402.PaymentRequired) (json.RawMessage, error) {
	key, err := wallet.New(rand.Reader)
	if err != nil {
		return nil, err
	}
	r := required.Accepts[0]
	now := time.Now()
	a := x402.Authorization{From: key.Address(), To: r.PayTo, Value: r.Amount,
		ValidAfter:  x402.NewUint256(uint64(now.Add(-10 * time.Minute).Unix())),
		ValidBefore: x402.NewUint256(uint64(now.Add(time.Hour).Unix()))}
	if _, err := io.ReadFull(rand.Reader, a.Nonce[:]); err != nil {
		return nil, err
	}
	signature, err := key.SignAuthorization(ctx, r, a)
	if err != nil {
		return nil, err
	}
	return json.Marshal(x402.Payment{Version: 2, Scheme: r.Scheme, Network: r.Network, Accepted: &r, Resource: &required.Resource,
		Payload: x402.Payload{Signature: signature, Authorization: a}})
}
