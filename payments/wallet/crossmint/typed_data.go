package crossmint

import (
	"errors"
	"regexp"
	"slices"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// typedData is an EIP-3009 transfer as EIP-712 has it in JSON.
type typedData struct {
	Domain      domain             `json:"domain"`
	Types       map[string][]field `json:"types"`
	PrimaryType string             `json:"primaryType"`
	Message     x402.Authorization `json:"message"` // numbers as strings of digits
}

type domain struct {
	Name              string       `json:"name"`
	Version           string       `json:"version"`
	ChainID           uint64       `json:"chainId"`
	VerifyingContract x402.Address `json:"verifyingContract"`
}

type field struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

const primaryType = "TransferWithAuthorization"

func typedDataOf(d evm.Domain, a x402.Authorization) typedData {
	return typedData{
		Domain: domain{d.Name, d.Version, d.ChainID, d.Token},
		Types: map[string][]field{primaryType: {{"from", "address"}, {"to", "address"}, {"value", "uint256"},
			{"validAfter", "uint256"}, {"validBefore", "uint256"}, {"nonce", "bytes32"}}},
		PrimaryType: primaryType,
		Message:     a,
	}
}

// same reports whether two are signed alike. The types of an answer may have the
// domain's besides.
func (t typedData) same(other typedData) bool {
	return t.Domain == other.Domain && t.PrimaryType == other.PrimaryType && t.Message == other.Message &&
		slices.Equal(t.Types[primaryType], other.Types[primaryType])
}

// request asks for a signature.
type request struct {
	Type   string `json:"type"`
	Params params `json:"params"`
}

type params struct {
	TypedData typedData `json:"typedData"`
	Chain     string    `json:"chain"`
	Signer    string    `json:"signer"`
}

// signature is what has become of a request. Of its signer the API says more than
// it was told, so that is left out.
type signature struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Status string `json:"status"`
	Params struct {
		TypedData typedData `json:"typedData"`
		Chain     string    `json:"chain"`
	} `json:"params"`
	OutputSignature x402.Signature `json:"outputSignature"`
}

const typedDataType = "typed-data"

// idForm is that of a signature's id.
var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// of reports whether s is the finished signature of what was asked for, under the
// id that the request was given. It is an error if it never will be.
func (s *signature) of(id string, asked params) (done bool, err error) {
	switch {
	case s.ID != id || s.Type != typedDataType || s.Params.Chain != asked.Chain || !s.Params.TypedData.same(asked.TypedData):
		return false, errors.New("crossmint: a signature of something else than was asked for")
	case s.Status == "pending", s.Status == "awaiting-approval":
		return false, nil
	case s.Status == "failed":
		return false, errors.New("crossmint: the wallet has not signed")
	case s.Status != "success":
		return false, errors.New("crossmint: a signature of unknown status")
	case len(s.OutputSignature) == 0:
		return false, errors.New("crossmint: no signature where there should be one")
	}
	return true, nil
}
