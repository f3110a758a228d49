package wallet_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// The test key that signed the vectors, known to everybody, and its account.
const (
	publicKey     = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
	publicAddress = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
)

const env = "CONCIERGE_TEST_KEY"

func publicWallet(tb testing.TB) *wallet.Local {
	tb.Helper()
	testlog.Secret(publicKey)
	tb.Setenv(env, publicKey)
	w, err := wallet.FromEnv(env)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// random returns a source of bytes that is the same on each run.
func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

// vectors are payments signed by other implementations, and what they pay.
func vectors(tb testing.TB) map[string]x402.Payment {
	tb.Helper()
	file, err := os.ReadFile("../x402/testdata/x402-exact-evm.json")
	if err != nil {
		tb.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(file, &raw); err != nil {
		tb.Fatal(err)
	}
	payments := map[string]x402.Payment{}
	for _, name := range []string{"v1a", "v1b", "v2"} {
		if payments[name], err = x402.DecodePayment(raw[name]); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return payments
}

// required is what the vectors pay.
func required() x402.Requirements {
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	payTo, err := x402.ParseAddress("0x209693Bc6afc0C5328bA36FaF03C514EF312287C")
	if err != nil {
		panic(err)
	}
	return x402.Requirements{Scheme: x402.SchemeExact, Network: x402.BaseSepolia, Amount: x402.NewUint256(10_000),
		Asset: asset, PayTo: payTo, MaxTimeoutSeconds: 300, Extra: domain}
}

// hides reports whether a text is free of every longer piece of a secret.
func hides(text, secret string) bool {
	text, secret = strings.ToLower(text), strings.ToLower(secret)
	const piece = 8
	for i := range max(1, len(secret)-piece+1) {
		if strings.Contains(text, secret[i:min(i+piece, len(secret))]) {
			return false
		}
	}
	return true
}
