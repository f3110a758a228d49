package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/web"
)

// transferTopic is keccak256("Transfer(address,address,uint256)").
const transferTopic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

var txHash = regexp.MustCompile(`^0x[0-9a-fA-F]{64}$`)

// transaction is one of the embedded chain, for people.
type transaction struct {
	Hash, Block string
	Failed      bool
	Transfers   []transfer
}

type transfer struct{ From, To, USD string }

// devnetTransaction shows a transaction of the embedded chain, which no explorer
// knows.
func (s *Server) devnetTransaction(w http.ResponseWriter, r *http.Request) error {
	hash := r.PathValue("hash")
	if !txHash.MatchString(hash) {
		return &problem{status: http.StatusNotFound, code: "not_found", detail: "That is no hash of a transaction: one is 0x and 64 hexadecimal digits."}
	}
	tx, err := s.transactionOf(r, hash)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, web.View{Name: "transaction", Title: "Transaction", NoIndex: true, Data: tx})
}

func (s *Server) transactionOf(r *http.Request, hash string) (*transaction, error) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "/", strings.NewReader(
		fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":[%q]}`, hash)))
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", "application/json")
	ask.RemoteAddr, ask.Host = r.RemoteAddr, r.Host
	answer := &inside{header: http.Header{}}
	s.Devnet.ServeHTTP(answer, ask)
	var out struct {
		Result *struct {
			Status, BlockNumber string
			Logs                []struct {
				Address string
				Topics  []string
				Data    string
			}
		}
	}
	if err := json.Unmarshal(answer.body.Bytes(), &out); err != nil {
		return nil, fmt.Errorf("ask the embedded chain: %w", err)
	}
	if out.Result == nil {
		return nil, &problem{status: http.StatusNotFound, code: "not_found",
			detail: "The embedded chain has no such transaction. It forgets all of them when the server stops."}
	}
	tx := &transaction{Hash: hash, Failed: out.Result.Status != "0x1"}
	var block uint64
	if _, err := fmt.Sscanf(out.Result.BlockNumber, "0x%x", &block); err == nil {
		tx.Block = fmt.Sprint(block)
	}
	for _, l := range out.Result.Logs {
		if len(l.Topics) != 3 || l.Topics[0] != transferTopic || len(l.Topics[1]) != 66 || len(l.Topics[2]) != 66 || !strings.EqualFold(l.Address, s.Asset.String()) {
			continue
		}
		var atomic uint64
		if _, err := fmt.Sscanf(l.Data, "0x%x", &atomic); err != nil {
			continue
		}
		tx.Transfers = append(tx.Transfers, transfer{"0x" + l.Topics[1][26:], "0x" + l.Topics[2][26:], x402.Amount(atomic).USD()})
	}
	return tx, nil
}
