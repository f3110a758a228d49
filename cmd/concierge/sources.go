package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/events-concierge/concierge/payments/wallet"
)

// sources are where the passphrase of a keystore file may come from: the first that
// there is, in this order.
type sources struct {
	passphrase string // in the environment, if given
	given      bool
	keyring    keyring // nil: none is asked
	// prompt asks a person for a passphrase. Nil: there is nobody to ask.
	prompt func(ctx context.Context, notice io.Writer, question string) (string, error)
	notice io.Writer       // for the person; never standard output
	hurry  bool            // open the wallet when it first signs, if that takes long
	chosen wallet.Strength // of files that are locked with a passphrase that somebody chose
}

// keyring keeps secrets by the name of an account.
type keyring interface {
	Get(account string) (secret string, err error)
	Set(account, secret string) error
}

// open opens the wallet in a keystore file, and makes it if there is none. Errors:
// [wallet.ErrNoWallet] if there is none and nothing to lock one with.
func (s sources) open(ctx context.Context, path string) (wallet.Signer, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		w, err := s.create(ctx, path)
		if !errors.Is(err, fs.ErrExist) { // else another process was faster
			return w, err
		}
	}
	return s.unlock(ctx, path)
}

func (s sources) unlock(ctx context.Context, path string) (wallet.Signer, error) {
	switch {
	case s.given && s.hurry:
		return wallet.Later(path, s.passphrase)
	case s.given:
		return wallet.Open(path, s.passphrase)
	}
	w, inKeyring := s.unlockByKeyring(path)
	if inKeyring == nil {
		return w, nil
	}
	if s.prompt == nil {
		return nil, misuse("the passphrase of the wallet %s is missing: set %s, or use it in a terminal to be asked (the system's keyring: %v)", path, envWalletPassphrase, inKeyring)
	}
	passphrase, err := s.prompt(ctx, s.notice, "Passphrase of the wallet: ")
	if err != nil {
		return nil, err
	}
	return wallet.Open(path, passphrase)
}

// unlockByKeyring fails, with what to tell a person, when the keyring is of no use.
func (s sources) unlockByKeyring(path string) (*wallet.Local, error) {
	if s.keyring == nil {
		return nil, errors.New("it is not asked")
	}
	account, err := wallet.Whose(path)
	if err != nil {
		return nil, err
	}
	secret, err := s.keyring.Get(account.String())
	if err != nil {
		return nil, err
	}
	return wallet.Open(path, secret)
}

// create makes a wallet in a new keystore file. Errors: [fs.ErrExist],
// [wallet.ErrNoWallet] if there is nothing to lock one with.
func (s sources) create(ctx context.Context, path string) (*wallet.Local, error) {
	if _, err := os.Stat(path); err == nil {
		return nil, fs.ErrExist
	}
	w, err := wallet.New(rand.Reader)
	if err != nil {
		return nil, err
	}
	l, err := s.lock(ctx, path, w.Address().String())
	if err != nil {
		return nil, err
	}
	if err := w.Save(path, l.passphrase, l.strength); err != nil {
		return nil, err
	}
	fmt.Fprintf(s.notice, "Made the wallet %s: %s.\n%s\n", w.Address(), path, l.warning)
	return w, nil
}

// lock is what a new keystore file is locked with.
type lock struct {
	passphrase string
	strength   wallet.Strength
	warning    string
}

func (s sources) lock(ctx context.Context, path, account string) (lock, error) {
	const warning = "Whoever has this file and its passphrase has the money; without either nobody has."
	if s.given {
		if s.passphrase == "" {
			return lock{}, misuse("%s is empty, which locks nothing", envWalletPassphrase)
		}
		return lock{s.passphrase, s.chosen, warning}, nil
	}
	secret := rand.Text() // of 128 bits and more, which nobody guesses
	inKeyring := keep(s.keyring, account, secret)
	if inKeyring == nil {
		return lock{secret, wallet.Light, "Its passphrase is in the system's keyring alone (" + keyringService + ", " + account + "): keep a copy of both, for neither opens it alone."}, nil
	}
	if s.prompt == nil {
		return lock{}, fmt.Errorf("%w: %s; to make one, set %s or run 'concierge guest wallet' in a terminal (the system's keyring: %w)", wallet.ErrNoWallet, path, envWalletPassphrase, inKeyring)
	}
	passphrase, err := askTwice(ctx, s.prompt, s.notice, "There is no wallet yet. A passphrase to lock a new one with: ")
	return lock{passphrase, s.chosen, warning}, err
}

// keep has a keyring keep a secret, and makes sure that it does: a wallet whose
// passphrase is lost swallows what is sent to it.
func keep(k keyring, account, secret string) error {
	if k == nil {
		return errors.New("it is not asked")
	}
	if err := k.Set(account, secret); err != nil {
		return err
	}
	if kept, err := k.Get(account); err != nil || kept != secret {
		return errors.New("it does not keep what it is given")
	}
	return nil
}
