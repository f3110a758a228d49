package x402_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/events-concierge/concierge/payments/x402"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares v's JSON with a file in testdata.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s -want +got:\n%s", path, diff)
	}
}

// twoWaysToPay asks for 2.50 USD on Base Sepolia or Base.
func twoWaysToPay(tb testing.TB) x402.PaymentRequired {
	tb.Helper()
	p := x402.PaymentRequired{
		X402Version: 2,
		Error:       "payment is required",
		Resource: x402.Resource{
			URL:         "mcp://tool/rsvp_to_event?user=u1&event=e1&seats=1",
			Description: "1 seat", MimeType: "application/json",
		},
	}
	for _, network := range []x402.Network{x402.BaseSepolia, x402.Base} {
		asset, domain, _ := x402.USDC(network)
		p.Accepts = append(p.Accepts, x402.Requirements{
			Scheme: x402.SchemeExact, Network: network, Amount: (2*x402.USD + x402.USD/2).Uint256(),
			Asset: asset, PayTo: mustAddress(tb, payTo), MaxTimeoutSeconds: 300, Extra: domain,
		})
	}
	return p
}

func TestPaymentRequiredGolden(t *testing.T) {
	p := twoWaysToPay(t)
	golden(t, "payment-required-v2", p)
	golden(t, "payment-required-v1", p.V1())
	p.Error, p.Resource.Description, p.Resource.MimeType = "", "", ""
	p.Accepts = p.Accepts[:1]
	p.Extensions = json.RawMessage(`{"payment-identifier":{"info":{"required":false}}}`)
	golden(t, "payment-required-v2-least", p)
	golden(t, "payment-required-v1-least", p.V1())
}

// exceptRaw leaves out what only a decoded request has.
var exceptRaw = cmpopts.IgnoreFields(x402.PaymentRequired{}, "Raw")

