package x402_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

// asked is what a facilitator is asked, as x402's clients write it, by the
// name of the payment in testdata.
func asked(tb testing.TB) map[string][]byte {
	tb.Helper()
	requirements := map[string]string{
		"v1a": `{"scheme":"exact","network":"base-sepolia","maxAmountRequired":"50000","resource":"https://example.org/a","description":"",
			"mimeType":"","outputSchema":null,"payTo":"` + payTo + `","maxTimeoutSeconds":300,"asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e",
			"extra":{"name":"USDC","version":"2"}}`,
		"v2": `{"scheme":"exact","network":"eip155:84532","amount":"50000","asset":"0x036CbD53842c5426634e7929541eC2318f3dCF7e",
			"payTo":"` + payTo + `","maxTimeoutSeconds":300,"extra":{"name":"USDC","version":"2","theirs":[1]}}`,
	}
	bodies := map[string][]byte{}
	for name, r := range requirements {
		bodies[name] = fmt.Appendf(nil, `{"x402Version":%s,"paymentPayload":%s,"paymentRequirements":%s}`, name[1:2], vectors(tb)[name], r)
	}
	return bodies
}

func TestFacilitatorRequest(t *testing.T) {
	for name, raw := range asked(t) {
		t.Run(name, func(t *testing.T) {
			got, err := x402.DecodeFacilitatorRequest(raw)
			if err != nil {
				t.Fatal(err)
			}
			payment, err := x402.DecodePayment(vectors(t)[name])
			if err != nil || !cmp.Equal(payment, got.Payment) {
				t.Errorf("%v\n%s", err, cmp.Diff(payment, got.Payment))
			}
			want := x402.Requirements{Scheme: "exact", Network: x402.BaseSepolia, Amount: x402.NewUint256(50000),
				Asset: mustAddress(t, "0x036CbD53842c5426634e7929541eC2318f3dCF7e"), PayTo: mustAddress(t, payTo),
				MaxTimeoutSeconds: 300, Extra: x402.Domain{Name: "USDC", Version: "2"}}
			if got.Requirements != want {
				t.Error(cmp.Diff(want, got.Requirements))
			}
			golden(t, "facilitator-request-"+name[:2], got)
		})
	}
}

func TestDamagedFacilitatorRequest(t *testing.T) {
	for version, raw := range asked(t) {
		signature := signatureOf(t, vectors(t)[version])
		amount := map[string]string{"v1a": "maxAmountRequired", "v2": "amount"}[version]
		for _, test := range []struct {
			name, path, value string
			want              error
		}{
			{"no version", "x402Version", removed, x402.ErrMissing},
			{"version 3", "x402Version", `3`, x402.ErrVersion},
			{"version a string", "x402Version", `"2"`, x402.ErrJSON},
			{"payment of the other version", "paymentPayload.x402Version", map[string]string{"v1a": `2`, "v2": `1`}[version], x402.ErrMissing},
			{"no payment", "paymentPayload", removed, x402.ErrMissing},
			{"payment null", "paymentPayload", `null`, x402.ErrMissing},
			{"payment in base64", "paymentPayload", `"e30="`, x402.ErrJSON},
			{"payment unsigned", "paymentPayload.payload.signature", removed, x402.ErrMissing},
			{"payment of Permit2", "paymentPayload.payload.authorization", removed, x402.ErrMissing},
			{"no requirements", "paymentRequirements", removed, x402.ErrMissing},
			{"requirements a list", "paymentRequirements", `[]`, x402.ErrJSON},
			{"no network", "paymentRequirements.network", removed, x402.ErrMissing},
			{"unknown network", "paymentRequirements.network", `"solana"`, x402.ErrNetwork},
			{"network of the other version", "paymentRequirements.network", map[string]string{"v1a": `"eip155:84532"`, "v2": `"base-sepolia"`}[version], x402.ErrNetwork},
			{"no scheme", "paymentRequirements.scheme", removed, x402.ErrMissing},
			{"no amount", "paymentRequirements." + amount, removed, x402.ErrMissing},
			{"amount a number", "paymentRequirements." + amount, `50000`, x402.ErrNumber},
			{"no asset", "paymentRequirements.asset", removed, x402.ErrMissing},
			{"no payee", "paymentRequirements.payTo", removed, x402.ErrMissing},
			{"payee with a wrong checksum", "paymentRequirements.payTo", `"0x209693bc6afc0C5328bA36FaF03C514EF312287C"`, x402.ErrChecksum},
			{"no timeout", "paymentRequirements.maxTimeoutSeconds", `0`, x402.ErrRange},
			{"payee twice", "paymentRequirements.PayTo", quote(payTo), x402.ErrJSON},
			{"oversized", "padding", quote(strings.Repeat(" ", x402.MaxFacilitatorRequest)), x402.ErrTooLarge},
		} {
			t.Run(version+" "+test.name, func(t *testing.T) {
				got, err := x402.DecodeFacilitatorRequest(edit(t, raw, test.path, test.value))
				if test.name == "payment of the other version" {
					checkOneClass(t, err)
				} else {
					checkRefused(t, err, test.want, signature)
				}
				if !cmp.Equal(got, x402.FacilitatorRequest{}) {
					t.Errorf("and returned %+v", got)
				}
			})
		}
	}
}

// A request can't be written of what no facilitator would read.
func TestFacilitatorRequestOfNothing(t *testing.T) {
	if raw, err := json.Marshal(x402.FacilitatorRequest{}); err == nil {
		t.Errorf("%s", raw)
	}
}

