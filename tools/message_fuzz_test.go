package tools

import (
	"encoding/json"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// What mcp-go sees of a payment in a message is seen, whatever else is there; or
// a paid call would be asked to pay. What is found is JSON, to be decoded.
func FuzzMetaPayments(f *testing.F) {
	for _, meta := range []string{`{}`, `null`, `{"x402/payment":null}`, `{"x402/payment":{"x402Version":2}}`, `{"x402/payment":"e30="}`,
		`{"x402\/payment":1,"x402/payment":2}`, `{"X402/Payment":{}}`, `{"progressToken":1,"x402/payment":[]}`, `[]`} {
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{},"_meta":` + meta + `}}`))
	}
	f.Add([]byte(`{"params":{"_meta":{"x402/payment":1}},"params":{"_meta":{"x402/payment":2}}}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		found := metaPayments(message)
		for _, raw := range found {
			if !json.Valid(raw) || string(raw) == "null" {
				t.Errorf("%q is a payment in %s", raw, message)
			}
			if p, err := x402.DecodeMeta(raw); err == nil && p.Version != 1 && p.Version != 2 {
				t.Errorf("%s is %+v", raw, p)
			}
		}
		var call mcp.CallToolRequest
		if json.Unmarshal(message, &call) != nil || call.Params.Meta == nil {
			return
		}
		if seen := call.Params.Meta.AdditionalFields[x402.MetaPayment]; seen != nil && len(found) == 0 {
			t.Errorf("%v is not seen in %s", seen, message)
		}
	})
}
