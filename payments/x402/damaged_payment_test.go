package x402_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// damage is one way to break one member of a payment.
type damage struct {
	name  string
	value string // JSON; removed takes the member away
	want  error
}

// Damage that every member of a kind must be refused with.
var (
	damagedText = []damage{
		{"missing", removed, x402.ErrMissing},
		{"null", `null`, x402.ErrMissing},
		{"number", `5`, x402.ErrJSON},
		{"object", `{}`, x402.ErrJSON},
	}
	damagedNumber = []damage{
		{"missing", removed, x402.ErrMissing},
		{"null", `null`, x402.ErrMissing},
		{"bare JSON number", `10000`, x402.ErrNumber},
		{"bool", `true`, x402.ErrNumber},
		{"object", `{}`, x402.ErrNumber},
		{"array of one", `["10000"]`, x402.ErrNumber},
		{"empty", `""`, x402.ErrNumber},
		{"negative", `"-10000"`, x402.ErrNumber},
		{"plus sign", `"+10000"`, x402.ErrNumber},
		{"exponent", `"1e4"`, x402.ErrNumber},
		{"fraction", `"10000.0"`, x402.ErrNumber},
		{"leading zero", `"010000"`, x402.ErrNumber},
		{"hex", `"0x2710"`, x402.ErrNumber},
		{"space before", `" 10000"`, x402.ErrNumber},
		{"line feed after", `"10000\n"`, x402.ErrNumber},
		{"thousands separator", `"10_000"`, x402.ErrNumber},
		{"escaped digit", `"\u00310000"`, x402.ErrNumber},
		{"Arabic digits", `"١٠"`, x402.ErrNumber},
		{"not a number", `"NaN"`, x402.ErrNumber},
		{"2^256", `"115792089237316195423570985008687907853269984665640564039457584007913129639936"`, x402.ErrRange},
		{"79 digits", quote("1" + strings.Repeat("0", 78)), x402.ErrRange},
		{"9000 digits", quote(strings.Repeat("9", 9000)), x402.ErrRange},
	}
	damagedAddress = append([]damage{
		{"empty", `""`, x402.ErrHex},
		{"no 0x", quote(payer[2:]), x402.ErrHex},
		{"0X", quote("0X" + payer[2:]), x402.ErrHex},
		{"0x alone", `"0x"`, x402.ErrHexLength},
		{"39 digits", quote(payer[:41]), x402.ErrHexLength},
		{"41 digits", quote(payer + "0"), x402.ErrHexLength},
		{"32 bytes", quote(nonce), x402.ErrHexLength},
		{"not hex", quote("0xg" + payer[3:]), x402.ErrHex},
		{"space at the end", quote(payer[:41] + " "), x402.ErrHex},
		{"wrong checksum", quote("0x" + strings.Replace(payer[2:], "C5", "c5", 1)), x402.ErrChecksum},
		{"checksum of another case", quote("0x" + swapCase(payer[2:])), x402.ErrChecksum},
		{"ENS name", `"vitalik.eth"`, x402.ErrHex},
	}, damagedText...)
	damagedNonce = append([]damage{
		{"empty", `""`, x402.ErrHex},
		{"no 0x", quote(nonce[2:]), x402.ErrHex},
		{"31 bytes", quote(nonce[:64]), x402.ErrHexLength},
		{"33 bytes", quote(nonce + "11"), x402.ErrHexLength},
		{"odd digits", quote(nonce[:65]), x402.ErrHexLength},
		{"not hex", quote(nonce[:65] + "z"), x402.ErrHex},
	}, damagedText...)
	damagedSignature = append([]damage{
		{"empty", `""`, x402.ErrHexLength},
		{"0x alone", `"0x"`, x402.ErrHexLength},
		{"odd digits", `"0x123"`, x402.ErrHexLength},
		{"no 0x", quote(strings.Repeat("ab", 65)), x402.ErrHex},
		{"not hex", quote("0x" + strings.Repeat("zz", 65)), x402.ErrHex},
		{"one byte too many", quote("0x" + strings.Repeat("ab", x402.MaxSignature+1)), x402.ErrTooLarge},
	}, damagedText...)
	damagedScheme = append([]damage{
		{"empty", `""`, x402.ErrScheme},
		{"unknown", `"upto"`, x402.ErrScheme},
		{"another case", `"Exact"`, x402.ErrScheme},
	}, damagedText...)
	damagedObject = []damage{
		{"missing", removed, x402.ErrMissing},
		{"null", `null`, x402.ErrMissing},
		{"string", `"x"`, x402.ErrJSON},
		{"array", `[]`, x402.ErrJSON},
		{"empty", `{}`, x402.ErrMissing},
	}
	damagedVersion = []damage{
		{"missing", removed, x402.ErrMissing},
		{"null", `null`, x402.ErrMissing},
		{"zero", `0`, x402.ErrVersion},
		{"three", `3`, x402.ErrVersion},
		{"negative", `-1`, x402.ErrVersion},
		{"string", `"2"`, x402.ErrJSON},
		{"fraction", `1.5`, x402.ErrJSON},
		{"exponent", `2e0`, x402.ErrJSON},
		{"larger than int64", strings.Repeat("9", 4000), x402.ErrJSON},
		{"larger than float64", `1e999`, x402.ErrJSON},
		{"object", `{}`, x402.ErrJSON},
	}
	damagedTimeout = []damage{
		{"missing", removed, x402.ErrMissing},
		{"zero", `0`, x402.ErrRange},
		{"negative", `-1`, x402.ErrRange},
		{"beyond", `2147483649`, x402.ErrRange},
		{"string", `"300"`, x402.ErrJSON},
		{"fraction", `300.5`, x402.ErrJSON},
	}
)

