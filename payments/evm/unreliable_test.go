package evm_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
)

// Behind one address of a public node there are many, of which some lag; and a
// chain may drop its last block for another. Whatever they answer, "not known
// now" must not turn into "unused" or "spent": both end a payment.

func TestAuthorizationNotKnown(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	paid := c.settle(t, payer, a)
	other := c.settle(t, payer, c.authorize(payer, payee, 10)).TxHash

	for name, test := range map[string]struct {
		method string
		fault  fault
	}{
		"the state of the head is not there": {"eth_call", func(c call) []byte { return c.refuse(-32000, "header not found", nil) }},
		"the logs are not there yet":         {"eth_getLogs", func(c call) []byte { return c.result([]any{}) }},
		"the logs are refused":               {"eth_getLogs", func(c call) []byte { return c.refuse(-32005, "query returned more than 10 results", nil) }},
		"the receipt is not there":           {"eth_getTransactionReceipt", func(c call) []byte { return c.result(nil) }},
		"the transaction left its block": {"eth_getTransactionReceipt", func(c call) []byte {
			return c.edit(func(receipt map[string]any) { receipt["blockNumber"], receipt["blockHash"] = nil, nil })
		}},
		"the transaction failed in another block": {"eth_getTransactionReceipt", func(c call) []byte {
			return c.edit(func(receipt map[string]any) { receipt["status"], receipt["logs"] = "0x0", []any{} })
		}},
		"the receipt is another one's": {"eth_getTransactionReceipt", func(c call) []byte {
			return c.ask(json.RawMessage(strconv.Quote(other.Hex())))
		}},
		"no head":   {"eth_getBlockByNumber", func(c call) []byte { return c.result(nil) }},
		"no answer": {"eth_getTransactionReceipt", func(call) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			n.heal()
			n.on(test.method, test.fault)
			if o, err := client.Authorization(t.Context(), c.expected(a), since); err == nil {
				t.Errorf("%+v", o)
			}
		})
	}
	n.heal()
	if o, err := client.Authorization(t.Context(), c.expected(a), since); err != nil || o.State != evm.Transferred || o.Transaction != paid.TxHash {
		t.Errorf("in the end: %+v, %v", o, err)
	}
}

