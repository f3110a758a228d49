package x402

import (
	"bytes"
	"encoding/json"
	"iter"
)

// span is where a value is in a document.
type span struct{ from, to int }

// parts are the members of an object, each with its name in its quotes, or
// the elements of an array, with none. raw must be JSON, without space before it.
// Other values have no parts. It is many times as fast as [json.Decoder.Token].
func parts(raw []byte) iter.Seq2[[]byte, span] {
	return func(yield func([]byte, span) bool) {
		if raw[0] != '{' && raw[0] != '[' {
			return
		}
		for at := skipSpace(raw, 1); raw[at] != '}' && raw[at] != ']'; {
			var name []byte
			if raw[0] == '{' {
				end := skipValue(raw, at)
				name = raw[at:end]
				at = skipSpace(raw, skipSpace(raw, end)+1) // behind the colon
			}
			value := span{at, skipValue(raw, at)}
			if !yield(name, value) {
				return
			}
			if at = skipSpace(raw, value.to); raw[at] == ',' {
				at = skipSpace(raw, at+1)
			}
		}
	}
}

// Members are the members of an object, each with its name in its quotes, as it is
// written. raw must be JSON; where it is no object there are none.
func Members(raw []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		raw := raw[skipSpace(raw, 0):]
		if raw[0] != '{' {
			return
		}
		for name, value := range parts(raw) {
			if !yield(name, raw[value.from:value.to]) {
				return
			}
		}
	}
}

// skipSpace returns where in JSON something other than space is.
func skipSpace(raw []byte, at int) int {
	for raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\r' || raw[at] == '\n' {
		at++
	}
	return at
}

// skipValue returns the end of the value of JSON that begins at some place.
func skipValue(raw []byte, at int) int {
	depth := 0
	for ; at < len(raw); at++ {
		switch raw[at] {
		case '"':
			for at++; raw[at] != '"'; at++ {
				if raw[at] == '\\' {
					at++
				}
			}
			if depth == 0 {
				return at + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of what a number or a word is in
				return at
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return at
			}
		}
	}
	return at
}

// WithoutPayment returns a JSON-RPC message with null in the place of its
// payment. What is no such message comes back as it is.
func WithoutPayment(message []byte) []byte {
	if !bytes.Contains(message, []byte(MetaPayment)) || !json.Valid(message) {
		return message
	}
	at := span{skipSpace(message, 0), len(message)}
	for _, name := range []string{`"params"`, `"_meta"`, `"` + MetaPayment + `"`} {
		found := false
		for member, value := range parts(message[at.from:at.to]) {
			if found = string(member) == name; found {
				at = span{at.from + value.from, at.from + value.to}
				break
			}
		}
		if !found {
			return message
		}
	}
	rest := make([]byte, 0, len(message))
	return append(append(append(rest, message[:at.from]...), "null"...), message[at.to:]...)
}
