package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	system "github.com/zalando/go-keyring"
)

// keyringService is what secrets in the keyring belong to.
const keyringService = "concierge"

// keyringPatience is how long the keyring may take to answer: it may have to ask
// somebody to unlock it.
const keyringPatience = 20 * time.Second

// errNotInKeyring is that the keyring answers, and has no such secret.
var errNotInKeyring = errors.New("the passphrase is not in it")

// osKeyring is the operating system's keyring: the Keychain, the Credential Manager,
// or whoever answers as the Secret Service on the session's D-Bus.
type osKeyring struct{ patience time.Duration }

func (k osKeyring) Get(account string) (secret string, err error) {
	return k.ask(func() (string, error) { return system.Get(keyringService, account) })
}

func (k osKeyring) Set(account, secret string) error {
	_, err := k.ask(func() (string, error) { return "", system.Set(keyringService, account, secret) })
	return err
}

// ask never takes longer than its patience. The library takes no context, so that a
// question without an answer stays open until the process ends.
func (k osKeyring) ask(question func() (string, error)) (string, error) {
	if !hasKeyring() {
		return "", errors.New("there is none, for there is no D-Bus session")
	}
	type answer struct {
		secret string
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("it answers what can't be read")}
		defer func() {
			_ = recover() // the library's, at an answer that it did not expect
			answered <- a
		}()
		a.secret, a.err = question()
	}()
	late := time.NewTimer(k.patience)
	defer late.Stop()
	select {
	case a := <-answered:
		if errors.Is(a.err, system.ErrNotFound) {
			return "", errNotInKeyring
		}
		return a.secret, a.err
	case <-late.C:
		return "", fmt.Errorf("no answer within %v; is it locked?", k.patience)
	}
}

// hasKeyring reports whether there is anybody to ask. Without a session the library
// would start a D-Bus of its own, and leave it running.
func hasKeyring() bool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return true
	}
	if bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); bus != "" {
		return bus != "autolaunch:"
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}