func TestDamagedPayment(t *testing.T) {
	authorization := map[string][]damage{
		"x402Version":                       damagedVersion,
		"payload":                           damagedObject,
		"payload.signature":                 damagedSignature,
		"payload.authorization":             damagedObject,
		"payload.authorization.from":        damagedAddress,
		"payload.authorization.to":          damagedAddress,
		"payload.authorization.value":       damagedNumber,
		"payload.authorization.validAfter":  damagedNumber,
		"payload.authorization.validBefore": damagedNumber,
		"payload.authorization.nonce":       damagedNonce,
	}
	v1 := map[string][]damage{
		"scheme": damagedScheme,
		"network": append([]damage{
			{"empty", `""`, x402.ErrNetwork},
			{"unknown", `"base-goerli"`, x402.ErrNetwork},
			{"the name of version 2", `"eip155:84532"`, x402.ErrNetwork},
			{"another case", `"Base"`, x402.ErrNetwork},
		}, damagedText...),
	}
	v2 := map[string][]damage{
		"accepted":        damagedObject,
		"accepted.scheme": damagedScheme,
		"accepted.network": append([]damage{
			{"empty", `""`, x402.ErrNetwork},
			{"the name of version 1", `"base-sepolia"`, x402.ErrNetwork},
			{"Solana", `"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"`, x402.ErrNetwork},
			{"leading zero", `"eip155:084532"`, x402.ErrNetwork},
			{"chain 0", `"eip155:0"`, x402.ErrNetwork},
		}, damagedText...),
		"accepted.amount":            damagedNumber,
		"accepted.asset":             damagedAddress,
		"accepted.payTo":             damagedAddress,
		"accepted.maxTimeoutSeconds": damagedTimeout,
		"accepted.extra": {
			{"string", `"USDC"`, x402.ErrJSON},
			{"name is a number", `{"name": 1, "version": "2"}`, x402.ErrJSON},
		},
		"resource":    {{"string", `"mcp://tool/echo"`, x402.ErrJSON}},
		"extensions":  {{"string", `"x"`, x402.ErrJSON}, {"array", `[]`, x402.ErrJSON}, {"number", `1`, x402.ErrJSON}},
		"description": nil, // unknown members may be anything
	}
	for vector, members := range map[string]map[string][]damage{"v1a": v1, "v2": v2} {
		t.Run(vector, func(t *testing.T) {
			damagePayment(t, vectors(t)[vector], authorization)
			damagePayment(t, vectors(t)[vector], members)
		})
	}
}

// damagePayment breaks one member at a time and decodes the payment in each of
// the ways in which it comes in.
func damagePayment(t *testing.T, payment []byte, members map[string][]damage) {
	signature := signatureOf(t, payment)
	for path, damages := range members {
		for _, d := range damages {
			t.Run(path+"/"+d.name, func(t *testing.T) {
				broken := edit(t, payment, path, d.value)
				_, err := x402.DecodePayment(broken)
				checkRefused(t, err, d.want, signature)
				_, err = x402.DecodeHeader(toBase64(broken))
				checkRefused(t, err, d.want, signature)
				_, err = x402.DecodeMeta(broken)
				checkRefused(t, err, d.want, signature)
				p := x402.Payment{Version: 7}
				err = json.Unmarshal(broken, &p)
				checkRefused(t, err, d.want, signature)
				if p.Version != 0 {
					t.Error("a refused payment left something behind")
				}
			})
		}
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ToLower(string(r)) == string(r) {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}
