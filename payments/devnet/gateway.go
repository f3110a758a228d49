package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	maxBody        = 1 << 20 // of a request, bytes
	maxBatch       = 1000    // calls; what viem sends at most, and go-ethereum takes
	maxBatchAnswer = 8 << 20 // of a batch, bytes, checked after each call
)

// gateway is the one way to the node, from outside and from this process: it
// decides which methods there are, and has blocks made when a call needs one.
type gateway struct {
	node     *rpc.Client
	producer *producer
	log      *slog.Logger
}

// ServeHTTP answers a JSON-RPC request. Failed calls are answered with status
// 200, as JSON-RPC clients expect; only a body that is no request has another.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status, fail := http.StatusBadRequest, failf(codeInvalidRequest, "the request could not be read")
		if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
			status, fail = http.StatusRequestEntityTooLarge, failf(codeInvalidRequest, "the request is larger than %d bytes", maxBody)
		}
		g.reply(w, status, response{Version: "2.0", ID: null(), Error: fail})
		return
	}
	calls, batch, fail := decodeCalls(body)
	if fail != nil {
		g.reply(w, http.StatusBadRequest, response{Version: "2.0", ID: null(), Error: fail})
		return
	}
	answers := g.handle(r.Context(), calls)
	switch {
	case len(answers) == 0: // nothing but notifications
		w.WriteHeader(http.StatusNoContent)
	case batch:
		g.reply(w, http.StatusOK, answers)
	default:
		g.reply(w, http.StatusOK, answers[0])
	}
}

// handle carries out the calls in their order. The transactions among them
// share a block, which is made soon.
func (g *gateway) handle(ctx context.Context, calls []json.RawMessage) (answers []response) {
	sent := false
	size := 0
	for _, raw := range calls {
		req, params, fail := decodeCall(raw)
		answer := response{Version: "2.0", ID: req.ID, Error: fail}
		switch {
		case fail != nil:
		case size > maxBatchAnswer:
			answer.Error = failf(codeLimit, "the answer to this batch is too large")
		default:
			answer.Result, answer.Error = g.call(ctx, req.Method, params)
			size += len(answer.Result)
			sent = sent || req.Method == "eth_sendRawTransaction" && answer.Error == nil
		}
		if req.ID != nil {
			answers = append(answers, answer)
		} else if fail != nil {
			answer.ID = null()
			answers = append(answers, answer)
		}
	}
	if sent {
		// As with any node, the answer says that the transaction is in the pool,
		// not that it is mined: who sends one after the other shares a block.
		g.producer.join(true)
	}
	return answers
}

// call has the node carry out one call.
func (g *gateway) call(ctx context.Context, method string, params []any) (json.RawMessage, *rpcError) {
	if fail := refuse(method); fail != nil {
		return nil, fail
	}
	if asksForHead(method) {
		if err := g.producer.refresh(ctx); err != nil {
			return nil, translate(ctx, err)
		}
	}
	result, err := g.ask(ctx, method, params)
	if err == nil && method == "eth_getTransactionReceipt" && string(result) == "null" && g.mined(ctx, params) {
		result, err = g.ask(ctx, method, params)
	}
	if err != nil {
		return nil, translate(ctx, err)
	}
	return result, nil
}

func (g *gateway) ask(ctx context.Context, method string, params []any) (result json.RawMessage, err error) {
	err = g.node.CallContext(ctx, &result, method, params...)
	if len(result) == 0 {
		result = null()
	}
	return result, err
}

// mined waits for the block of a transaction whose receipt is asked for, so that
// nobody has to poll for it. It reports whether there may be one now.
func (g *gateway) mined(ctx context.Context, params []any) bool {
	if len(params) != 1 {
		return false
	}
	raw, _ := params[0].(json.RawMessage)
	var hash common.Hash
	if err := json.Unmarshal(raw, &hash); err != nil {
		return false // the node has said so already
	}
	if !g.producer.engine.pooled(hash) {
		return true // it may have left the pool for a block since the node was asked
	}
	if err := g.producer.mine(ctx, hash); err != nil && ctx.Err() == nil {
		g.log.Error("transactions wait for a block", "err", err)
	}
	return true
}

// refuse says why a method is not to be had here, or nil. Everything that can
// look into the node or steer it (debug, admin, miner, …) is not.
func refuse(method string) *rpcError {
	namespace, name, _ := strings.Cut(method, "_")
	switch namespace {
	case "eth", "net", "web3":
	default:
		return failf(codeNoMethod, "the method %.100s does not exist or is not available here", method)
	}
	switch name {
	case "subscribe", "unsubscribe":
		return failf(codeNoMethod, "%s: there are no subscriptions here; poll eth_getLogs, or eth_newFilter and eth_getFilterChanges", method)
	case "sendRawTransactionSync":
		return failf(codeNoMethod, "%s: use eth_sendRawTransaction, and eth_getTransactionReceipt until there is one", method)
	}
	return nil
}

// asksForHead tells whether the answer depends on what time it is on the chain
// or on how many blocks there are: waiting for confirmations by asking for the
// block number must come to an end.
func asksForHead(method string) bool {
	switch method {
	case "eth_call", "eth_estimateGas", "eth_createAccessList", "eth_simulateV1",
		"eth_blockNumber", "eth_getBlockByNumber", "eth_getHeaderByNumber":
		return true
	}
	return false
}

func (g *gateway) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		g.log.Debug("a JSON-RPC answer was not taken", "err", err)
	}
}
