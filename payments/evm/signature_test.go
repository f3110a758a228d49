package evm_test

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// highS returns the other signature of the same digest by the same key, which
// ECDSA allows and EIP-2 forbids.
func highS(sig x402.Signature) x402.Signature {
	twin := bytes.Clone(sig)
	s := new(big.Int).SetBytes(sig[32:64])
	s.Sub(crypto.S256().Params().N, s).FillBytes(twin[32:64])
	twin[64] = 27 + 28 - sig[64]
	return twin
}

func TestRecoverRefuses(t *testing.T) {
	p := vectors(t)["v1a"].Payload
	digest := usdcDomain(t).Digest(p.Authorization)
	with := func(at, length int, fill byte) x402.Signature {
		sig := bytes.Clone(p.Signature)
		copy(sig[at:at+length], bytes.Repeat([]byte{fill}, length))
		return sig
	}
	order := crypto.S256().Params().N.FillBytes(make([]byte, 32))
	for name, sig := range map[string]x402.Signature{
		"nil":            nil,
		"empty":          {},
		"64 bytes":       p.Signature[:64],
		"66 bytes":       append(bytes.Clone(p.Signature), 0),
		"high s":         highS(p.Signature),
		"high s, v kept": append(highS(p.Signature)[:64:64], p.Signature[64]),
		"v 0":            with(64, 1, 0),
		"v 1":            with(64, 1, 1),
		"v 26":           with(64, 1, 26),
		"v 29":           with(64, 1, 29),
		"v 255":          with(64, 1, 255),
		"r zero":         with(0, 32, 0),
		"s zero":         with(32, 32, 0),
		"r and s zero":   with(0, 64, 0),
		"r the order":    append(append(bytes.Clone(order), p.Signature[32:64]...), 27),
		"s the order":    append(append(bytes.Clone(p.Signature[:32]), order...), 27),
		"r all ones":     with(0, 32, 0xff),
		"s all ones":     with(32, 32, 0xff),
		"all ones":       with(0, 65, 0xff),
		"r on no point":  append(append(common.LeftPadBytes([]byte{5}, 32), p.Signature[32:64]...), 27),
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(sig)
			got, err := evm.Recover(digest, sig)
			if !errors.Is(err, evm.ErrSignature) || !got.IsZero() {
				t.Errorf("%s, %v", got, err)
			}
			if !bytes.Equal(before, sig) {
				t.Error("the signature was written to")
			}
		})
	}
}

// The wrong v, or a digest that was not signed, gives some other account: the
// caller has to compare.
func TestRecoverSomebodyElse(t *testing.T) {
	p := vectors(t)["v1a"].Payload
	digest := usdcDomain(t).Digest(p.Authorization)
	otherV := bytes.Clone(p.Signature)
	otherV[64] = 27 + 28 - otherV[64]
	if got, err := evm.Recover(digest, otherV); err == nil && got == p.Authorization.From {
		t.Error("the payer, with another v")
	}
	digest[0]++
	if got, err := evm.Recover(digest, p.Signature); err == nil && got == p.Authorization.From {
		t.Error("the payer, of another digest")
	}
}

// Of all that can be sent as a signature only what signing makes is taken, and
// nothing panics.
func FuzzRecover(f *testing.F) {
	key, err := crypto.HexToECDSA(publicKey[2:])
	if err != nil {
		f.Fatal(err)
	}
	digest := crypto.Keccak256Hash([]byte("digest"))
	sig, err := evm.Sign(key, digest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(sig))
	f.Add([]byte(highS(sig)))
	f.Add(bytes.Repeat([]byte{27}, 65))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		who, err := evm.Recover(digest, raw)
		if err != nil {
			if !errors.Is(err, evm.ErrSignature) {
				t.Errorf("%v is not ErrSignature", err)
			}
			return
		}
		if _, err := evm.Recover(digest, highS(raw)); err == nil {
			t.Error("both forms of a signature are taken")
		}
		// go-ethereum's own verification must agree.
		raw = bytes.Clone(raw)
		raw[64] -= 27
		pub, err := crypto.Ecrecover(digest[:], raw)
		if err != nil || !crypto.VerifySignature(pub, digest[:], raw[:64]) {
			t.Errorf("%s is said to have signed, but has not: %v", who, err)
		}
	})
}
