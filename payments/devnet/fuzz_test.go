package devnet

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

// The faucet gives what was asked for, to somebody, and never more than there
// is; everything else is refused as the asker's mistake.
func FuzzDecodeFaucet(f *testing.F) {
	for _, seed := range []string{`{"address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C"}`,
		`{"address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","usdc":"2.50"}`,
		`{"address":"0x209693bc6afc0c5328ba36faf03c514ef312287c","usdc":"10000.000001"}`,
		`{"address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","usdc":2}`, `{"address":"0x0"} {}`, `{"usdc":"1"}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		to, usdc, fail := decodeFaucet(bytes.NewReader(body))
		if fail != nil {
			if fail.Status != http.StatusBadRequest || fail.Code == "" || fail.Detail == "" {
				t.Errorf("%s: %+v", body, fail)
			}
			return
		}
		if to.IsZero() || usdc <= 0 || usdc > faucetMost {
			t.Errorf("%s gives %s to %s", body, usdc.USD(), to)
		}
		again, err := json.Marshal(map[string]string{"address": to.String(), "usdc": usdc.USD()})
		if err != nil {
			t.Fatal(err)
		}
		if to2, usdc2, fail := decodeFaucet(bytes.NewReader(again)); fail != nil || to2 != to || usdc2 != usdc {
			t.Errorf("%s became %s: %+v", body, again, fail)
		}
	})
}
