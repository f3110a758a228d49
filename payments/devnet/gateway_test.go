package devnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// serveHTTP serves a chain on a port of its own.
func serveHTTP(t *testing.T, opts Options) (*testChain, string) {
	t.Helper()
	c := startChain(t, opts)
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	return c, server.URL
}

func post(t *testing.T, url, body string) (status int, contentType, answer string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), strings.TrimSpace(string(read))
}

// go-ethereum's own client, over HTTP.
func TestOverHTTP(t *testing.T) {
	c, url := serveHTTP(t, Options{})
	over, err := ethclient.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	ctx := t.Context()
	if id, err := over.ChainID(ctx); err != nil || id.Int64() != ChainID {
		t.Errorf("chain id %v, %v", id, err)
	}
	if id, err := over.NetworkID(ctx); err != nil || id.Int64() != ChainID {
		t.Errorf("network id %v, %v", id, err)
	}
	if _, err := over.TransactionReceipt(ctx, common.Hash{1}); !errors.Is(err, ethereum.NotFound) {
		t.Errorf("receipt of an unknown transaction: %v", err)
	}
	if tip, err := over.SuggestGasTipCap(ctx); err != nil || tip.Sign() <= 0 {
		t.Errorf("tip %v, %v", tip, err)
	}
	a := c.funded(t, 1_000)
	token := USDC()
	tx := sign(t, a, 0, &token, c.pack(t, "transfer", common.Address{5}, big.NewInt(400)))
	if err := over.SendTransaction(ctx, tx); err != nil {
		t.Fatal(err)
	}
	receipt, err := over.TransactionReceipt(ctx, tx.Hash())
	if err != nil || receipt.Status != 1 {
		t.Fatalf("receipt %v, %v", receipt, err)
	}
	logs, err := over.FilterLogs(ctx, ethereum.FilterQuery{FromBlock: big.NewInt(0), Addresses: []common.Address{token},
		Topics: [][]common.Hash{{c.token.Events["Transfer"].ID}, {common.BytesToHash(a.addr[:])}}})
	if err != nil || len(logs) != 1 || logs[0].TxHash != tx.Hash() {
		t.Errorf("logs %v, %v", logs, err)
	}
	for _, tag := range []rpc.BlockNumber{rpc.LatestBlockNumber, rpc.SafeBlockNumber, rpc.FinalizedBlockNumber} {
		if h, err := over.HeaderByNumber(ctx, big.NewInt(int64(tag))); err != nil || h.Number.Cmp(receipt.BlockNumber) != 0 {
			t.Errorf("%v: %v, %v", tag, h, err)
		}
	}
	// Why a call failed must survive the way, in full.
	_, err = over.CallContract(ctx, ethereum.CallMsg{From: a.addr, To: &token, Data: c.pack(t, "transfer", common.Address{5}, big.NewInt(601))}, nil)
	var coded rpc.Error
	if !errors.As(err, &coded) || coded.ErrorCode() != 3 || coded.Error() != "execution reverted: ERC20: transfer amount exceeds balance" {
		t.Errorf("reverted call: %v", err)
	}
	if reason := revertReason(t, err); reason != "ERC20: transfer amount exceeds balance" {
		t.Errorf("reason %q", reason)
	}
	if _, err = over.EstimateGas(ctx, ethereum.CallMsg{From: a.addr, To: &token, Data: c.pack(t, "transfer", common.Address{}, big.NewInt(1))}); err == nil || revertReason(t, err) != "ERC20: transfer to the zero address" {
		t.Errorf("reverted estimate: %v", err)
	}
	if err := over.SendTransaction(ctx, tx); err == nil || !strings.Contains(err.Error(), "nonce too low") {
		t.Errorf("sent twice: %v", err)
	}
}

