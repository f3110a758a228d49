package crossmint_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/x402"
)

const goodWallet = `{"chainType":"evm","type":"smart","address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","owner":"userId:alice",
	"config":{"adminSigner":{"type":"api-key","address":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","locator":"api-key:0x20"}},"createdAt":1}`

const goodSignature = `{"id":"sig-1","type":"typed-data","chainType":"evm","walletType":"smart","status":"success","params":{"chain":"base-sepolia",
	"signer":{"type":"api-key"},"typedData":{"domain":{"name":"USDC","version":"2","chainId":84532,"verifyingContract":"0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
	"types":{"TransferWithAuthorization":[{"name":"from","type":"address"},{"name":"to","type":"address"},{"name":"value","type":"uint256"},
	{"name":"validAfter","type":"uint256"},{"name":"validBefore","type":"uint256"},{"name":"nonce","type":"bytes32"}]},"primaryType":"TransferWithAuthorization",
	"message":{"from":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","to":"0x209693bc6afc0c5328ba36faf03c514ef312287c","value":"100000","validAfter":"0",
	"validBefore":"4294967295","nonce":"0x0000000000000000000000000000000000000000000000000000000000000001"}}},"outputSignature":"0x01"}`

// signedThere is what goodSignature signs.
func signedThere(tb testing.TB) (evm.Domain, x402.Authorization) {
	tb.Helper()
	var a x402.Authorization
	if err := json.Unmarshal([]byte(`{"from":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C","to":"0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
		"value":"100000","validAfter":"0","validBefore":"4294967295","nonce":"0x0000000000000000000000000000000000000000000000000000000000000001"}`), &a); err != nil {
		tb.Fatal(err)
	}
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	return evm.Domain{Domain: domain, ChainID: 84532, Token: asset}, a
}

// Whatever is answered, it is a signature of what was asked for or none: it is
// taken if it says all that was signed, under the id, and not otherwise.
func FuzzSignature(f *testing.F) {
	domain, a := signedThere(f)
	if s, done, err := crossmint.Signed([]byte(goodSignature), "sig-1", domain, a); !done || err != nil || len(s) != 1 {
		f.Fatalf("%x, %v, %v", s, done, err)
	}
	for _, change := range [][2]string{{"", ""}, {"100000", "100001"}, {"84532", "8453"}, {"success", "pending"}, {"0x01", "0x"}, {`"sig-1"`, "7"},
		{"validAfter", "validafter"}, {`"value":"100000"`, `"value":"100000","value":"1"`}, {"{", "["}} {
		f.Add([]byte(strings.Replace(goodSignature, change[0], change[1], 1)))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		s, done, err := crossmint.Signed(answer, "sig-1", domain, a)
		if done && (err != nil || len(s) == 0 || len(s) > x402.MaxSignature) {
			t.Errorf("%x, %v", s, err)
		}
		if !done {
			return
		}
		for _, needed := range []string{"sig-1", "success", "100000", "4294967295", "84532"} {
			if !json.Valid(answer) || !strings.Contains(string(answer), needed) && !strings.Contains(string(answer), `\u`) {
				t.Errorf("%s is taken for a signature", answer)
			}
		}
	})
}

// Whatever is answered, it is a wallet of the owner that the key signs for or none.
func FuzzWallet(f *testing.F) {
	if _, err := crossmint.Opened([]byte(goodWallet), "userId:alice"); err != nil {
		f.Fatal(err)
	}
	for _, change := range [][2]string{{"", ""}, {"evm", "solana"}, {"smart", "mpc"}, {"alice", "bob"}, {"api-key", "passkey"}, {"0x20", "0x"}, {"}}", "}"}} {
		f.Add([]byte(strings.Replace(goodWallet, change[0], change[1], 1)), 403)
	}
	f.Fuzz(func(t *testing.T, answer []byte, status int) {
		address, err := crossmint.Opened(answer, "userId:alice")
		if err == nil && (address.IsZero() || !json.Valid(answer)) {
			t.Errorf("%s is taken for a wallet", answer)
		}
		if told := crossmint.Reason(status, answer); len(told) > 250 || strings.ContainsAny(told, "@\x1b\n") {
			t.Errorf("%q", told)
		}
	})
}
