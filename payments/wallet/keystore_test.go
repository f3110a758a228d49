package wallet_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

const passphrase = "correct horse battery staple"

// names returns what is in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestCreateAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	path := filepath.Join(dir, "wallet.json")
	made, err := wallet.Create(path, passphrase, wallet.Light, random())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := wallet.Open(path, passphrase)
	if err != nil || opened.Address() != made.Address() || made.Address().IsZero() {
		t.Fatalf("%v, %v; made %s", opened, err, made.Address())
	}
	one, errOne := made.SignHash(t.Context(), common.Hash{1})
	two, errTwo := opened.SignHash(t.Context(), common.Hash{1})
	if errOne != nil || errTwo != nil || !bytes.Equal(one, two) {
		t.Errorf("another key: %v, %v", errOne, errTwo)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory mode %v, %v", info.Mode(), err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wallet.json")
	if _, err := wallet.Create(path, passphrase, wallet.Light, random()); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path, passphrase string
		want             error // nil for one that is none of the others
	}{
		"wrong passphrase":     {path, "wrong", wallet.ErrPassphrase},
		"no passphrase":        {path, "", wallet.ErrPassphrase},
		"passphrase and space": {path, passphrase + " ", wallet.ErrPassphrase},
		"missing":              {filepath.Join(dir, "missing.json"), passphrase, wallet.ErrNoWallet},
		"missing directory":    {filepath.Join(dir, "no", "wallet.json"), passphrase, wallet.ErrNoWallet},
		"a directory":          {dir, passphrase, nil},
		"not a keystore":       {broken, passphrase, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := wallet.Open(test.path, test.passphrase)
			if err == nil || w != nil {
				t.Fatalf("%v, %v", w, err)
			}
			for _, sentinel := range []error{wallet.ErrPassphrase, wallet.ErrNoWallet} {
				if errors.Is(err, sentinel) != (sentinel == test.want) {
					t.Errorf("%v: is %q: %v", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if !strings.Contains(err.Error(), test.path) {
				t.Errorf("the file is not named in %q", err)
			}
			if strings.Contains(err.Error(), passphrase) {
				t.Errorf("the passphrase is in %q", err)
			}
		})
	}
}

// A wallet that is there may hold money.
func TestCreateNeverOverwrites(t *testing.T) {
	for name, place := range map[string]func(path string) error{
		"a file":       func(path string) error { return os.WriteFile(path, []byte("precious"), 0o644) },
		"an empty one": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a directory":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a link": func(path string) error {
			return errors.Join(os.WriteFile(path+".target", []byte("precious"), 0o600), os.Symlink(path+".target", path))
		},
		"a link to nothing": func(path string) error { return os.Symlink(path+".nothing", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "wallet.json")
			if err := place(path); err != nil {
				t.Fatal(err)
			}
			before, there := names(t, dir), contents(t, path)
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if w, err := wallet.Create(path, passphrase, wallet.Light, random()); !errors.Is(err, fs.ErrExist) || w != nil {
				t.Errorf("%v, %v", w, err)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(info, after) || after.Mode() != info.Mode() || contents(t, path) != there {
				t.Error("it was touched")
			}
			if got := names(t, dir); strings.Join(got, " ") != strings.Join(before, " ") {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// contents returns what is in a file, or that there is none to read.
func contents(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func TestCreateConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.json")
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		made []x402.Address
	)
	for i := range 20 {
		all.Go(func() {
			source := bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 32)) // a key of its own
			w, err := wallet.Create(path, passphrase, wallet.Light, source)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made = append(made, w.Address())
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(made) != 1 {
		t.Fatalf("%d of 20 made the wallet", len(made))
	}
	w, err := wallet.Open(path, passphrase)
	if err != nil || w.Address() != made[0] {
		t.Errorf("%v, %v; want %s", w, err, made[0])
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestCreateWhereItCannot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err := wallet.Create(filepath.Join(file, "wallet.json"), passphrase, wallet.Light, random()); err == nil || w != nil {
		t.Errorf("%v, %v", w, err)
	}
}

// Whose wallet a file is of is known before it opens; who signs with it later needs
// its passphrase then.
func TestLater(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wallet.json")
	made, err := wallet.Create(path, passphrase, wallet.Light, random())
	if err != nil {
		t.Fatal(err)
	}
	if address, err := wallet.Whose(path); err != nil || address != made.Address() {
		t.Errorf("%s, %v", address, err)
	}
	r := required()
	a := x402.Authorization{From: made.Address(), To: r.PayTo, Value: r.Amount, ValidBefore: x402.NewUint256(1)}
	want, err := made.SignAuthorization(t.Context(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		passphrase string
		want       error
	}{{passphrase, nil}, {passphrase + "x", wallet.ErrPassphrase}} {
		later, err := wallet.Later(path, test.passphrase)
		if err != nil || later.Address() != made.Address() {
			t.Fatalf("%v, %v", later, err)
		}
		for range 2 {
			if got, err := later.SignAuthorization(t.Context(), r, a); !errors.Is(err, test.want) || err == nil && !bytes.Equal(got, want) {
				t.Errorf("%x, %v", got, err)
			}
		}
	}
	silent := filepath.Join(dir, "silent.json") // that does not say whose it is
	sealed, err := made.Seal(passphrase, wallet.Light)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(silent, bytes.Replace(sealed, []byte(`"address"`), []byte(`"address_"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if later, err := wallet.Later(silent, passphrase); err != nil || later.Address() != made.Address() {
		t.Errorf("%v, %v", later, err)
	}
	large := filepath.Join(dir, "large.json")
	if err := os.WriteFile(large, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{large, filepath.Join(dir, "missing.json")} {
		if _, err := wallet.Whose(bad); err == nil || errors.Is(err, wallet.ErrNoWallet) == (bad == large) {
			t.Errorf("%s: %v", bad, err)
		}
		if _, err := wallet.Later(bad, passphrase); err == nil {
			t.Errorf("%s opens", bad)
		}
	}
	if err := made.Save(path, "another", wallet.Light); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over: %v", err)
	}
}
