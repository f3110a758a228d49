package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// The list is what BIP-39, BIP-32 and BIP-44 make of the words: m/44'/60'/0'/0/0 to
// 19.
func TestTestAccounts(t *testing.T) {
	const words = "test test test test test test test test test test test junk"
	seed, err := pbkdf2.Key(sha512.New, words, []byte("mnemonic"), 2048, 64)
	if err != nil {
		t.Fatal(err)
	}
	key, chain := derive([]byte("Bitcoin seed"), seed, nil)
	const hardened = 1 << 31
	for _, n := range []uint32{hardened + 44, hardened + 60, hardened, 0} {
		key, chain = child(t, key, chain, n)
	}
	known := strings.Fields(testAccounts)
	if len(known) != 20 {
		t.Errorf("%d accounts, want 20", len(known))
	}
	for i, want := range known {
		k, _ := child(t, key, chain, uint32(i))
		private, err := crypto.ToECDSA(k.FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		address := crypto.PubkeyToAddress(private.PublicKey)
		if got := strings.ToLower(address.Hex()); got != want {
			t.Errorf("account %d: %s, want %s", i, got, want)
		}
		for name, refused := range map[string]bool{onBase: true, onBaseSepolia: false, onDevnet: false} {
			n := networkFlags{name: name}
			if err := n.refuseTestAccount(x402.Address(address)); (err != nil) != refused {
				t.Errorf("account %d on %s: %v", i, name, err)
			}
		}
	}
	if err := (&networkFlags{name: onBase}).refuseTestAccount(x402.Address{1}); err != nil {
		t.Error(err)
	}
}

// derive is HMAC-SHA-512, halved, with the left half added to a key.
func derive(secret, data []byte, to *big.Int) (key *big.Int, chain []byte) {
	mac := hmac.New(sha512.New, secret)
	mac.Write(data)
	sum := mac.Sum(nil)
	key = new(big.Int).SetBytes(sum[:32])
	if to != nil {
		key.Add(key, to).Mod(key, crypto.S256().Params().N)
	}
	return key, sum[32:]
}

// child is CKDpriv of BIP-32.
func child(t *testing.T, key *big.Int, chain []byte, n uint32) (*big.Int, []byte) {
	t.Helper()
	raw := key.FillBytes(make([]byte, 32))
	data := append([]byte{0}, raw...)
	if n < 1<<31 {
		private, err := crypto.ToECDSA(raw)
		if err != nil {
			t.Fatal(err)
		}
		data = crypto.CompressPubkey(&private.PublicKey)
	}
	return derive(chain, binary.BigEndian.AppendUint32(data, n), key)
}
