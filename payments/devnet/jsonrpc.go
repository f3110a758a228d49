package devnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/rpc"
)

// Error codes of JSON-RPC 2.0, and of Ethereum's (EIP-1474) the one it needs.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603
	codeLimit          = -32005
)

// request is one call. A call without an id is a notification: it is carried
// out and not answered.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// response is the answer to a request: a result or an error.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

// rpcError is a JSON-RPC error; data carries what a reverted call gave back.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

func failf(code int, format string, args ...any) *rpcError {
	return &rpcError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// decodeCalls splits a body into its calls, and tells whether it is a batch.
func decodeCalls(body []byte) (calls []json.RawMessage, batch bool, fail *rpcError) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if !json.Valid(body) {
		return nil, false, failf(codeParse, "the request is not JSON")
	}
	if body[0] != '[' {
		return []json.RawMessage{body}, false, nil
	}
	if err := json.Unmarshal(body, &calls); err != nil {
		return nil, true, failf(codeParse, "the request is not JSON")
	}
	switch {
	case len(calls) == 0:
		return nil, true, failf(codeInvalidRequest, "the batch is empty")
	case len(calls) > maxBatch:
		return nil, true, failf(codeInvalidRequest, "the batch has %d calls, more than %d", len(calls), maxBatch)
	}
	return calls, true, nil
}

// decodeCall reads one call strictly. It returns the id, as far as there is a
// sound one, also with an error.
func decodeCall(raw json.RawMessage) (req request, params []any, fail *rpcError) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(&req)
	if !soundID(req.ID) {
		req.ID = null()
		return req, nil, failf(codeInvalidRequest, "id must be a string, a number or null")
	}
	switch {
	case err != nil:
		return req, nil, failf(codeInvalidRequest, "not a JSON-RPC request: want jsonrpc, id, method and params")
	case req.Version != "2.0":
		return req, nil, failf(codeInvalidRequest, `jsonrpc must be "2.0"`)
	case req.Method == "":
		return req, nil, failf(codeInvalidRequest, "method is missing")
	case len(req.Params) == 0 || string(req.Params) == "null":
		return req, nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(req.Params, &list); err != nil {
		return req, nil, failf(codeInvalidParams, "params must be an array")
	}
	for _, p := range list {
		params = append(params, p)
	}
	return req, params, nil
}

func soundID(id json.RawMessage) bool {
	if len(id) == 0 || string(id) == "null" {
		return true
	}
	return id[0] == '"' || id[0] == '-' || (id[0] >= '0' && id[0] <= '9')
}

func null() json.RawMessage { return json.RawMessage("null") }

// translate keeps what the node says about a failed call: code, message and
// data, which for a revert is the contract's answer.
func translate(ctx context.Context, err error) *rpcError {
	if ctx.Err() != nil {
		return failf(codeInternal, "the call was cut off: %v", context.Cause(ctx))
	}
	var coded rpc.Error
	if !errors.As(err, &coded) {
		return failf(codeInternal, "the node gave no answer")
	}
	fail := &rpcError{Code: coded.ErrorCode(), Message: coded.Error()}
	var withData rpc.DataError
	if errors.As(err, &withData) {
		fail.Data = withData.ErrorData()
	}
	return fail
}
