package crossmint

import (
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Signed is what an answer to a request for a's signature, with this id, comes to.
func Signed(answer []byte, id string, d evm.Domain, a x402.Authorization) (s x402.Signature, done bool, err error) {
	var got signature
	if err := decode(answer, &got); err != nil {
		return nil, false, err
	}
	done, err = got.of(id, params{TypedData: typedDataOf(d, a), Chain: "base-sepolia"})
	return got.OutputSignature, done, err
}

// Opened is the wallet that an answer is taken for, as the one of an owner.
func Opened(answer []byte, owner string) (x402.Address, error) {
	var got created
	if err := decode(answer, &got); err != nil {
		return x402.Address{}, err
	}
	return got.Address, got.of(owner)
}

// Reason is what a refusal is told as.
func Reason(status int, answer []byte) string { return reason(status, answer) }
