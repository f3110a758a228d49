package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// ErrWallet means that a new Host can't be given a wallet now.
var ErrWallet = errors.New("no wallet can be made")

// keptWallet is the wallet that is kept for a user in their file: a key of ours, or the
// address of a wallet at Crossmint. The zero value is none.
type keptWallet struct {
	key       *wallet.Local
	crossmint x402.Address
}

// custody is what a file has in the place of a sealed key when the wallet is at
// Crossmint. It is no secret.
type custody struct {
	Crossmint *x402.Address `json:"crossmint"`
}

func (p keptWallet) address() x402.Address {
	if p.key != nil {
		return p.key.Address()
	}
	return p.crossmint
}

// kept returns the wallet that is kept in a user's file.
func (h *Hosts) kept(ctx context.Context, user string, file *store.Host) (keptWallet, error) {
	kept, err := file.SealedWallet(ctx)
	if err != nil || kept == nil {
		return keptWallet{}, err
	}
	return h.openKept(user, kept)
}

func (h *Hosts) openKept(user string, kept []byte) (keptWallet, error) {
	var elsewhere custody
	if json.Unmarshal(kept, &elsewhere) == nil && elsewhere.Crossmint != nil {
		return keptWallet{crossmint: *elsewhere.Crossmint}, nil
	}
	key, err := wallet.Unseal(kept, h.passphrase(user))
	return keptWallet{key: key}, err
}

// newWallet makes the wallet of a user who has none. It is in the user's file
// before its address is told to anybody; should two try at once, the first one
// stays. Errors: [ErrWallet].
func (h *Hosts) newWallet(ctx context.Context, user string) (x402.Address, error) {
	kept, err := h.newKept(ctx, user)
	if err != nil {
		return x402.Address{}, err
	}
	if kept, err = h.Files.Host(h.path(user)).KeepWallet(ctx, kept); err != nil {
		return x402.Address{}, err
	}
	p, err := h.openKept(user, kept)
	return p.address(), err
}

// newKept makes a wallet as a file keeps it. At Crossmint the same user has the same
// one however often it is made.
func (h *Hosts) newKept(ctx context.Context, user string) ([]byte, error) {
	if h.AtCrossmint {
		w, err := h.Crossmint.Wallet(ctx, "userId:"+user)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWallet, err)
		}
		address := w.Address()
		return json.Marshal(custody{&address})
	}
	w, err := wallet.New(h.Rand)
	if err != nil {
		return nil, err
	}
	return w.Seal(h.passphrase(user), wallet.Light)
}

// wallet opens the wallet of a user's Host. Errors: [payments.ErrNoWallet].
func (h *Hosts) wallet(ctx context.Context, user string) (payments.Signer, error) {
	host, err := h.Host(ctx, user)
	if err != nil {
		return nil, err
	}
	p, err := h.kept(ctx, user, h.Files.Host(h.path(user)))
	switch {
	case err != nil:
		return nil, err
	case p.address().IsZero(), p.address() != host.PayTo:
		return nil, payments.ErrNoWallet
	case p.key != nil:
		return p.key, nil
	case h.Crossmint == nil:
		return nil, errors.New("the host's wallet is at Crossmint, and there is no key for it")
	}
	return h.Crossmint.At(p.crossmint), nil
}

// Custody is who keeps the key of the wallet that a Host's guests pay to.
type Custody string

// Who may keep it.
const (
	KeptHere      Custody = "here"      // this server, sealed
	KeptCrossmint Custody = "crossmint" // Crossmint
	KeptElsewhere Custody = "elsewhere" // its owner: the server knows the address alone
)

// Custody returns who keeps the key of a Host's wallet.
func (h *Hosts) Custody(ctx context.Context, host *tools.Host) (Custody, error) {
	p, err := h.kept(ctx, host.User, h.Files.Host(h.path(host.User)))
	switch {
	case err != nil:
		return "", err
	case p.address().IsZero(), p.address() != host.PayTo:
		return KeptElsewhere, nil
	case p.key == nil:
		return KeptCrossmint, nil
	}
	return KeptHere, nil
}

// notary returns who signs a Host's offers and receipts: the wallet that its guests
// pay to, if its key is here. Nil: nobody does.
func (h *Hosts) notary(ctx context.Context, host *tools.Host) (payments.Notary, error) {
	p, err := h.kept(ctx, host.User, h.Files.Host(h.path(host.User)))
	if err != nil || p.key == nil || p.key.Address() != host.PayTo {
		return nil, err
	}
	return p.key, nil
}