// A server may compare what was accepted with what it wrote, to the letter.
func TestAcceptedToTheLetter(t *testing.T) {
	const entry = `{"scheme":"exact","network":"eip155:84532","amount":"1","asset":"0x036cbd53842c5426634e7929541ec2318f3dcf7e",` +
		`"payTo":"0x209693bc6afc0c5328ba36faf03c514ef312287c","maxTimeoutSeconds":60,"extra":{"name":"USDC","version":"2","theirs":true}}`
	asked, err := x402.DecodeRequired([]byte(`{"x402Version":2,"resource":{"url":"u"},"accepts":[{"scheme":"upto"},` + entry + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := x402.Payment{Version: 2, Scheme: "exact", Network: x402.BaseSepolia, Accepted: &asked.Accepts[0], AcceptedRaw: asked.Raw[0],
		Payload: x402.Payload{Signature: make(x402.Signature, 65)}}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"accepted":`+entry) {
		t.Errorf("accepted was rewritten: %s", raw)
	}
}

func TestRequiredComesBack(t *testing.T) {
	want := twoWaysToPay(t)
	want.Extensions = json.RawMessage(`{"a":{"b":"c"}}`)
	v2, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x402.DecodeRequired(v2)
	if err != nil || !cmp.Equal(want, got, exceptRaw) {
		t.Errorf("version 2: %v\n%s", err, cmp.Diff(want, got, exceptRaw))
	}
	header, err := x402.Header(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err = x402.DecodeRequiredHeader(header)
	if err != nil || !cmp.Equal(want, got, exceptRaw) {
		t.Errorf("header: %v\n%s", err, cmp.Diff(want, got, exceptRaw))
	}
	v1, err := json.Marshal(want.V1())
	if err != nil {
		t.Fatal(err)
	}
	want.X402Version, want.Extensions = 1, nil
	got, err = x402.DecodeRequired(v1)
	if err != nil || !cmp.Equal(want, got, exceptRaw) {
		t.Errorf("version 1: %v\n%s", err, cmp.Diff(want, got, exceptRaw))
	}
}

// Asking in version 1 for money on the embedded chain, which has no name there.
func TestRequiredV1OnUnnamedNetwork(t *testing.T) {
	p := twoWaysToPay(t)
	p.Accepts[0].Network = x402.EVM(1337)
	raw, err := json.Marshal(p.V1())
	if err != nil {
		t.Fatal(err)
	}
	got, err := x402.DecodeRequired(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Accepts, got.Accepts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNothingAcceptedIsAList(t *testing.T) {
	raw, err := json.Marshal(x402.PaymentRequired{}.V1())
	if err != nil || string(raw) != `{"x402Version":1,"error":"","accepts":[]}` {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestForeignEntriesAreSkipped(t *testing.T) {
	p := twoWaysToPay(t)
	v2, _ := json.Marshal(p.Accepts[0])
	v1, _ := json.Marshal(p.V1().Accepts[0])
	for _, test := range []struct{ name, v1, v2 string }{
		{"Solana",
			`{"scheme": "exact", "network": "solana", "maxAmountRequired": "1", "payTo": "2wKupLR9", "asset": "EPjFWdd5"}`,
			`{"scheme": "exact", "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "amount": "1", "payTo": "2wKupLR9", "asset": "EPjFWdd5"}`},
		{"another scheme",
			`{"scheme": "upto", "network": "base", "maxAmountRequired": 1e3, "extra": []}`,
			`{"scheme": "upto", "network": "eip155:8453", "amount": 1e3, "extra": []}`},
		{"the network name of the other version",
			`{"scheme": "exact", "network": "eip155:8453"}`,
			`{"scheme": "exact", "network": "base"}`},
		{"a token moved by Permit2",
			string(edit(t, v1, "extra", `{"assetTransferMethod": "permit2"}`)),
			string(edit(t, v2, "extra", `{"name": "USDC", "version": "2", "assetTransferMethod": "permit2"}`))},
		{"a token moved by nobody knows what",
			string(edit(t, v1, "extra", `{"assetTransferMethod": 7}`)),
			string(edit(t, v2, "extra", `{"assetTransferMethod": ["eip3009"]}`))},
		{"nothing", `null`, `null`},
		{"empty", `{}`, `{}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			for version, of := range map[int]struct{ ours, foreign, rest string }{
				1: {string(v1), test.v1, `"x402Version": 1, "error": ""`},
				2: {string(v2), test.v2, `"x402Version": 2, "resource": {"url": "mcp://tool/x"}`},
			} {
				got, err := x402.DecodeRequired([]byte(`{` + of.rest + `, "accepts": [` + of.foreign + `,` + of.ours + `,` + of.foreign + `]}`))
				if err != nil {
					t.Fatalf("version %d: %v", version, err)
				}
				if diff := cmp.Diff(p.Accepts[:1], got.Accepts); diff != "" {
					t.Errorf("version %d -want +got:\n%s", version, diff)
				}
				_, err = x402.DecodeRequired([]byte(`{` + of.rest + `, "accepts": [` + of.foreign + `]}`))
				checkClass(t, err, x402.ErrScheme)
			}
		})
	}
}

// "eip3009" is what an absent assetTransferMethod means.
func TestTransferMethodEIP3009(t *testing.T) {
	raw, _ := json.Marshal(twoWaysToPay(t))
	for _, method := range []string{`"eip3009"`, `null`} {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		var entries []json.RawMessage
		if err := json.Unmarshal(members["accepts"], &entries); err != nil {
			t.Fatal(err)
		}
		entries[0] = edit(t, entries[0], "extra.assetTransferMethod", method)
		list, _ := json.Marshal(entries)
		got, err := x402.DecodeRequired(edit(t, raw, "accepts", string(list)))
		if err != nil || len(got.Accepts) != 2 {
			t.Errorf("%s: %d entries, %v", method, len(got.Accepts), err)
		}
	}
}
