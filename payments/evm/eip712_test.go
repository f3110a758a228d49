package evm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

func TestVectorsRecover(t *testing.T) {
	payer := publicWallet(t).Address()
	for name, p := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			got, err := evm.Recover(usdcDomain(t).Digest(p.Payload.Authorization), p.Payload.Signature)
			if err != nil || got != payer || got != p.Payload.Authorization.From {
				t.Errorf("signed by %s, %v; want %s", got, err, payer)
			}
		})
	}
}

func TestVectorsSignAgain(t *testing.T) {
	key, err := crypto.HexToECDSA(publicKey[2:])
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			got, err := evm.Sign(key, usdcDomain(t).Digest(p.Payload.Authorization))
			if err != nil || !bytes.Equal(got, p.Payload.Signature) {
				t.Errorf("%x, %v\nwant %x", got, err, p.Payload.Signature)
			}
		})
	}
}

// The domain separators of USDC, as the contracts on the public chains answer
// DOMAIN_SEPARATOR(). They are what a wallet signs in, so none may change.
func TestSeparator(t *testing.T) {
	for name, test := range map[string]struct {
		network x402.Network
		want    string
	}{
		"Base Sepolia": {x402.BaseSepolia, "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"},
		"Base":         {x402.Base, "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"},
	} {
		t.Run(name, func(t *testing.T) {
			asset, extra, _ := x402.USDC(test.network)
			d, err := evm.DomainOf(x402.Requirements{Network: test.network, Asset: asset, Extra: extra})
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Separator(); got != common.HexToHash(test.want) {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestDomainOfUnknownNetwork(t *testing.T) {
	for _, network := range []x402.Network{"", "base-sepolia", "solana:1", "eip155:0", "eip155:x"} {
		if _, err := evm.DomainOf(x402.Requirements{Network: network}); !errors.Is(err, x402.ErrNetwork) {
			t.Errorf("%q: %v", network, err)
		}
	}
}

// Whatever is changed in an authorization or its domain is signed: no
// signature is good for two payments.
func TestDigestCoversEveryField(t *testing.T) {
	type signed struct {
		evm.Domain
		x402.Authorization
	}
	base := signed{usdcDomain(t), vectors(t)["v1a"].Payload.Authorization}
	seen := map[common.Hash]string{base.Digest(base.Authorization): "nothing"}
	for name, change := range map[string]func(*signed){
		"from":                  func(s *signed) { s.From[19]++ },
		"to":                    func(s *signed) { s.To[19]++ },
		"to, first byte":        func(s *signed) { s.To[0]++ },
		"value":                 func(s *signed) { s.Value = x402.NewUint256(10001) },
		"value, top bit":        func(s *signed) { s.Value.Lsh(&s.Value.Int, 240) },
		"validAfter":            func(s *signed) { s.ValidAfter = x402.NewUint256(1750000001) },
		"validBefore":           func(s *signed) { s.ValidBefore = x402.NewUint256(1750000901) },
		"window swapped":        func(s *signed) { s.ValidAfter, s.ValidBefore = s.ValidBefore, s.ValidAfter },
		"parties swapped":       func(s *signed) { s.From, s.To = s.To, s.From },
		"nonce, first byte":     func(s *signed) { s.Nonce[0]++ },
		"nonce, last byte":      func(s *signed) { s.Nonce[31]++ },
		"domain name":           func(s *signed) { s.Name = "USD Coin" },
		"domain version":        func(s *signed) { s.Version = "1" },
		"name and version move": func(s *signed) { s.Name, s.Version = "USDC2", "" },
		"chain id":              func(s *signed) { s.ChainID = 8453 },
		"chain id, top byte":    func(s *signed) { s.ChainID |= 1 << 63 },
		"token":                 func(s *signed) { s.Token[0]++ },
	} {
		s := base
		change(&s)
		digest := s.Digest(s.Authorization)
		if other, ok := seen[digest]; ok {
			t.Errorf("%s: the same digest as with %s changed", name, other)
		}
		seen[digest] = name
	}
}
