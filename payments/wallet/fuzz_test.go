package wallet_test

import (
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
)

// Whatever has become of a sealed wallet, it opens as the one that was sealed or
// not at all, and soon.
func FuzzUnseal(f *testing.F) {
	f.Setenv(env, publicKey)
	w, err := wallet.FromEnv(env)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := w.Seal(passphrase, wallet.Light)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-1])
	for _, seed := range []string{`{}`, `{"version":"1","crypto":{}}`, `{"version":3,"crypto":{"cipher":"aes-128-ctr","kdf":"scrypt","kdfparams":{"n":1073741824,"r":8,"p":1,"dklen":32,"salt":"00"},"mac":"00"}}`,
		`{"version":3,"crypto":{"cipher":"aes-128-ctr","kdf":"pbkdf2","kdfparams":{"c":999999999,"prf":"hmac-sha256","dklen":32,"salt":"00"},"mac":"00"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		opened, err := wallet.Unseal(document, passphrase)
		if (err == nil) != (opened != nil) || opened != nil && opened.Address() != w.Address() {
			t.Errorf("%s is %v, %v", document, opened, err)
		}
	})
}
