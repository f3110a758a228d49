package x402_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestDamagedJSON(t *testing.T) {
	for name, raw := range vectors(t) {
		v := string(raw)
		signature := signatureOf(t, raw)
		tests := []struct {
			name, raw string
			want      error
		}{
			{"nothing", ``, x402.ErrJSON},
			{"spaces", "  \n", x402.ErrJSON},
			{"null", `null`, x402.ErrMissing},
			{"array", `[` + v + `]`, x402.ErrJSON},
			{"string in a payment's place", quote(signature), x402.ErrJSON},
			{"not JSON", `payment`, x402.ErrJSON},
			{"truncated", v[:len(v)-1], x402.ErrJSON},
			{"truncated within the signature", v[:strings.Index(v, signature)+20], x402.ErrJSON},
			{"single quotes", strings.ReplaceAll(v, `"`, `'`), x402.ErrJSON},
			{"signature without quotes", strings.Replace(v, quote(signature), signature, 1), x402.ErrJSON},
			{"comma at the end", strings.TrimSuffix(v, "}") + ",}", x402.ErrJSON},
			{"byte order mark", "\ufeff" + v, x402.ErrJSON},
			{"trailing letter", v + "x", x402.ErrTrailing},
			{"trailing brace", v + "}", x402.ErrTrailing},
			{"trailing NUL", v + "\x00", x402.ErrTrailing},
			{"trailing number", v + " 1", x402.ErrTrailing},
			{"second payment", v + v, x402.ErrTrailing},
			{"oversized by spaces", v + strings.Repeat(" ", x402.MaxPayment-len(v)+1), x402.ErrTooLarge},
			{"oversized by a member", `{"pad":"` + strings.Repeat("x", x402.MaxPayment) + `",` + v[1:], x402.ErrTooLarge},
			{"deep", strings.Repeat(`[`, 20000), x402.ErrJSON},
			{"deep and closed", `{"a":` + strings.Repeat(`[`, 15000) + strings.Repeat(`]`, 15000) + `}`, x402.ErrJSON},
		}
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				_, err := x402.DecodePayment([]byte(test.raw))
				checkRefused(t, err, test.want, signature)
			})
		}
	}
}

// encoding/json takes the last of two members and doesn't mind their case; a
// facilitator may read the first. Such a payment means two things.
func TestAmbiguousJSON(t *testing.T) {
	const to = `"to": "` + payTo + `"`
	for _, test := range []struct{ name, old, new string }{
		{"version twice", `"x402Version": `, `"x402Version": 9, "x402Version": `},
		{"version in two cases", `"x402Version": `, `"X402Version": 9, "x402Version": `},
		{"payload twice", `"payload": {`, `"payload": {}, "payload": {`},
		{"receiver twice", to, `"to": "` + payer + `", ` + to},
		{"receiver in two cases", to, to + `, "To": "` + payer + `"`},
		{"escaped name", to, to + `, "\u0074o": "` + payer + `"`},
		{"long s", `"signature": `, `"ſignature": "0x12", "signature": `},
		{"unknown member twice", `"payload": {`, `"note": 1, "note": 1, "payload": {`},
		{"deep in an extension", `"payload": {`, `"extensions": {"a": [{"b": 1, "b": 2}]}, "payload": {`},
	} {
		for name, raw := range vectors(t) {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				twice := strings.Replace(string(raw), test.old, test.new, 1)
				if twice == string(raw) {
					t.Fatal("nothing to replace")
				}
				_, err := x402.DecodePayment([]byte(twice))
				checkRefused(t, err, x402.ErrJSON, signatureOf(t, raw))
			})
		}
	}
}

