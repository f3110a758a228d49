package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// claim is number n of user's.
func claim(user string, n int) payments.Claim {
	p := paid(n, 1)
	return payments.Claim{
		ClaimKey: payments.ClaimKey{Network: p.Network, Asset: p.Asset, Payer: p.Payer, Nonce: p.Nonce},
		User:     user, PaymentID: fmt.Sprintf("%s-%d", user, n), Fingerprint: sha256.Sum256([]byte{byte(n)}),
		ClaimedAt: start.Add(time.Duration(n) * time.Second),
	}
}

func claimOf(t *testing.T, c *store.Claims, claim, want payments.Claim, wantWon bool) {
	t.Helper()
	standing, won, err := c.Claim(t.Context(), claim)
	if err != nil || won != wantWon || standing != want {
		t.Errorf("claimed %+v, %v, %v, want %+v, %v", standing, won, err, want, wantWon)
	}
}

func TestClaim(t *testing.T) {
	c := MustOpenServer(t, &clock{}).Claims()
	first := claim("ann", 1)
	if _, ok, err := c.Find(t.Context(), first.ClaimKey); ok || err != nil {
		t.Errorf("found %v, %v", ok, err)
	}
	claimOf(t, c, first, first, true)
	again := first
	again.ClaimedAt = start.Add(time.Hour)
	claimOf(t, c, again, first, true)
	claimOf(t, c, claim("bob", 1), first, false)
	other := first
	other.Fingerprint[0]++
	claimOf(t, c, other, first, false)
	if got, ok, err := c.Find(t.Context(), first.ClaimKey); got != first || !ok || err != nil {
		t.Errorf("found %+v, %v, %v", got, ok, err)
	}

	for name, change := range map[string]func(*payments.ClaimKey){
		"network": func(k *payments.ClaimKey) { k.Network = x402.Base },
		"asset":   func(k *payments.ClaimKey) { k.Asset[0]++ },
		"payer":   func(k *payments.ClaimKey) { k.Payer[0]++ },
		"nonce":   func(k *payments.ClaimKey) { k.Nonce[0]++ },
	} {
		other := first
		other.PaymentID = name
		change(&other.ClaimKey)
		claimOf(t, c, other, other, true)
	}
	timeless := claim("ann", 2)
	timeless.ClaimedAt = time.Time{}
	want := timeless
	want.ClaimedAt = start
	claimOf(t, c, timeless, want, true)

	reused := claim("ann", 3)
	reused.PaymentID = first.PaymentID
	if _, _, err := c.Claim(t.Context(), reused); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a payment of two authorizations: %v", err)
	}
	reused.PaymentID = ""
	if _, _, err := c.Claim(t.Context(), reused); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a payment without id: %v", err)
	}
}

// An identifier is one payment's, of one payer on one Host, until it is given up.
func TestIdentifiers(t *testing.T) {
	c := MustOpenServer(t, &clock{}).Claims()
	named := func(user string, n int, identifier string) payments.Claim {
		x := claim(user, n)
		x.Identifier = identifier
		return x
	}
	const id, other = "identifier-number-1", "identifier-number-2"
	first := named("ann", 1, id)
	first.Payer = claim("ann", 2).Payer
	claimOf(t, c, first, first, true)
	claimOf(t, c, first, first, true)
	claimOf(t, c, named("ann", 2, id), first, false)
	elsewhere := named("bob", 8, id)
	elsewhere.Payer = first.Payer
	for _, free := range []payments.Claim{named("ann", 3, id), elsewhere, named("ann", 4, other), named("ann", 5, "")} {
		claimOf(t, c, free, free, true)
	}
	renamed := first
	renamed.Identifier = other
	claimOf(t, c, renamed, first, false)
	find := func(user string, payer x402.Address, identifier string, want payments.Claim) {
		t.Helper()
		got, found, err := c.Identified(t.Context(), user, payer, identifier)
		if err != nil || got != want || found != (want != payments.Claim{}) {
			t.Errorf("found %+v, %v, %v; want %+v", got, found, err, want)
		}
	}
	find("ann", first.Payer, id, first)
	find("ann", first.Payer, "", payments.Claim{})
	find("eve", first.Payer, id, payments.Claim{})

	for _, paymentID := range []string{first.PaymentID, first.PaymentID, "none"} {
		if err := c.FreeIdentifier(t.Context(), paymentID); err != nil {
			t.Error(err)
		}
	}
	find("ann", first.Payer, id, payments.Claim{})
	unnamed := first
	unnamed.Identifier = ""
	claimOf(t, c, first, unnamed, false) // the claim stands, as does its fingerprint
	second := named("ann", 2, id)
	claimOf(t, c, second, second, true)
	if err := c.Release(t.Context(), second.ClaimKey, second.PaymentID); err != nil {
		t.Error(err)
	}
	third := named("ann", 6, id)
	third.Payer = second.Payer
	claimOf(t, c, third, third, true)
	if err := c.Close(t.Context(), []string{third.PaymentID}); err != nil {
		t.Error(err)
	}
	claimOf(t, c, second, third, false) // closed claims keep theirs
	if _, _, err := c.Claim(t.Context(), named("ann", 7, "short")); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a short identifier: %v", err)
	}
}

