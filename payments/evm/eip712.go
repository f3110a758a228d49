package evm

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// The types that are hashed (EIP-712), spelled as their standards spell them.
const (
	domainType   = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
	transferType = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)

// Domain is a token's EIP-712 domain: a signature made in one domain is worth
// nothing in another.
type Domain struct {
	x402.Domain
	ChainID uint64
	Token   x402.Address // verifyingContract
}

// DomainOf returns the domain in which a payment of r is signed. Errors:
// [x402.ErrNetwork].
func DomainOf(r x402.Requirements) (Domain, error) {
	id, err := r.Network.ChainID()
	return Domain{Domain: r.Extra, ChainID: id, Token: r.Asset}, err
}

// Separator returns the domain separator, which the token's DOMAIN_SEPARATOR()
// must equal.
func (d Domain) Separator() common.Hash {
	return crypto.Keccak256Hash(
		crypto.Keccak256([]byte(domainType)),
		crypto.Keccak256([]byte(d.Name)),
		crypto.Keccak256([]byte(d.Version)),
		common.LeftPadBytes(binary.BigEndian.AppendUint64(nil, d.ChainID), 32),
		common.LeftPadBytes(d.Token[:], 32))
}

// Digest returns what is signed: EIP-712's hash of an EIP-3009
// TransferWithAuthorization.
func (d Domain) Digest(a x402.Authorization) common.Hash {
	value, after, before := a.Value.Bytes32(), a.ValidAfter.Bytes32(), a.ValidBefore.Bytes32()
	message := crypto.Keccak256(
		crypto.Keccak256([]byte(transferType)),
		common.LeftPadBytes(a.From[:], 32),
		common.LeftPadBytes(a.To[:], 32),
		value[:], after[:], before[:], a.Nonce[:])
	separator := d.Separator()
	return crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], message)
}
