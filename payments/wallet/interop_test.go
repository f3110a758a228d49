package wallet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/wallet"
)

// Keystores that other tools made: the file of the public test key is from
// go-ethereum's keystore at its standard strength, the other one a test vector
// of the Web3 Secret Storage definition, with the other way to derive a key.
func TestOpenOthers(t *testing.T) {
	for name, test := range map[string]struct{ content, passphrase, address string }{
		"go-ethereum, standard": {`{"address":"70997970c51812dc3a010c7d01b50e0d17dc79c8","crypto":{"cipher":"aes-128-ctr",
			"ciphertext":"8f5f9c7722cb41d1aa4cd8daeb4cbbe49a11538be367ece9548e59ad453c98f3","cipherparams":{"iv":"d4a781f29eb81641bf882f9e92f0bdba"},
			"kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"p":1,"r":8,"salt":"6ceec6676b998581a0142b56aa880096679f9d6037522b6f502cc775abae25c0"},
			"mac":"dff90b54825b7ad9432e575d8b85942a4e9949b120d3fc208996cfe3190e2172"},"id":"596aebce-67fc-41d1-bb54-2571479dc775","version":3}`,
			passphrase, publicAddress},
		"definition, PBKDF2": {`{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
			"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
			"kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
			"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}`,
			"testpassword", "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "UTC--2026-01-01T00-00-00.000000000Z--key")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := wallet.Open(path, test.passphrase)
			if err != nil || w.Address().String() != test.address {
				t.Errorf("%v, %v", w, err)
			}
		})
	}
}

// What is made here opens in go-ethereum, and a strength is what it says.
func TestOthersOpenOurs(t *testing.T) {
	w := publicWallet(t)
	for name, test := range map[string]struct {
		strength wallet.Strength
		n, p     int
	}{
		"light":                   {wallet.Light, 1 << 8, 1},
		"not chosen, so standard": {0, keystore.StandardScryptN, keystore.StandardScryptP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed, err := w.Seal(passphrase, test.strength)
			if err != nil {
				t.Fatal(err)
			}
			var document struct {
				Address string
				Version int
				Crypto  struct {
					KDF       string
					KDFParams struct{ N, P int }
				}
			}
			if err := json.Unmarshal(sealed, &document); err != nil {
				t.Fatal(err)
			}
			got := document.Crypto
			if document.Version != 3 || got.KDF != "scrypt" || got.KDFParams.N != test.n || got.KDFParams.P != test.p ||
				!strings.EqualFold("0x"+document.Address, publicAddress) {
				t.Errorf("%s", sealed)
			}
			if test.strength != wallet.Light { // the same with other numbers
				return
			}
			key, err := keystore.DecryptKey(sealed, passphrase)
			if err != nil || key.Address != common.HexToAddress(publicAddress) {
				t.Error(err)
			}
		})
	}
}
