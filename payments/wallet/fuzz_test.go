package wallet_test

import (
	"encoding/json"
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
)

// Whatever has become of a sealed wallet, it opens as the one that was sealed or
// not at all, and soon; as long as it says whose it is.
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
		var says struct{ Address string }
		_ = json.Unmarshal(document, &says) // it says nothing then
		if (err == nil) != (opened != nil) || opened != nil && opened.Address() != w.Address() && says.Address != "" {
			t.Errorf("%s is %v, %v", document, opened, err)
		}
	})
}
