package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
)

// box is a keyring that may be locked, or forget.
type box struct {
	mu              sync.Mutex
	kept            map[string]string
	locked, forgets bool
}

func (b *box) Get(account string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if secret, ok := b.kept[account]; ok && !b.locked {
		return secret, nil
	}
	return "", errors.New("not in this box")
}

func (b *box) Set(account, secret string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locked {
		return errors.New("this box is locked")
	}
	if !b.forgets {
		b.kept[account] = secret
	}
	return nil
}

// typist types lines one after the other.
func typist(lines ...string) func(context.Context, io.Writer, string) (string, error) {
	return func(context.Context, io.Writer, string) (string, error) {
		if len(lines) == 0 {
			return "", errors.New("asked once too often")
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	}
}

// How a wallet is made on first use, and that the same sources open it again.
func TestSourcesMakeAWallet(t *testing.T) {
	for name, test := range map[string]struct {
		first, again sources
		says         string // when it is made
		fails        string
	}{
		"environment":                {first: sources{passphrase: "horse", given: true}, says: "Whoever has this file"},
		"environment before keyring": {first: sources{passphrase: "horse", given: true, keyring: &box{locked: true}}, says: "Whoever has this file"},
		"keyring":                    {first: sources{keyring: &box{kept: map[string]string{}}}, says: "in the system's keyring alone"},
		"keyring before a typist":    {first: sources{keyring: &box{kept: map[string]string{}}, prompt: typist()}, says: "in the system's keyring alone"},
		"a typist":                   {first: sources{prompt: typist("horse", "horse")}, again: sources{prompt: typist("horse")}, says: "Whoever has this file"},
		"a typist, keyring locked":   {first: sources{keyring: &box{locked: true}, prompt: typist("horse", "horse")}, again: sources{keyring: &box{}, prompt: typist("horse")}, says: "Whoever has"},
		"a typist, keyring forgets":  {first: sources{keyring: &box{kept: map[string]string{}, forgets: true}, prompt: typist("horse", "horse")}, again: sources{prompt: typist("horse")}, says: "Whoever has"},

		"nothing":                 {fails: "set CONCIERGE_WALLET_PASSPHRASE or run"},
		"a locked keyring":        {first: sources{keyring: &box{locked: true}}, fails: "this box is locked"},
		"a keyring that forgets":  {first: sources{keyring: &box{kept: map[string]string{}, forgets: true}}, fails: "does not keep"},
		"an empty passphrase":     {first: sources{given: true, prompt: typist("horse", "horse")}, fails: "is empty"},
		"a typist who mistypes":   {first: sources{prompt: typist("horse", "house")}, fails: "not the same"},
		"a typist who says nothi": {first: sources{prompt: typist("", "")}, fails: "locks nothing"},
		"a typist who leaves":     {first: sources{prompt: typist("horse")}, fails: "once too often"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys", "wallet.json")
			var notice strings.Builder
			test.first.notice, test.again.notice = &notice, &notice
			test.first.chosen = wallet.Light
			made, err := test.first.open(t.Context(), path)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%v", err)
				}
				if files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(files) > 0 {
					t.Errorf("there is %q, %v", files, err)
				}
				return
			}
			if err != nil || !strings.Contains(notice.String(), test.says) || !strings.Contains(notice.String(), made.Address().String()) {
				t.Fatalf("%v: %q", err, &notice)
			}
			if test.again.prompt == nil {
				test.again = test.first
			}
			notice.Reset()
			opened, err := test.again.open(t.Context(), path)
			if err != nil || opened.Address() != made.Address() || notice.Len() > 0 {
				t.Errorf("%v, %v: %q", opened, err, &notice)
			}
			if _, err := test.again.create(t.Context(), path); !errors.Is(err, fs.ErrExist) {
				t.Errorf("made once more: %v", err)
			}
		})
	}
}

// Which source opens a wallet that is there.
func TestSourcesOpenAWallet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.json")
	ring := &box{kept: map[string]string{}}
	made, err := sources{keyring: ring, notice: io.Discard}.open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	secret := ring.kept[made.Address().String()]
	if len(secret) < 26 {
		t.Errorf("a passphrase of %d characters", len(secret))
	}
	wrong := &box{kept: map[string]string{made.Address().String(): "house"}}
	for name, test := range map[string]struct {
		sources
		want error
	}{
		"the environment":                {sources{passphrase: secret, given: true, keyring: wrong}, nil},
		"the environment, wrong":         {sources{passphrase: "house", given: true, keyring: ring, prompt: typist(secret)}, wallet.ErrPassphrase},
		"the environment, in a hurry":    {sources{passphrase: secret, given: true, hurry: true}, nil},
		"the keyring":                    {sources{keyring: ring}, nil},
		"a typist":                       {sources{prompt: typist(secret)}, nil},
		"a typist, the keyring is wrong": {sources{keyring: wrong, prompt: typist(secret)}, nil},
		"a typist, wrong":                {sources{keyring: &box{}, prompt: typist("house")}, wallet.ErrPassphrase},
		"nothing":                        {sources{}, errMisused},
		"a keyring without it":           {sources{keyring: &box{}}, errMisused},
	} {
		w, err := test.open(t.Context(), path)
		var misused *usageError
		if errors.Is(test.want, errMisused) != errors.As(err, &misused) || !errors.Is(test.want, errMisused) && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && w.Address() != made.Address() {
			t.Errorf("%s: %s", name, w.Address())
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "house")) {
			t.Errorf("%s tells: %v", name, err)
		}
	}
}

var errMisused = errors.New("wrong usage")

// Several that are started for the first time at once have one wallet.
func TestSourcesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.json")
	ring := &box{kept: map[string]string{}}
	const processes = 8
	var addresses [processes]string
	var all sync.WaitGroup
	for i := range addresses {
		all.Go(func() {
			w, err := sources{keyring: ring, notice: io.Discard}.open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			addresses[i] = w.Address().String()
		})
	}
	all.Wait()
	if some := slices.Compact(addresses[:]); len(some) != 1 {
		t.Errorf("the wallets %v", some)
	}
}

// Where no keyring is, that is known soon, and said.
func TestNoKeyring(t *testing.T) {
	for name, test := range map[string]struct{ bus, says string }{
		"nobody is there":       {"unix:path=" + filepath.Join(t.TempDir(), "bus"), "no such file"},
		"no session":            {"autolaunch:", "no D-Bus session"},
		"what can't be read":    {"unix", "address"},
		"of a kind not known":   {"carrier-pigeon:path=/", "transport"},
		"without a runtime dir": {"", "no D-Bus session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", test.bus)
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
			k := osKeyring{time.Hour}
			if _, err := k.Get("0x00"); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("get: %v", err)
			}
			if err := k.Set("0x00", "s3cret"); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("set: %v", err)
			}
		})
	}
}

// A keyring that does not answer is not waited for.
func TestSilentKeyring(t *testing.T) {
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "bus")) // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+silent.Addr().String())
	if _, err := (osKeyring{time.Millisecond}).Get("0x00"); err == nil || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("%v", err)
	}
}