// verdicts are answers of facilitators in the field.
var verdicts = []struct {
	name, raw string
	want      x402.VerifyResponse
}{
	{"valid", `{"isValid":true,"payer":"` + payer + `"}`, x402.VerifyResponse{IsValid: true, Payer: payer}},
	{"nulls and extensions", `{"isValid":true,"invalidReason":null,"payer":null,"extensions":{"a":1,"A":2}}`, x402.VerifyResponse{IsValid: true}},
	{"invalid", `{"isValid":false,"invalidReason":"insufficient_funds","invalidMessage":"too poor","payer":""}`,
		x402.VerifyResponse{InvalidReason: x402.ReasonInsufficientFunds}},
}

func TestVerifyResponse(t *testing.T) {
	for _, test := range verdicts {
		if got, err := x402.DecodeVerifyResponse([]byte(test.raw)); err != nil || got != test.want {
			t.Errorf("%s: %v\n%s", test.name, err, cmp.Diff(test.want, got))
		}
	}
	good := verdicts[0].raw
	for name, test := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":           {"", x402.ErrJSON},
		"HTML":              {"<html>", x402.ErrJSON},
		"null":              {"null", x402.ErrMissing},
		"no verdict":        {`{}`, x402.ErrMissing},
		"a verdict in text": {`{"isValid":"true"}`, x402.ErrJSON},
		"two verdicts":      {`{"isValid":false,"isValid":true}`, x402.ErrJSON},
		"two spellings":     {`{"isValid":false,"isvalid":true}`, x402.ErrJSON},
		"half":              {good[:len(good)-1], x402.ErrJSON},
		"two answers":       {good + good, x402.ErrTrailing},
		"oversized":         {good + strings.Repeat(" ", x402.MaxVerifyResponse), x402.ErrTooLarge},
	} {
		got, err := x402.DecodeVerifyResponse([]byte(test.raw))
		checkClass(t, err, test.want)
		if got.IsValid {
			t.Errorf("%s: valid", name)
		}
	}
}

// fieldSupported is what facilitators in the field say: several networks and
// schemes, version 1 beside version 2.
const fieldSupported = `{"kinds":[
	{"x402Version":2,"scheme":"exact","network":"eip155:84532","extra":null},
	{"x402Version":1,"scheme":"exact","network":"base-sepolia"},
	{"x402Version":1,"scheme":"upto","network":"base"},
	{"x402Version":2,"scheme":"exact","network":"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1","extra":{"feePayer":"CKPK"}}],
	"extensions":["bazaar"],"signers":{"eip155:*":["` + payer + `"],"solana:*":["CKPK"]},"version":7}`

func TestSupported(t *testing.T) {
	got, err := x402.DecodeSupported([]byte(fieldSupported))
	if err != nil {
		t.Fatal(err)
	}
	want := x402.Supported{
		Kinds: []x402.Kind{
			{X402Version: 2, Scheme: "exact", Network: "eip155:84532"},
			{X402Version: 1, Scheme: "exact", Network: "base-sepolia"},
			{X402Version: 1, Scheme: "upto", Network: "base"},
			{X402Version: 2, Scheme: "exact", Network: "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", Extra: json.RawMessage(`{"feePayer":"CKPK"}`)},
		},
		Extensions: []string{"bazaar"},
		Signers:    map[string][]string{"eip155:*": {payer}, "solana:*": {"CKPK"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		version int
		network x402.Network
		want    bool
	}{{1, x402.BaseSepolia, true}, {2, x402.BaseSepolia, true}, {1, x402.Base, false}, {2, x402.Base, false}, {3, x402.BaseSepolia, false}} {
		if got.Supports(test.version, test.network) != test.want {
			t.Errorf("version %d on %s: %t", test.version, test.network, !test.want)
		}
	}
}

func TestDamagedSupported(t *testing.T) {
	for name, test := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":           {"", x402.ErrJSON},
		"a list":            {"[]", x402.ErrJSON},
		"no kinds":          {`{"extensions":[]}`, x402.ErrMissing},
		"kinds null":        {`{"kinds":null}`, x402.ErrMissing},
		"no version":        {`{"kinds":[{"scheme":"exact","network":"base"}]}`, x402.ErrMissing},
		"version in text":   {`{"kinds":[{"x402Version":"2","scheme":"exact","network":"base"}]}`, x402.ErrJSON},
		"no scheme":         {`{"kinds":[{"x402Version":2,"network":"base"}]}`, x402.ErrMissing},
		"no network":        {`{"kinds":[{"x402Version":2,"scheme":"exact"}]}`, x402.ErrMissing},
		"extra in text":     {`{"kinds":[{"x402Version":2,"scheme":"exact","network":"base","extra":"a"}]}`, x402.ErrJSON},
		"too many":          {`{"kinds":[` + strings.Repeat(`{},`, 512) + `{}]}`, x402.ErrTooLarge},
		"oversized":         {fieldSupported + strings.Repeat(" ", x402.MaxSupported), x402.ErrTooLarge},
		"signers a list":    {`{"kinds":[],"signers":[]}`, x402.ErrJSON},
		"extensions a text": {`{"kinds":[],"extensions":"bazaar"}`, x402.ErrJSON},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := x402.DecodeSupported([]byte(test.raw))
			checkClass(t, err, test.want)
			if !cmp.Equal(got, x402.Supported{}) {
				t.Errorf("and returned %+v", got)
			}
		})
	}
}
