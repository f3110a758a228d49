package x402_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

const (
	payer = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	payTo = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
	nonce = "0x1111111111111111111111111111111111111111111111111111111111111111"
)

// classes are all the ways to be refused.
var classes = []error{
	x402.ErrTooLarge, x402.ErrBase64, x402.ErrJSON, x402.ErrTrailing, x402.ErrVersion, x402.ErrMissing,
	x402.ErrScheme, x402.ErrNetwork, x402.ErrNumber, x402.ErrRange, x402.ErrHex, x402.ErrHexLength, x402.ErrChecksum,
	x402.ErrFormat, x402.ErrIdentifier,
}

// checkClass fails the test unless err is of the class want and of no other.
func checkClass(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want class %q", err, want)
	}
	for _, other := range classes {
		if other != want && errors.Is(err, other) {
			t.Errorf("error %v is also of class %q", err, other)
		}
	}
}

// checkRefused is checkClass for a damaged payment, whose signature must not be
// told and whose other bytes must not fill the log.
func checkRefused(t *testing.T, err, want error, signature string) {
	t.Helper()
	checkClass(t, err, want)
	if len(signature) > 40 && strings.Contains(err.Error(), signature[2:40]) {
		t.Errorf("the error tells the signature: %v", err)
	}
	if len(err.Error()) > 600 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// vectors returns the JSON of the payments in testdata: v1a, v1b, v2.
func vectors(tb testing.TB) map[string][]byte {
	tb.Helper()
	objects := map[string][]byte{}
	for name, raw := range vectorFile(tb) {
		if raw[0] == '{' {
			objects[name] = raw
		}
	}
	return objects
}

// vectorHeaders returns the header values in testdata by the payment's name.
func vectorHeaders(tb testing.TB) map[string]string {
	tb.Helper()
	headers := map[string]string{}
	for name, raw := range vectorFile(tb) {
		if of, ok := strings.CutSuffix(name, "Header"); ok {
			var value string
			if err := json.Unmarshal(raw, &value); err != nil {
				tb.Fatal(err)
			}
			headers[of] = value
		}
	}
	return headers
}

func vectorFile(tb testing.TB) map[string]json.RawMessage {
	tb.Helper()
	raw, err := os.ReadFile("testdata/x402-exact-evm.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// signatureOf reads the signature of a payment without the code under test.
func signatureOf(tb testing.TB, payment []byte) string {
	tb.Helper()
	var p struct {
		Payload struct {
			Signature string `json:"signature"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(payment, &p); err != nil {
		tb.Fatal(err)
	}
	return p.Payload.Signature
}

// removed as a value makes edit take the member away.
const removed = ""

// edit returns the JSON object with the member at a path such as
// "payload.authorization.from" set to value, itself JSON.
func edit(tb testing.TB, object []byte, path, value string) []byte {
	tb.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		tb.Fatalf("edit %s: %v", path, err)
	}
	name, rest, deeper := strings.Cut(path, ".")
	switch {
	case deeper:
		members[name] = edit(tb, members[name], rest, value)
	case value == removed:
		delete(members, name)
	default:
		members[name] = json.RawMessage(value)
	}
	edited, err := json.Marshal(members)
	if err != nil {
		tb.Fatalf("edit %s to %.80s: %v", path, value, err)
	}
	return edited
}

// quote returns s as a JSON string.
func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func toBase64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

func mustAddress(tb testing.TB, s string) x402.Address {
	tb.Helper()
	a, err := x402.ParseAddress(s)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func fromBase64(tb testing.TB, value string) []byte {
	tb.Helper()
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || toBase64(raw) != value {
		tb.Fatalf("%q is not base64 as it is written: %v", value, err)
	}
	return raw
}
