package tools

import (
	"bytes"
	"encoding/json"

	"github.com/events-concierge/concierge/payments/x402"
)

// Lift keeps a JSON-RPC message for the tool that it calls, and returns it for
// mcp-go with null for its payment: mcp-go reads all of a message five times, into
// maps, and a payment is most of it. A transport need not have it done.
func (c *Call) Lift(message []byte) []byte {
	c.message = message
	from, to, ok := locate(message, "params", "_meta", x402.MetaPayment)
	if !ok {
		return message
	}
	lifted := make([]byte, 0, len(message)-(to-from)+len("null"))
	return append(append(append(lifted, message[:from]...), "null"...), message[to:]...)
}

// locate returns where in a JSON object the value is that path leads to, by
// names as they are written here.
func locate(object []byte, path ...string) (from, to int, ok bool) {
	if !bytes.Contains(object, []byte(path[len(path)-1])) || !json.Valid(object) {
		return 0, 0, false
	}
	to = len(object)
	for _, name := range path {
		start, end, ok := member(object[from:to], name)
		if !ok {
			return 0, 0, false
		}
		from, to = from+start, from+end
	}
	return from, to, true
}

// member returns where the value of a member is, if raw, which is JSON, is an
// object that has it.
func member(raw []byte, name string) (from, to int, ok bool) {
	at := skipSpace(raw, 0)
	if raw[at] != '{' {
		return 0, 0, false
	}
	for at = skipSpace(raw, at+1); raw[at] == '"'; at = skipSpace(raw, at+1) { // behind a comma
		end := skipValue(raw, at)
		found := string(raw[at+1:end-1]) == name
		from = skipSpace(raw, skipSpace(raw, end)+1) // behind the colon
		to = skipValue(raw, from)
		if found {
			return from, to, true
		}
		if at = skipSpace(raw, to); raw[at] == '}' {
			break
		}
	}
	return 0, 0, false
}

func skipSpace(raw []byte, at int) int {
	for raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\r' || raw[at] == '\n' {
		at++
	}
	return at
}

// skipValue returns where the value ends that begins at some place of JSON.
func skipValue(raw []byte, at int) int {
	for depth := 0; at < len(raw); at++ {
		switch raw[at] {
		case '"':
			for at++; raw[at] != '"'; at++ {
				if raw[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ',', ':', ' ', '\t', '\r', '\n':
			continue
		default: // a number or a word
			for at+1 < len(raw) && bytes.IndexByte([]byte(",:]} \t\r\n"), raw[at+1]) < 0 {
				at++
			}
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}