// Of payments with one identifier that come at once, one gets it.
func TestIdentifierRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	claims := []*store.Claims{reopenServer(t, &clock{}, path).Claims(), reopenServer(t, &clock{}, path).Claims()}
	var wg sync.WaitGroup
	var winners atomic.Int32
	for i := range 50 {
		wg.Go(func() {
			mine := claim("ann", i)
			mine.Payer, mine.Identifier = claim("ann", 0).Payer, "the-same-identifier"
			_, won, err := claims[i%2].Claim(t.Context(), mine)
			if err != nil {
				t.Error(err)
			}
			if won {
				winners.Add(1)
			}
		})
	}
	wg.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d winners", winners.Load())
	}
}

func TestReleaseAndClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	c := reopenServer(t, &clock{}, path).Claims()
	open := func(want ...payments.Claim) {
		t.Helper()
		for _, from := range []*store.Claims{c, reopenServer(t, &clock{}, path).Claims()} {
			got, err := from.Open(t.Context())
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("open: %v %s", err, diff)
			}
		}
	}
	open()
	a, b, d := claim("ann", 1), claim("ann", 2), claim("ann", 3)
	for _, x := range []payments.Claim{d, a, b} {
		claimOf(t, c, x, x, true)
	}
	open(a, b, d)

	release := func(x payments.Claim) {
		t.Helper()
		if err := c.Release(t.Context(), x.ClaimKey, x.PaymentID); err != nil {
			t.Error(err)
		}
	}
	release(claim("bob", 1)) // not bob's
	release(b)
	release(b)
	open(a, d)
	claimOf(t, c, claim("bob", 2), claim("bob", 2), true) // free for others
	open(a, claim("bob", 2), d)

	for _, ids := range [][]string{nil, {}, {a.PaymentID, "none", `'"`}, {a.PaymentID}} {
		if err := c.Close(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
	}
	open(claim("bob", 2), d)
	release(a) // closed claims stand
	claimOf(t, c, claim("bob", 1), a, false)
	claimOf(t, c, a, a, true)
	open(claim("bob", 2), d)
}

func TestClaimRace(t *testing.T) {
	var c clock
	path := filepath.Join(t.TempDir(), "server.db")
	claims := []*store.Claims{reopenServer(t, &c, path).Claims(), reopenServer(t, &c, path).Claims()}
	var wg sync.WaitGroup
	var winners atomic.Int32
	standing := make([]payments.Claim, 100)
	for i := range standing {
		wg.Go(func() {
			mine := claim(fmt.Sprintf("user%d", i), 1)
			var won bool
			var err error
			standing[i], won, err = claims[i%2].Claim(t.Context(), mine)
			if err != nil {
				t.Error(err)
			}
			if won != (standing[i] == mine) {
				t.Errorf("won %v, but %+v stands", won, standing[i])
			}
			if won {
				winners.Add(1)
			}
		})
	}
	wg.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d winners", winners.Load())
	}
	for _, s := range standing {
		if s != standing[0] {
			t.Errorf("%+v and %+v both stand", s, standing[0])
		}
	}
}