// Watching by polling, as viem does over HTTP.
func TestFilters(t *testing.T) {
	c := startChain(t, Options{})
	var id string
	if err := c.RPC().CallContext(t.Context(), &id, "eth_newFilter", map[string]any{"address": USDC()}); err != nil {
		t.Fatal(err)
	}
	c.funded(t, 7)
	var logs []struct{ Topics []common.Hash }
	if err := c.RPC().CallContext(t.Context(), &logs, "eth_getFilterLogs", id); err != nil || len(logs) != 2 { // Mint and Transfer
		t.Errorf("%v, %v", logs, err)
	}
	var gone bool
	if err := c.RPC().CallContext(t.Context(), &gone, "eth_uninstallFilter", id); err != nil || !gone {
		t.Errorf("uninstall: %v, %v", gone, err)
	}
}

func TestRefusedMethods(t *testing.T) {
	c := startChain(t, Options{})
	for _, method := range []string{
		"debug_traceBlockByNumber", "admin_nodeInfo", "admin_stopHTTP", "personal_listAccounts", "miner_setGasPrice",
		"txpool_content", "engine_newPayloadV3", "testing_buildBlockV1", "rpc_modules", "dev_addWithdrawal",
		"eth_subscribe", "eth_unsubscribe", "net_subscribe", "eth_sendRawTransactionSync",
		"eth", "", "_", "ETH_call", "ethx_call", "eth_noSuchThing", "evm_mine",
	} {
		var out any
		err := c.RPC().CallContext(t.Context(), &out, method, "newHeads")
		var coded rpc.Error
		if !errors.As(err, &coded) || (coded.ErrorCode() != codeNoMethod && method != "") {
			t.Errorf("%q: %v, %v", method, out, err)
		}
	}
	if err := c.eth.Client().CallContext(t.Context(), new(any), "eth_sendTransaction", map[string]any{"from": c.faucet.account, "to": common.Address{1}}); err == nil {
		t.Error("the node signed a transaction: it must have no keys")
	}
}

func TestRequests(t *testing.T) {
	_, url := serveHTTP(t, Options{})
	const chain = `"jsonrpc":"2.0","method":"eth_chainId"`
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"plain", `{` + chain + `,"id":1,"params":[]}`, 200, `{"jsonrpc":"2.0","id":1,"result":"0x14a34"}`},
		{"string id, no params", ` {` + chain + `,"id":"a"} `, 200, `{"jsonrpc":"2.0","id":"a","result":"0x14a34"}`},
		{"null id, null params", `{` + chain + `,"id":null,"params":null}`, 200, `{"jsonrpc":"2.0","id":null,"result":"0x14a34"}`},
		{"null result", `{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionByHash","params":["0x` + strings.Repeat("00", 32) + `"]}`, 200, `{"jsonrpc":"2.0","id":1,"result":null}`},
		{"notification", `{` + chain + `}`, 204, ``},
		{"batch", `[{` + chain + `,"id":1},{"jsonrpc":"2.0","id":2,"method":"admin_peers"},{` + chain + `},7,{` + chain + `,"id":3}]`, 200,
			`[{"jsonrpc":"2.0","id":1,"result":"0x14a34"},` +
				`{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"the method admin_peers does not exist or is not available here"}},` +
				`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"not a JSON-RPC request: want jsonrpc, id, method and params"}},` +
				`{"jsonrpc":"2.0","id":3,"result":"0x14a34"}]`},
		{"not JSON", `{`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the request is not JSON"}}`},
		{"nothing", ``, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the request is not JSON"}}`},
		{"two values", `{` + chain + `,"id":1} {}`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the request is not JSON"}}`},
		{"empty batch", `[]`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the batch is empty"}}`},
		{"large batch", `[` + strings.Repeat(`{},`, maxBatch) + `{}]`, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the batch has 1001 calls, more than 1000"}}`},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"jsonrpc must be \"2.0\""}}`},
		{"no method", `{"jsonrpc":"2.0","id":1}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"method is missing"}}`},
		{"unknown member", `{` + chain + `,"id":1,"extra":0}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"not a JSON-RPC request: want jsonrpc, id, method and params"}}`},
		{"an object as id", `{` + chain + `,"id":{}}`, 200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"id must be a string, a number or null"}}`},
		{"params by name", `{` + chain + `,"id":1,"params":{}}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"params must be an array"}}`},
		{"too many params", `{` + chain + `,"id":1,"params":[1]}`, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"too many arguments, want at most 0"}}`},
		{"too large", strings.Repeat(" ", maxBody+1), 413, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the request is larger than 1048576 bytes"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, contentType, got := post(t, url, tt.body)
			if status != tt.status || got != tt.want {
				t.Errorf("%d %s\nwant %d %s", status, got, tt.status, tt.want)
			}
			if got != "" && contentType != "application/json" {
				t.Errorf("Content-Type %q", contentType)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	_, url := serveHTTP(t, Options{})
	for path, want := range map[string]int{"/": 405, "/faucet": 405, "/other": 404} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// The transactions of one batch share a block, which is there when it returns.
func TestBatchSharesBlock(t *testing.T) {
	c := startChain(t, Options{})
	a := c.funded(t, 0)
	var batch []rpc.BatchElem
	for nonce := range uint64(5) {
		raw, err := sign(t, a, nonce, &common.Address{1}, nil).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, rpc.BatchElem{Method: "eth_sendRawTransaction", Args: []any{hexutil.Encode(raw)}, Result: new(common.Hash)})
	}
	before := c.engine.head().Number.Uint64()
	if err := c.RPC().BatchCallContext(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for _, e := range batch {
		r, err := c.eth.TransactionReceipt(t.Context(), *e.Result.(*common.Hash))
		if e.Error != nil || err != nil || r.BlockNumber.Uint64() != before+1 {
			t.Errorf("%v, %v, %v", e.Error, err, r)
		}
	}
}

func TestBatchAnswerBounded(t *testing.T) {
	c := startChain(t, Options{})
	// Code that returns 2^21-1 zeros: twice as many characters, for few in the request.
	call := json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x0000000000000000000000000000000000000099"},
		"latest",{"0x0000000000000000000000000000000000000099":{"code":"0x621fffff5ff3"}}]}`)
	g := &gateway{node: c.engine.rpc, producer: c.producer}
	answers := g.handle(t.Context(), []json.RawMessage{call, call, call})
	if len(answers) != 3 || answers[1].Error != nil || answers[2].Error == nil || answers[2].Error.Code != codeLimit {
		for _, a := range answers {
			t.Errorf("%d bytes, %v", len(a.Result), a.Error)
		}
	}
}

