package evm

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// The types of x402's extension offer-receipt. Its domains have no contract, and
// chain id 1 wherever the payment is: nothing of it goes on a chain.
const (
	textDomainType = "EIP712Domain(string name,string version,uint256 chainId)"
	offerType      = "Offer(uint256 version,string resourceUrl,string scheme,string network,string asset,string payTo,string amount,uint256 validUntil)"
	receiptType    = "Receipt(uint256 version,string network,string resourceUrl,string payer,uint256 issuedAt,string transaction)"
)

// OfferDigest returns what is signed of an offer.
func OfferDigest(o x402.OfferPayload) common.Hash {
	return textDigest("x402 offer", hashText(offerType), word(o.Version), hashText(o.ResourceURL), hashText(o.Scheme),
		hashText(string(o.Network)), hashText(o.Asset), hashText(o.PayTo), hashText(o.Amount), word(o.ValidUntil))
}

// ReceiptDigest returns what is signed of a receipt.
func ReceiptDigest(r x402.ReceiptPayload) common.Hash {
	return textDigest("x402 receipt", hashText(receiptType), word(r.Version), hashText(string(r.Network)),
		hashText(r.ResourceURL), hashText(r.Payer), word(r.IssuedAt), hashText(r.Transaction))
}

// textDigest is EIP-712's hash of a struct in the domain with this name.
func textDigest(domain string, fields ...[]byte) common.Hash {
	separator := crypto.Keccak256(hashText(textDomainType), hashText(domain), hashText("1"), word(1))
	return crypto.Keccak256Hash([]byte("\x19\x01"), separator, crypto.Keccak256(fields...))
}

// hashText is how EIP-712 encodes a string.
func hashText(s string) []byte { return crypto.Keccak256([]byte(s)) }

// word is how EIP-712 encodes a uint256.
func word(n uint64) []byte { return common.LeftPadBytes(binary.BigEndian.AppendUint64(nil, n), 32) }
