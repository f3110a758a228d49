package guest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// Config.Rand makes the nonces; without it nothing is signed.
func TestNonce(t *testing.T) {
	payer := newCounter(t)
	p := &puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}
	c := config(t, payer)
	c.Rand = strings.NewReader(strings.Repeat("N", 32) + "too short")
	h := dial(t, p.web(t), c)
	if _, err := h.Book(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	if nonce := payer.all()[0].Nonce; string(nonce[:]) != strings.Repeat("N", 32) {
		t.Errorf("nonce %s", nonce)
	}
	if _, err := h.Book(t.Context(), wish); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, guest.ErrUnknown) {
		t.Errorf("without randomness: %v", err)
	}
	payer.must(t, 1)
}

// refusing is a wallet that does not sign.
type refusing struct{ *counter }

var errRefusing = errors.New("locked")

func (refusing) SignAuthorization(context.Context, x402.Requirements, x402.Authorization) (x402.Signature, error) {
	return nil, errRefusing
}

func TestWalletRefuses(t *testing.T) {
	p := &puppet{answer: then(required(honest), nil)}
	h := dial(t, p.web(t), config(t, refusing{newCounter(t)}))
	for range 2 {
		if _, err := h.Book(t.Context(), wish); !errors.Is(err, errRefusing) || errors.Is(err, guest.ErrUnknown) {
			t.Errorf("%v", err)
		}
	}
	if n := len(p.paidCalls()); n != 0 {
		t.Errorf("%d payments were sent", n)
	}
}
