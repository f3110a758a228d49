package crossminttest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/google/uuid"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// signature is one that was asked for.
type signature struct {
	wallet *wallet
	data   json.RawMessage // as it came
	chain  string
	hash   common.Hash
	polls  int // that are still in vain

	id     string
	output x402.Signature
}

func (s *signature) answer() map[string]any {
	answer := map[string]any{"id": s.id, "type": "typed-data", "chainType": "evm", "walletType": "smart", "status": "pending",
		"params":    map[string]any{"typedData": s.data, "chain": s.chain, "signer": s.wallet.signer()},
		"approvals": map[string]any{"pending": []any{}, "submitted": []any{}}, "createdAt": "2026-01-01T00:00:00Z"}
	if s.output != nil {
		answer["status"], answer["outputSignature"] = "success", s.output
	}
	return answer
}

func (s *Server) sign(w http.ResponseWriter, r *http.Request) {
	from := s.find(w, r)
	var in struct {
		Type   string
		Params struct {
			TypedData json.RawMessage
			Chain     string
			Signer    string
		}
	}
	if from == nil || !read(w, r, &in) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("x-idempotency-key")
	if id, ok := s.keys[key]; ok && key != "" {
		reply(w, http.StatusCreated, s.signatures[id].answer())
		return
	}
	hash, err := digest(in.Params.TypedData)
	known := in.Params.Signer == "" || in.Params.Signer == "api-key" || in.Params.Signer == from.signer().Locator
	if in.Type != "typed-data" || err != nil || in.Params.Chain != "base-sepolia" || !known {
		refuse(w, http.StatusBadRequest, "Only typed data is signed, on base-sepolia, for the API key")
		return
	}
	made := &signature{wallet: from, data: in.Params.TypedData, chain: in.Params.Chain, hash: hash, polls: s.Polls, id: uuid.NewString()}
	s.signatures[made.id], s.keys[key] = made, made.id
	reply(w, http.StatusCreated, made.answer())
}

// digest is what EIP-712 makes of typed data in JSON. As with Crossmint, the types
// may leave out the domain's, which are then its members.
func digest(raw json.RawMessage) (common.Hash, error) {
	var data apitypes.TypedData
	if err := json.Unmarshal(raw, &data); err != nil {
		return common.Hash{}, err
	}
	const own = "EIP712Domain"
	if _, ok := data.Types[own]; !ok && data.Types != nil {
		data.Types[own] = []apitypes.Type{{Name: "name", Type: "string"}, {Name: "version", Type: "string"},
			{Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"}}
	}
	hash, _, err := apitypes.TypedDataAndHash(data)
	return common.BytesToHash(hash), err
}

func (s *Server) signed(w http.ResponseWriter, r *http.Request) {
	from := s.find(w, r)
	if from == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.signatures[r.PathValue("id")]
	if asked == nil || asked.wallet != from {
		refuse(w, http.StatusNotFound, "Signature not found")
		return
	}
	if asked.polls--; asked.polls < 0 && asked.output == nil {
		var err error
		if asked.output, err = s.output(r.Context(), asked); err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
	}
	reply(w, http.StatusOK, asked.answer())
}

// output is the wallet's signature, with its deployment around it while it is not on
// the chain.
func (s *Server) output(ctx context.Context, asked *signature) (x402.Signature, error) {
	signed, err := evm.Sign(asked.wallet.key, asked.hash)
	if err != nil {
		return nil, err
	}
	code, err := s.Chain.CodeAt(ctx, asked.wallet.address, nil)
	if err != nil || len(code) > 0 {
		return signed, err
	}
	return evm.Wrap(signed, asked.wallet.deploy)
}
