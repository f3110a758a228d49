package wallet_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
)

func TestFromEnv(t *testing.T) {
	for name, value := range map[string]string{
		"digits":        publicKey,
		"0x":            "0x" + publicKey,
		"upper case":    strings.ToUpper(publicKey),
		"spaces around": "  0x" + publicKey + " ",
		"line end":      publicKey + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env, value)
			w, err := wallet.FromEnv(env)
			if err != nil || w.Address().String() != publicAddress {
				t.Errorf("%v, %v", w, err)
			}
		})
	}
}

func TestFromEnvEmpty(t *testing.T) {
	for name, value := range map[string]string{"empty": "", "spaces": " \t\n"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env, value)
			if w, err := wallet.FromEnv(env); !errors.Is(err, wallet.ErrNoWallet) || !strings.Contains(err.Error(), env) {
				t.Errorf("%v, %v", w, err)
			}
		})
	}
	t.Run("not set", func(t *testing.T) {
		t.Setenv(env, "") // puts the variable back after the test
		if err := os.Unsetenv(env); err != nil {
			t.Fatal(err)
		}
		if w, err := wallet.FromEnv(env); !errors.Is(err, wallet.ErrNoWallet) {
			t.Errorf("%v, %v", w, err)
		}
	})
}

// A key with a typing error is still nearly a key.
func TestFromEnvBad(t *testing.T) {
	for name, value := range map[string]string{
		"a digit short":        publicKey[1:],
		"a digit too many":     publicKey + "a",
		"not hex":              "zz" + publicKey[2:],
		"0x twice":             "0x0x" + publicKey[2:],
		"0x alone":             "0x",
		"space inside":         publicKey[:32] + " " + publicKey[32:],
		"quoted":               `"` + publicKey + `"`,
		"two keys":             publicKey + publicKey,
		"zero":                 strings.Repeat("0", 64),
		"the order, no key":    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
		"words of a mnemonic":  "legal winner thank year wave sausage worth useful legal winner thank yellow",
		"a keystore's content": `{"version":3,"crypto":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(env, value)
			w, err := wallet.FromEnv(env)
			if err == nil || w != nil || errors.Is(err, wallet.ErrNoWallet) {
				t.Fatalf("%v, %v", w, err)
			}
			if !strings.Contains(err.Error(), env) {
				t.Errorf("the variable is not named in %q", err)
			}
			if text := strings.ReplaceAll(err.Error(), env, ""); len(value) > 8 && !hides(text, value) {
				t.Errorf("the key is in %q", err)
			}
		})
	}
}
