package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	cmd.Flags().StringVar(&f.where, "wallet", "", "the wallet: a keystore file (default: in your configuration directory; made on first use), or "+atCrossmint+
		"OWNER, such as "+atCrossmint+"userId:alice. The passphrase of the file is in "+envWalletPassphrase+", in the system's keyring, or asked for; a raw key may be in "+envWalletKey)
	cmd.Flags().BoolVar(&f.keyring, "keyring", true, "keep the passphrase of a new wallet in the system's keyring, and look for it there")
}

// path is that of the keystore file.
func (f *walletFlags) path() (string, error) {
	if f.where != "" {
		return f.where, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", misuse("--wallet is missing, and there is no configuration directory to look in: %v", err)
	}
	return filepath.Join(dir, "concierge", "guest-wallet.json"), nil
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
	s.passphrase, s.given = os.LookupEnv(envWalletPassphrase)
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
	if w, err := wallet.FromEnv(envWalletKey); !errors.Is(err, wallet.ErrNoWallet) {
		return w, err
	}
	path, err := g.wallet.path()
	if err != nil {
		return nil, err
	}
	return s.open(ctx, path)
}

// create makes a new wallet, and fails if there is one.
func (g *guestFlags) create(ctx context.Context, s sources) (wallet.Signer, error) {
	if strings.HasPrefix(g.wallet.where, atCrossmint) {
		return nil, misuse("leave out --create: at Crossmint a wallet is made when it is first asked for")
	}
	path, err := g.wallet.path()
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
	client, err := openCrossmint(network)
	if err != nil {
		return nil, err
	}
	return client.Wallet(ctx, owner)
}
