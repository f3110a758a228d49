package wallet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/server/testlog"
)

func TestSealAndUnseal(t *testing.T) {
	w := publicWallet(t)
	for name, secret := range map[string]string{"usual": passphrase, "empty": "", "not ASCII": "пароль\x00🔑", "long": strings.Repeat("x", 1<<16)} {
		t.Run(name, func(t *testing.T) {
			sealed, err := w.Seal(secret, wallet.Light)
			if err != nil {
				t.Fatal(err)
			}
			if !hides(string(sealed), publicKey) {
				t.Error("the key is not sealed")
			}
			again, err := wallet.Unseal(sealed, secret)
			if err != nil || again.Address() != w.Address() {
				t.Errorf("%v, %v", again, err)
			}
			if other, err := wallet.Unseal(sealed, secret+"x"); !errors.Is(err, wallet.ErrPassphrase) || other != nil {
				t.Errorf("%v, %v", other, err)
			}
		})
	}
}

// The same key sealed twice must not look the same.
func TestSealIsSalted(t *testing.T) {
	w := publicWallet(t)
	one, errOne := w.Seal(passphrase, wallet.Light)
	two, errTwo := w.Seal(passphrase, wallet.Light)
	if errOne != nil || errTwo != nil || bytes.Equal(one, two) {
		t.Errorf("%s\n%s\n%v, %v", one, two, errOne, errTwo)
	}
}

// A file that was cut off or edited is an error, whatever is missing from it:
// go-ethereum's reader would bring the process down for some of these.
func TestUnsealDamaged(t *testing.T) {
	sealed, err := publicWallet(t).Seal(passphrase, wallet.Light)
	if err != nil {
		t.Fatal(err)
	}
	for _, bytes := range [][]byte{nil, []byte("null"), []byte("[]"), []byte("{}"), []byte(`{"version":3}`), []byte(`{"version":"1"}`), sealed[:len(sealed)/2]} {
		if w, err := wallet.Unseal(bytes, passphrase); err == nil || errors.Is(err, wallet.ErrPassphrase) || w != nil {
			t.Errorf("%.40q: %v, %v", bytes, w, err)
		}
	}
	for _, field := range []string{"version", "id", "crypto", "crypto.cipher", "crypto.ciphertext", "crypto.cipherparams", "crypto.cipherparams.iv",
		"crypto.kdf", "crypto.kdfparams", "crypto.kdfparams.n", "crypto.kdfparams.r", "crypto.kdfparams.p", "crypto.kdfparams.dklen",
		"crypto.kdfparams.salt", "crypto.mac"} {
		for what, value := range map[string]any{"missing": nil, "a number": 1, "negative": -1, "a text": "x", "hex": "00", "a list": []any{}} {
			t.Run(field+", "+what, func(t *testing.T) {
				w, err := wallet.Unseal(edited(t, sealed, strings.Split(field, "."), value), passphrase)
				// Not everything in it matters, but never may another key come out.
				if (err == nil) != (w != nil) || (w != nil && w.Address().String() != publicAddress) {
					t.Errorf("%v, %v", w, err)
				}
			})
		}
	}
}

// edited returns a JSON document with one field replaced; nil removes it.
func edited(t *testing.T, document []byte, path []string, value any) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(document, &whole); err != nil {
		t.Fatal(err)
	}
	at := whole
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	last := path[len(path)-1]
	if _, ok := at[last]; !ok {
		t.Fatalf("there is no %v", path)
	}
	if at[last] = value; value == nil {
		delete(at, last)
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestNew(t *testing.T) {
	source := random()
	one, errOne := wallet.New(source)
	two, errTwo := wallet.New(source)
	if errOne != nil || errTwo != nil || one.Address() == two.Address() {
		t.Errorf("%v, %v; %v, %v", one, two, errOne, errTwo)
	}
	for name, source := range map[string][]byte{
		"nothing":       {},
		"31 bytes":      bytes.Repeat([]byte{1}, 31),
		"only zeros":    make([]byte, 1<<10),
		"only ones":     bytes.Repeat([]byte{0xff}, 1<<10),
		"zeros, 1 draw": make([]byte, 32),
	} {
		if w, err := wallet.New(bytes.NewReader(source)); err == nil || w != nil {
			t.Errorf("%s: %v, %v", name, w, err)
		}
	}
}

// A wallet ends up in a log sooner or later.
func TestPrintingHidesTheKey(t *testing.T) {
	w := publicWallet(t)
	number, ok := new(big.Int).SetString(publicKey, 16)
	if !ok {
		t.Fatal("not a number")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{w, *w, struct{ W *wallet.Local }{w}, []*wallet.Local{w}} {
			if text := fmt.Sprintf(verb, v); !hides(text, publicKey) || !hides(text, number.String()) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
	var log bytes.Buffer
	testlog.New(slog.NewJSONHandler(&log, nil)).Info("wallet", "local", w, "value", *w)
	testlog.New(slog.NewTextHandler(&log, nil)).Info("wallet", "local", w, "value", *w)
	if !hides(log.String(), publicKey) || !hides(log.String(), number.String()) {
		t.Error(log.String())
	}
}

// The document's own checksum does not cover the initialization vector: with
// another one the same passphrase opens another key.
func TestUnsealAnotherKey(t *testing.T) {
	sealed, err := publicWallet(t).Seal(passphrase, wallet.Light)
	if err != nil {
		t.Fatal(err)
	}
	changed := edited(t, sealed, []string{"crypto", "cipherparams", "iv"}, strings.Repeat("00", 16))
	if w, err := wallet.Unseal(changed, passphrase); err == nil {
		t.Errorf("opened as %s", w.Address())
	}
}

// What would take all memory to open, or for ever, is refused before.
func TestUnsealTooCostly(t *testing.T) {
	sealed, err := publicWallet(t).Seal(passphrase, wallet.Light)
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]any{"n": 1 << 30, "r": 1 << 20, "p": 1 << 20, "dklen": 1 << 40} {
		if w, err := wallet.Unseal(edited(t, sealed, []string{"crypto", "kdfparams", field}, value), passphrase); err == nil ||
			!strings.Contains(err.Error(), "too long") {
			t.Errorf("%s of %v: %v, %v", field, value, w, err)
		}
	}
	if w, err := wallet.Unseal(append(sealed, make([]byte, 1<<20)...), passphrase); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v, %v", w, err)
	}
}
