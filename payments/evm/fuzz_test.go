package evm

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/events-concierge/concierge/payments/x402"
)

// parrot is a node that gives the same answer to everything but to the question
// for its chain id.
type parrot struct {
	member string // "result" or "error"
	raw    []byte
}

func (p *parrot) RoundTrip(r *http.Request) (*http.Response, error) {
	var call struct {
		ID     json.RawMessage
		Method string
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		return nil, err
	}
	member, raw := p.member, p.raw
	if call.Method == "eth_chainId" {
		member, raw = "result", []byte(`"0x14a34"`)
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%q:%s}`, call.ID, member, raw)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), Request: r}, nil
}

func newParrot(tb testing.TB) (*parrot, *Client) {
	tb.Helper()
	p := &parrot{}
	r, err := rpc.DialOptions(tb.Context(), "http://node.invalid", rpc.WithHTTPClient(&http.Client{Transport: p}))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := NewClient(tb.Context(), r, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return p, c
}

// oneWord returns what is in a call's answer if that is exactly one word.
func oneWord(raw []byte) ([]byte, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, false
	}
	b, err := hexutil.Decode(text)
	return b, err == nil && len(b) == 32
}

// FuzzAnswers takes a node's answers to calls for what they are: a balance is
// the word that came, "used" is the word 1 and nothing else, and an error is
// never "unused".
func FuzzAnswers(f *testing.F) {
	for _, raw := range []string{`"0x"`, `null`, `""`, `"0x01"`, `{}`, `[]`, `7`,
		`"0x0000000000000000000000000000000000000000000000000000000000000000"`,
		`"0x0000000000000000000000000000000000000000000000000000000000000001"`,
		`"0x0000000000000000000000000000000000000000000000000000000000000002"`,
		`"0x00000000000000000000000000000000000000000000000000000000000f424000"`,
		`"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"`,
		`{"number":"0x10","timestamp":"0x665b2a40","difficulty":"0x0","gasLimit":"0x0","gasUsed":"0x0","extraData":"0x","logsBloom":"0x00"}`} {
		f.Add([]byte(raw))
	}
	node, client := newParrot(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		node.member, node.raw = "result", raw
		ctx, token := context.Background(), x402.Address{1}
		value, isWord := oneWord(raw)
		if balance, err := client.Balance(ctx, token, x402.Address{2}); err == nil && isWord && balance.ToBig().Cmp(new(big.Int).SetBytes(value)) != 0 {
			t.Errorf("%s is a balance of %s", raw, balance)
		}
		used, err := client.AuthorizationUsed(ctx, token, x402.Address{2}, x402.Bytes32{3})
		if one := isWord && new(big.Int).SetBytes(value).Cmp(big.NewInt(1)) == 0; isWord && (used != one || err != nil != (!one && !isZero(value))) {
			t.Errorf("%s is used: %t, %v", raw, used, err)
		}
		if head, err := client.Head(ctx); err == nil && head.Time.IsZero() {
			t.Errorf("%s is the head %+v", raw, head)
		}
	})
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(b byte) bool { return b != 0 }) }

// FuzzRevert reads a node's refusals: a contract's reason is short text, and what
// is no revert is not taken for one.
func FuzzRevert(f *testing.F) {
	reason := "0x08c379a00000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000001b" +
		hex.EncodeToString([]byte("FiatTokenV2: invalid signat\x00\x00\x00\x00\x00"))
	f.Add(3, "execution reverted", reason)
	f.Add(-32000, "execution reverted: ERC20: transfer amount exceeds balance", "")
	f.Add(-32000, "header not found", "0x")
	f.Add(3, "", "0x4e487b710000000000000000000000000000000000000000000000000000000000000011")
	f.Add(-32005, "over the limit", reason[:40])
	f.Add(-32000, "Out of gas: gas required exceeds allowance", "")
	node, client := newParrot(f)
	f.Fuzz(func(t *testing.T, code int, message, data string) {
		raw, err := json.Marshal(map[string]any{"code": code, "message": message, "data": data})
		if err != nil {
			t.Fatal(err)
		}
		node.member, node.raw = "error", raw
		err = client.Simulate(context.Background(), x402.Address{1}, Call{To: x402.Address{2}})
		if err == nil {
			t.Fatalf("%s is no error", raw)
		}
		if reverted := errors.Is(err, ErrReverted); reverted != (code == codeReverted || halted(message)) {
			t.Errorf("%s is reverted: %t", raw, reverted)
		} else if reverted && len(err.Error()) > 1000 {
			t.Errorf("the reason has %d bytes", len(err.Error()))
		}
	})
}

// FuzzReceipt looks for a transfer in receipts: it is there only if two logs of
// the token, one right after the other, say that this authorization was used and
// that this amount went to this payee.
func FuzzReceipt(f *testing.F) {
	want := Transfer{Token: x402.Address{1}, From: x402.Address{2}, To: x402.Address{3}, Value: x402.NewUint256(10), Nonce: x402.Bytes32{4}}
	_, client := newParrot(f)
	topic := func(a x402.Address) common.Hash { return common.BytesToHash(a[:]) }
	type log struct {
		Address common.Address `json:"address"`
		Topics  []common.Hash  `json:"topics"`
		Data    hexutil.Bytes  `json:"data"`
	}
	used := log{common.Address(want.Token), []common.Hash{client.eventID("AuthorizationUsed"), topic(want.From), common.Hash(want.Nonce)}, nil}
	cancelled := log{common.Address(want.Token), []common.Hash{client.eventID("AuthorizationCanceled"), topic(want.From), common.Hash(want.Nonce)}, nil}
	paid := log{common.Address(want.Token), []common.Hash{client.eventID("Transfer"), topic(want.From), topic(want.To)}, common.BigToHash(want.Value.ToBig()).Bytes()}
	less, other := paid, paid
	less.Data, other.Address = common.BigToHash(big.NewInt(9)).Bytes(), common.Address{9}
	for _, logs := range [][]log{{used, paid}, {paid, used}, {used, less}, {used, other, paid}, {used, used, paid}, {cancelled, paid}, {used}, {paid}, nil} {
		for _, status := range []string{"0x0", "0x1"} {
			var whole []map[string]any
			for _, l := range logs {
				whole = append(whole, map[string]any{"address": l.Address, "topics": l.Topics, "data": l.Data, "blockNumber": "0x10",
					"transactionHash": common.Hash{5}, "transactionIndex": "0x0", "blockHash": common.Hash{6}, "logIndex": "0x0", "removed": false})
			}
			if whole == nil {
				whole = []map[string]any{}
			}
			raw, err := json.Marshal(map[string]any{"status": status, "cumulativeGasUsed": "0x1", "gasUsed": "0x1", "logsBloom": "0x" + hex.EncodeToString(make([]byte, 256)),
				"logs": whole, "transactionHash": common.Hash{5}, "blockHash": common.Hash{6}, "blockNumber": "0x10", "transactionIndex": "0x0", "type": "0x2"})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var receipt types.Receipt // as the client of the node reads it
		if json.Unmarshal(raw, &receipt) != nil || receipt.BlockNumber == nil {
			return
		}
		o, ok := client.outcome(&receipt, want, Head{Number: 16})
		if !ok || o.State != Transferred {
			return
		}
		logs := slices.DeleteFunc(slices.Clone(receipt.Logs), func(l *types.Log) bool { return l.Address != used.Address })
		for i := 1; i < len(logs); i++ {
			before, l := logs[i-1], logs[i]
			if slices.Equal(before.Topics, used.Topics) && slices.Equal(l.Topics, paid.Topics) && bytes.Equal(l.Data[:min(32, len(l.Data))], paid.Data) {
				return
			}
		}
		t.Errorf("a transfer is seen in %s", raw)
	})
}
