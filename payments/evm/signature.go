package evm

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// ErrSignature is wrapped by every refusal of a signature.
var ErrSignature = errors.New("signature refused")

// Sign signs a digest with an ordinary account's key: 65 bytes r‖s‖v with v 27
// or 28 and the low s of EIP-2, deterministic (RFC 6979).
func Sign(key *ecdsa.PrivateKey, digest common.Hash) (x402.Signature, error) {
	sig, err := crypto.Sign(digest[:], key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sig[64] += 27
	return sig, nil
}

// Recover returns the ordinary account that signed digest. A second form of the
// same signature (high s, v of 0 or 1) is refused, as the token refuses it:
// one authorization has one signature. Errors: [ErrSignature].
func Recover(digest common.Hash, sig x402.Signature) (x402.Address, error) {
	if len(sig) != crypto.SignatureLength {
		return x402.Address{}, fmt.Errorf("%w: %d bytes, want 65", ErrSignature, len(sig))
	}
	v := sig[64]
	if v != 27 && v != 28 {
		return x402.Address{}, fmt.Errorf("%w: v is %d, want 27 or 28", ErrSignature, v)
	}
	raw := append([]byte(nil), sig...)
	raw[64] -= 27
	var r, s x402.Uint256
	r.SetBytes(raw[:32])
	s.SetBytes(raw[32:64])
	if !crypto.ValidateSignatureValues(raw[64], r.ToBig(), s.ToBig(), true) {
		return x402.Address{}, fmt.Errorf("%w: r or s out of range, or high s", ErrSignature)
	}
	pub, err := crypto.SigToPub(digest[:], raw)
	if err != nil {
		return x402.Address{}, fmt.Errorf("%w: it belongs to no account", ErrSignature)
	}
	return x402.Address(crypto.PubkeyToAddress(*pub)), nil
}

// SignedBy reports whether account signed digest as an ordinary account.
func SignedBy(account x402.Address, digest common.Hash, sig x402.Signature) bool {
	signer, err := Recover(digest, sig)
	return err == nil && signer == account
}