func TestDamagedBase64(t *testing.T) {
	// A payment whose base64 ends in padding and has a + and a /.
	padded := edit(t, vectors(t)["v2"], "note", `"~~~???>>>"`)
	for len(padded)%3 != 1 || !strings.Contains(toBase64(padded), "/") || !strings.Contains(toBase64(padded), "+") {
		padded = append([]byte(" "), padded...)
	}
	b64 := toBase64(padded)
	signature := signatureOf(t, padded)
	if _, err := x402.DecodeHeader(b64); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	tests := []struct {
		name, value string
		want        error
	}{
		{"empty", "", x402.ErrJSON},
		{"URL-safe", base64.URLEncoding.EncodeToString(padded), x402.ErrBase64},
		{"no padding", strings.TrimRight(b64, "="), x402.ErrBase64},
		{"half the padding", strings.TrimSuffix(b64, "="), x402.ErrBase64},
		{"too much padding", b64 + "=", x402.ErrBase64},
		{"stray bits", b64[:len(b64)-3] + string(b64[len(b64)-3]+1) + "==", x402.ErrBase64},
		{"line feed inside", b64[:76] + "\n" + b64[76:], x402.ErrBase64},
		{"carriage return inside", b64[:76] + "\r\n" + b64[76:], x402.ErrBase64},
		{"line feed at the end", b64 + "\n", x402.ErrBase64},
		{"space inside", b64[:76] + " " + b64[76:], x402.ErrBase64},
		{"space before", " " + b64, x402.ErrBase64},
		{"two values joined", b64 + "," + b64, x402.ErrBase64},
		{"two values run together", b64 + b64, x402.ErrBase64},
		{"the JSON itself", string(padded), x402.ErrBase64},
		{"base64 twice", toBase64([]byte(b64)), x402.ErrJSON},
		{"not text", "\xff\xfe", x402.ErrBase64},
		{"trailing bytes in it", toBase64(append(padded, "{}"...)), x402.ErrTrailing},
		{"oversized", strings.Repeat("A", 4*x402.MaxPayment), x402.ErrTooLarge},
		{"one byte too many", toBase64([]byte(strings.Repeat(" ", x402.MaxPayment+1))), x402.ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := x402.DecodeHeader(test.value)
			checkRefused(t, err, test.want, signature)
			if test.name != "not text" { // JSON has no such string
				_, err = x402.DecodeMeta(json.RawMessage(quote(test.value)))
				checkRefused(t, err, test.want, signature)
			}
		})
	}
}

func TestDamagedMeta(t *testing.T) {
	for name, payment := range vectors(t) {
		signature, b64 := signatureOf(t, payment), toBase64(payment)
		tests := []struct {
			name, meta string
			want       error
		}{
			{"nothing", "", x402.ErrJSON},
			{"null", "null", x402.ErrMissing},
			{"number", "402", x402.ErrJSON},
			{"array", "[" + string(payment) + "]", x402.ErrJSON},
			{"string never closed", `"` + b64, x402.ErrJSON},
			{"bytes after the string", quote(b64) + "x", x402.ErrTrailing},
			{"two strings", quote(b64) + quote(b64), x402.ErrTrailing},
			{"the JSON as a string", quote(string(payment)), x402.ErrBase64},
			{"a string in the base64", quote(toBase64([]byte(quote(b64)))), x402.ErrJSON},
			{"oversized", quote(strings.Repeat("A", 50_000)), x402.ErrTooLarge},
		}
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				_, err := x402.DecodeMeta(json.RawMessage(test.meta))
				checkRefused(t, err, test.want, signature)
			})
		}
	}
}

// A change of any byte of what is signed is seen: it is refused, or it is
// another payment.
func TestEveryByteCounts(t *testing.T) {
	payment := vectors(t)["v2"]
	want, err := x402.DecodePayment(payment)
	if err != nil {
		t.Fatal(err)
	}
	signature := signatureOf(t, payment)
	from, to := bytes.Index(payment, []byte(`"payload"`)), bytes.Index(payment, []byte(`"resource"`))
	for i := from; i < to; i++ {
		for _, other := range []byte{payment[i] ^ 1, '0', '"', '}', 0} {
			changed := bytes.Clone(payment)
			changed[i] = other
			if bytes.EqualFold(changed, payment) { // 0xA is 0xa
				continue
			}
			got, err := x402.DecodePayment(changed)
			switch {
			case err != nil && strings.Contains(err.Error(), signature[2:40]):
				t.Fatalf("byte %d to %q: the error tells the signature: %v", i, other, err)
			case err == nil && cmp.Equal(got.Payload, want.Payload):
				t.Fatalf("byte %d to %q, and the payment is the same", i, other)
			}
		}
	}
}