// Asked for the state at the head's number, not for the newest state: an older
// state that another node has would say "unused".
func TestStateIsAskedAtTheHead(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	a := c.authorize(c.funded(t, 100), payee, 10)
	n.on("eth_call", func(call call) []byte {
		var block string
		if err := json.Unmarshal(call.Params[1], &block); err != nil || number(t, block) != c.head(t) {
			t.Errorf("asked at %s, %v", call.Params[1], err)
		}
		return call.forward()
	})
	if o, err := client.Authorization(t.Context(), c.expected(a), 0); err != nil || o.State != evm.Unused {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAwaitStaysForTheReceipt(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	tx := c.settle(t, payer, a).TxHash
	for name, early := range map[string]fault{
		"not there": func(c call) []byte { return c.result(nil) },
		"pending": func(c call) []byte {
			return c.edit(func(receipt map[string]any) { receipt["blockNumber"], receipt["blockHash"] = nil, nil })
		},
	} {
		for _, confirmations := range []uint64{1, 2} {
			t.Run(name+", confirmations "+strconv.FormatUint(confirmations, 10), func(t *testing.T) {
				c.grow(t, 1)
				looks := 0
				n.on("eth_getTransactionReceipt", func(c call) []byte {
					if looks = c.Nth; c.Nth < 4 {
						return early(c)
					}
					return c.forward()
				})
				o, err := n.dial(t, evm.Options{Confirmations: confirmations}).Await(t.Context(), tx, c.expected(a), since)
				if err != nil || o.State != evm.Transferred || !o.Confirmed || looks != 4 {
					t.Errorf("%+v, %v after %d looks", o, err, looks)
				}
			})
		}
	}
}

// Our transaction failed because somebody else's used the authorization just
// before. A node that has not seen that block yet says that it is unused, and
// the payment would count as failed although the money moved.
func TestAwaitDoesNotBelieveOlderBlocks(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	before := c.head(t)
	theirs := c.send(t, c.funded(t, 0), c.usdc, c.call(t, payer, a)).TxHash
	ours := c.fail(t, c.call(t, payer, a))
	n.on("eth_getBlockByNumber", func(c call) []byte {
		if c.Nth < 4 {
			return c.ask(json.RawMessage(strconv.Quote("0x"+strconv.FormatUint(before, 16))), json.RawMessage("false"))
		}
		return c.forward()
	})
	o, err := client.Await(t.Context(), ours, c.expected(a), since)
	if err != nil || o.State != evm.Transferred || o.Transaction != theirs {
		t.Errorf("%+v, %v", o, err)
	}
}

// The receipt's status proves nothing, the logs do: a node that shows success
// without logs must not make a payment settled.
func TestAwaitNeedsTheLogs(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	client := n.dial(t, evm.Options{})
	usdcLog := func(receipt map[string]any, i int) map[string]any { return receipt["logs"].([]any)[i].(map[string]any) }
	for name, change := range map[string]func(map[string]any){
		"no logs": func(r map[string]any) { r["logs"] = []any{} },
		"no transfer": func(r map[string]any) {
			r["logs"] = r["logs"].([]any)[:1]
		},
		"transfer of another contract": func(r map[string]any) { usdcLog(r, 1)["address"] = common.Address{9}.Hex() },
		"use at another contract":      func(r map[string]any) { usdcLog(r, 0)["address"] = common.Address{9}.Hex() },
		"transfer before the use": func(r map[string]any) {
			r["logs"] = []any{usdcLog(r, 1), usdcLog(r, 0)}
		},
		"transfer without a value":      func(r map[string]any) { usdcLog(r, 1)["data"] = "0x" },
		"transfer with a damaged value": func(r map[string]any) { usdcLog(r, 1)["data"] = "0x01" },
		"transfer of more":              func(r map[string]any) { usdcLog(r, 1)["data"] = common.BytesToHash([]byte{11}).Hex() },
		"transfer without topics":       func(r map[string]any) { usdcLog(r, 1)["topics"] = []any{} },
		"transfer with a topic too many": func(r map[string]any) {
			ts := usdcLog(r, 1)["topics"].([]any)
			usdcLog(r, 1)["topics"] = append(ts, ts[0])
		},
		"something else between": func(r map[string]any) { r["logs"] = []any{usdcLog(r, 0), usdcLog(r, 0), usdcLog(r, 1)} },
	} {
		t.Run(name, func(t *testing.T) {
			payer, since := c.funded(t, 100), c.head(t)
			a := c.authorize(payer, payee, 10)
			tx := c.settle(t, payer, a).TxHash
			ctx := n.until(t, "eth_getTransactionReceipt", 5, func(c call) []byte { return c.edit(change) })
			o, err := client.Await(ctx, tx, c.expected(a), since)
			if err == nil && o.State != evm.Spent {
				t.Errorf("%+v", o)
			}
		})
	}
}

// A log of another contract between the two of the token is no matter: a payer
// may be a contract that has something to say.
func TestForeignLogsBetween(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	tx := c.settle(t, payer, a).TxHash
	n.on("eth_getTransactionReceipt", func(c call) []byte {
		return c.edit(func(r map[string]any) {
			logs := r["logs"].([]any)
			foreign := map[string]any{}
			for k, v := range logs[1].(map[string]any) {
				foreign[k] = v
			}
			foreign["address"] = common.Address{9}.Hex()
			r["logs"] = []any{foreign, logs[0], foreign, logs[1], foreign}
		})
	})
	o, err := n.dial(t, evm.Options{}).Await(t.Context(), tx, c.expected(a), since)
	if err != nil || o.State != evm.Transferred {
		t.Errorf("%+v, %v", o, err)
	}
}

// What a node can't answer it is asked again, for as long as the caller has
// patience, and is then told.
func TestAwaitStaysWhenTheNodeFails(t *testing.T) {
	c := startChain(t, evm.Options{})
	n := serve(t, c)
	payer, since := c.funded(t, 100), c.head(t)
	a := c.authorize(payer, payee, 10)
	tx := c.settle(t, payer, a).TxHash
	c.grow(t, 1)
	for name, test := range map[string]struct {
		method string
		fault  fault
		says   string
	}{
		"receipt refused": {"eth_getTransactionReceipt", func(c call) []byte { return c.refuse(-32000, "transaction indexing is in progress", nil) }, "indexing"},
		"head refused":    {"eth_getBlockByNumber", func(c call) []byte { return c.refuse(-32603, "internal", nil) }, "internal"},
		"hangs up":        {"eth_getTransactionReceipt", func(call) []byte { return nil }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			n.heal()
			client := n.dial(t, evm.Options{Confirmations: 2})
			ctx := n.until(t, test.method, 5, test.fault)
			o, err := client.Await(ctx, tx, c.expected(a), since)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), test.says) || o != (evm.Outcome{}) {
				t.Errorf("%+v, %v", o, err)
			}
			if errors.Is(err, evm.ErrReverted) {
				t.Errorf("taken for a revert: %v", err)
			}
			n.on(test.method, func(c call) []byte {
				if c.Nth < 4 {
					return test.fault(c)
				}
				return c.forward()
			})
			if o, err = client.Await(t.Context(), tx, c.expected(a), since); err != nil || o.State != evm.Transferred {
				t.Errorf("recovered: %+v, %v", o, err)
			}
		})
	}
}
