package tools

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// What is lifted out of a message is its payment and nothing else, and the tool
// sees the payment still.
func FuzzLift(f *testing.F) {
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","_meta":{"x402/payment":{"a":["}",1e3,"\\\""]},"b":1},"arguments":{}}}`,
		` { "params" : { "_meta" : { "x402/payment" : "e30=" } , "name" : "n" } } `,
		`{"params":{"_meta":{"b":[],"x402/payment":-1.5}}}`, `{"params":{"_meta":{"x402/payment":true,"x402/payment":{}}}}`,
		`{"params":{"_meta":[{"x402/payment":1}]}}`, `{"params":"_meta","_meta":{"x402/payment":1}}`, `{"params":{},"a":"x402/payment"}`,
		`{"params":{"_meta":{}},"params":{"_meta":{"x402/payment":1}}}`, `["x402/payment"]`, `"x402/payment"`, `{"x402/payment"`, `{}`,
	} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var c Call
		lifted := c.Lift(message)
		if string(c.message) != string(message) {
			t.Fatalf("kept %s of %s", c.message, message)
		}
		var before, after map[string]any
		if json.Unmarshal(message, &before) != nil {
			if string(lifted) != string(message) {
				t.Fatalf("%s became %s", message, lifted)
			}
			return
		}
		if err := json.Unmarshal(lifted, &after); err != nil {
			t.Fatalf("%s became %s: %v", message, lifted, err)
		}
		for _, m := range []map[string]any{before, after} {
			if params, ok := m["params"].(map[string]any); ok {
				if meta, ok := params["_meta"].(map[string]any); ok {
					delete(meta, x402.MetaPayment)
				}
			}
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s became %s", message, lifted)
		}
	})
}