func TestCallerLeaves(t *testing.T) {
	c := startChain(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.eth.BlockNumber(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := c.Fund(ctx, common.Address{1}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// The transactions are in the pool, and the next block has them.
	if _, err := c.Fund(t.Context(), common.Address{2}, 1); err != nil {
		t.Fatal(err)
	}
	if got := c.balance(t, common.Address{1}); got != 1 {
		t.Errorf("balance %d", got)
	}
}

// Whatever the body, the gateway answers JSON or nothing, and ids come back.
func FuzzDecodeCalls(f *testing.F) {
	for _, seed := range []string{`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`, `[{"id":"x"},3,null]`, `[]`, ``, `{"id":{}}`, ` [[ ]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		calls, batch, fail := decodeCalls(body)
		if fail != nil {
			if len(calls) > maxBatch || fail.Message == "" {
				t.Errorf("%v", fail)
			}
			return
		}
		if !batch && len(calls) != 1 {
			t.Errorf("%d calls in no batch", len(calls))
		}
		for _, raw := range calls {
			req, params, fail := decodeCall(raw)
			answer, err := json.Marshal(response{Version: "2.0", ID: req.ID, Error: fail})
			if err != nil || !json.Valid(answer) {
				t.Errorf("%s: %v", raw, err)
			}
			if fail != nil {
				continue
			}
			// decode, encode, decode agrees
			again, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": req.ID, "method": req.Method, "params": params})
			if err != nil {
				t.Fatal(err)
			}
			second, params2, fail := decodeCall(again)
			if fail != nil || second.Method != req.Method || len(params2) != len(params) {
				t.Errorf("%s became %s: %v", raw, again, fail)
			}
			if req.ID != nil && !bytes.Equal(bytes.TrimSpace(second.ID), compact(t, req.ID)) {
				t.Errorf("id %s became %s", req.ID, second.ID)
			}
		}
	})
}

func compact(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	out, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
