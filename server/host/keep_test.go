package host_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
)

const theirs = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"

// custodian is a client of a Crossmint that has the same wallet for everybody.
func custodian(t *testing.T) *crossmint.Client {
	t.Helper()
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Owner string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"chainType": "evm", "type": "smart", "address": theirs, "owner": asked.Owner,
			"config": map[string]any{"adminSigner": map[string]any{"type": "api-key"}}})
	}))
	t.Cleanup(listener.Close)
	c, err := crossmint.New(crossmint.Config{Key: "sk_staging_5ecret", Network: x402.BaseSepolia, URL: listener.URL,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keeping opens a directory with a key for Crossmint, or without.
func keeping(t *testing.T, dir string, c *crossmint.Client, forNew bool) *host.Hosts {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Network: "devnet", Log: testlog.New(), Lease: 20 * time.Millisecond,
		Crossmint: c, AtCrossmint: forNew, SignReceipts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

// A wallet at Crossmint is a Host's for ever, whatever new Hosts get; nobody signs
// receipts for it, and of its key there is nothing to export.
func TestWalletAtCrossmint(t *testing.T) {
	dir := t.TempDir()
	h := keeping(t, dir, custodian(t), true)
	u := register(t, h, "ada@example.org")
	if u.WalletAddress.String() != theirs {
		t.Fatalf("%+v", u)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = keeping(t, dir, nil, false)
	opened, err := h.Host(t.Context(), u.ID)
	if err != nil || opened.PayTo != u.WalletAddress || opened.Notary != nil {
		t.Errorf("%+v, %v", opened, err)
	}
	local := register(t, h, "bob@example.org")
	if hosted, err := h.Host(t.Context(), local.ID); err != nil || hosted.Notary == nil {
		t.Errorf("%+v, %v", hosted, err)
	}
	d, err := h.Departure(t.Context(), u.ID)
	if err != nil || d.Crossmint != u.WalletAddress || !d.Wallet.IsZero() {
		t.Errorf("%+v, %v", d, err)
	}
	path := filepath.Join(t.TempDir(), "ada.zip")
	if err := h.Remove(t.Context(), u.ID, host.Export{Path: path}); err != nil { // without a passphrase
		t.Fatal(err)
	}
	parts, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Close()
	for _, part := range parts.File {
		if part.Name == "wallet.json" {
			t.Error("a key is in the export")
		}
	}
}

// Who can't be given a wallet is not registered, and can be later.
func TestNoWalletAtCrossmint(t *testing.T) {
	c := custodian(t)
	there := c.URL
	c.URL = "http://127.0.0.1:1"
	h := keeping(t, t.TempDir(), c, true)
	if _, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"}); !errors.Is(err, host.ErrWallet) || !errors.Is(err, crossmint.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	c.URL = there
	register(t, h, "ada@example.org")
	if h, err := host.Open(t.Context(), host.Config{Dir: t.TempDir(), AtCrossmint: true}); err == nil {
		h.Close(t.Context())
		t.Error("wallets are to be at Crossmint, and there is no key")
	}
}
