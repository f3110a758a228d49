package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/wallet"
)

// Environment variables with a Guest's secrets, which are never flags.
const (
	envWalletKey        = "CONCIERGE_WALLET_KEY"
	envWalletPassphrase = "CONCIERGE_WALLET_PASSPHRASE"
)

// walletFlags say which wallet a Guest has.
type walletFlags struct {
	where   string
	keyring bool
}

func (f *walletFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.where, "wallet", "", "the wallet: a keystore file (default: "+walletFile+" in --home; made on first use), or "+atCrossmint+
		"OWNER, such as "+atCrossmint+"userId:alice. The passphrase of the file is in "+envWalletPassphrase+", in the system's keyring, or asked for; a raw key may be in "+envWalletKey)
	cmd.Flags().BoolVar(&f.keyring, "keyring", true, "keep the passphrase of a new wallet in the system's keyring, and look for it there")
}

// path is that of the keystore file.
func (g *guestFlags) path() (string, error) {
	if g.wallet.where != "" {
		return g.wallet.where, nil
	}
	return g.file(walletFile)
}

// asking are the sources of a command that somebody may be watching.
func (g *guestFlags) asking(notice io.Writer) sources {
	s := g.unattended(notice)
	s.hurry = false
	if atTerminal() {
		s.prompt = ask
	}
	return s
}

// unattended are those of one whose standard input is not a person's, and whose
// client wants its first answer soon.
func (g *guestFlags) unattended(notice io.Writer) sources {
	s := sources{notice: notice, hurry: true}
	passphrase, given := secretWalletPassphrase.given()
	s.passphrase, s.given = passphrase.Reveal(), given
	if g.wallet.keyring {
		s.keyring = osKeyring{keyringPatience}
	}
	return s
}

// open opens the wallet, and makes it if there is none and something to lock it
// with. Errors: [wallet.ErrNoWallet].
func (g *guestFlags) open(ctx context.Context, s sources) (wallet.Signer, error) {
	if owner, ok := strings.CutPrefix(g.wallet.where, atCrossmint); ok {
		return g.custodial(ctx, owner)
	}
	key, _ := secretWalletKey.given()
	if w, err := wallet.FromHex(envWalletKey, key.Reveal()); !errors.Is(err, wallet.ErrNoWallet) {
		return w, err
	}
	path, err := g.path()
	if err != nil {
		return nil, err
	}
	return s.open(ctx, path)
}

// look opens the wallet for its address alone: nobody is asked for a passphrase, and
// none is made. Errors: [wallet.ErrNoWallet].
func (g *guestFlags) look(ctx context.Context) (wallet.Signer, error) {
	path, err := g.path()
	if err == nil && !strings.HasPrefix(g.wallet.where, atCrossmint) && !(*credentials)(nil).has(secretWalletKey) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, wallet.ErrNoWallet
		}
		return wallet.Later(path, "")
	}
	return g.open(ctx, sources{notice: io.Discard})
}

// none is the wallet of a command that is about no money.
func (g *guestFlags) none(context.Context) (wallet.Signer, error) { return nil, wallet.ErrNoWallet }

// create makes a new wallet, and fails if there is one.
func (g *guestFlags) create(ctx context.Context, s sources) (wallet.Signer, error) {
	if strings.HasPrefix(g.wallet.where, atCrossmint) {
		return nil, misuse("leave out --create: at Crossmint a wallet is made when it is first asked for")
	}
	path, err := g.path()
	if err != nil {
		return nil, err
	}
	w, err := s.create(ctx, path)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("there is a wallet at %s already, and none is ever overwritten: leave out --create to use it", path)
	}
	return w, err
}

// custodial opens the wallet of an owner at Crossmint.
func (g *guestFlags) custodial(ctx context.Context, owner string) (wallet.Signer, error) {
	network, err := g.network.network()
	if err != nil {
		return nil, err
	}
	client, err := openCrossmint(network, nil)
	if err != nil {
		return nil, err
	}
	return client.Wallet(ctx, owner)
}
