package x402_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestNetworks(t *testing.T) {
	for _, test := range []struct {
		network   x402.Network
		v1, v2    string
		chain     uint64
		usdc      string
		tokenName string
	}{
		{x402.BaseSepolia, "base-sepolia", "eip155:84532", 84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC"},
		{x402.Base, "base", "eip155:8453", 8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"},
		{x402.EVM(1337), "eip155:1337", "eip155:1337", 1337, "", ""},
		{x402.EVM(math.MaxInt64), "eip155:9223372036854775807", "eip155:9223372036854775807", math.MaxInt64, "", ""},
	} {
		t.Run(test.v2, func(t *testing.T) {
			if got := test.network.Name(1); got != test.v1 {
				t.Errorf("Name(1) = %s", got)
			}
			if got := test.network.Name(2); got != test.v2 {
				t.Errorf("Name(2) = %s", got)
			}
			if got, err := x402.NetworkV1(test.v1); err != nil || got != test.network {
				t.Errorf("NetworkV1 = %s, %v", got, err)
			}
			if got, err := x402.ParseNetwork(test.v2); err != nil || got != test.network {
				t.Errorf("ParseNetwork = %s, %v", got, err)
			}
			if got, err := test.network.ChainID(); err != nil || got != test.chain || x402.EVM(got) != test.network {
				t.Errorf("ChainID = %d, %v", got, err)
			}
			asset, domain, ok := x402.USDC(test.network)
			if ok != (test.usdc != "") {
				t.Fatalf("USDC known: %v", ok)
			}
			if ok && (asset.String() != test.usdc || domain != x402.Domain{Name: test.tokenName, Version: "2"}) {
				t.Errorf("USDC = %s, %v", asset, domain)
			}
		})
	}
}

func TestUnknownNetworks(t *testing.T) {
	for _, name := range []string{
		"", "eip155", "eip155:", "eip155:0", "eip155:01", "eip155:-1", "eip155:+1", "eip155:0x1", "eip155:1 ", " eip155:1",
		"eip155:1.0", "eip155:1e3", "EIP155:1", "eip155:9223372036854775808", "eip155:99999999999999999999999",
		"solana", "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", "Base", "base ", "base-goerli",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := x402.ParseNetwork(name)
			checkClass(t, err, x402.ErrNetwork)
			_, err = x402.NetworkV1(name)
			checkClass(t, err, x402.ErrNetwork)
			_, err = x402.Network(name).ChainID()
			checkClass(t, err, x402.ErrNetwork)
			raw, _ := json.Marshal(name)
			var n x402.Network
			checkClass(t, json.Unmarshal(raw, &n), x402.ErrNetwork)
		})
	}
}

// Each version has one name for a network, lest a payment be for two.
func TestNamesOfTheOtherVersion(t *testing.T) {
	for _, n := range []x402.Network{x402.BaseSepolia, x402.Base} {
		_, err := x402.ParseNetwork(n.Name(1))
		checkClass(t, err, x402.ErrNetwork)
		_, err = x402.NetworkV1(n.Name(2))
		checkClass(t, err, x402.ErrNetwork)
	}
	for _, chain := range []uint64{0, math.MaxInt64 + 1, math.MaxUint64} {
		_, err := x402.EVM(chain).ChainID()
		checkClass(t, err, x402.ErrNetwork)
	}
}
