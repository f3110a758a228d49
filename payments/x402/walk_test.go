package x402

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// byTokens is unambiguous by encoding/json's own tokens.
func byTokens(d *json.Decoder, caseMatters bool) bool {
	start, _ := d.Token()
	if _, nested := start.(json.Delim); !nested {
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		within := caseMatters
		if start == json.Delim('{') {
			token, _ := d.Token()
			name := token.(string)
			within = caseMatters || name == "extensions"
			if !caseMatters {
				name = strings.ToLower(strings.ToUpper(name))
			}
			if seen[name] {
				return false
			}
			seen[name] = true
		}
		if !byTokens(d, within) {
			return false
		}
	}
	_, err := d.Token()
	return err == nil
}

func FuzzUnambiguous(f *testing.F) {
	for _, document := range []string{`{}`, `[]`, `[ ]`, `"a"`, `-1.5e3`, `null`, `{"a":1,"A":2}`, `{"extensions":{"a":1,"A":2}}`,
		`{"extensions":{"a":1,"a":2}}`, `{"a" : [ {"b":"}]\\\"" , "c":[1,true,[]]} , 2 ] , "d":{}}`, `{"s":1,"ſ":2}`,
		"{\"\xff\":1,\"\xfe\":2}", `{"a\/":1,"a/":2}`, `[{"a":1},{"a":1,"b":[{"c":0,"c":0}]}]`} {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		document = bytes.TrimSpace(document)
		if !json.Valid(document) {
			return
		}
		d := json.NewDecoder(bytes.NewReader(document))
		d.UseNumber()
		if got, want := unambiguous(document, false), byTokens(d, false); got != want {
			t.Errorf("%q: %v, want %v", document, got, want)
		}
	})
}

// Space around a payment hides nothing.
func TestDecodeRefusesTwiceBehindSpace(t *testing.T) {
	if _, err := DecodePayment([]byte(" \r\n\t{\"x402Version\":2,\"x402Version\":2} ")); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v", err)
	}
}
