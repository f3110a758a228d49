package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments/x402"
)

// damage is one way in which a payment is not good.
type damage struct {
	name   string
	only   int                                     // one version; 0: both
	signs  func(*shop) func(*x402.Payment)         // what the payer signs instead
	json   func([]byte) []byte                     // what becomes of its JSON
	base64 func(string) string                     // what becomes of the base64 of that
	change func(arguments map[string]any, s *shop) // what is booked instead
	reason x402.Reason
	says   string // part of the message
}

// signs makes a damage of a change that needs nothing of the shop.
func signs(change func(*x402.Payment)) func(*shop) func(*x402.Payment) {
	return func(*shop) func(*x402.Payment) { return change }
}

func authorizes(change func(*x402.Authorization)) func(*shop) func(*x402.Payment) {
	return signs(func(p *x402.Payment) { change(&p.Payload.Authorization) })
}

func accepts(change func(*x402.Requirements)) func(*shop) func(*x402.Payment) {
	return signs(func(p *x402.Payment) {
		r := *p.Accepted
		change(&r)
		p.Accepted = &r
	})
}

// signature replaces a good signature.
func signature(change func(x402.Signature) x402.Signature) func(*shop) func(*x402.Payment) {
	return signs(func(p *x402.Payment) {
		p.Payload.Signature = change(append(x402.Signature(nil), p.Payload.Signature...))
	})
}

// domain signs for another token than the one that is asked for.
func domain(change func(*x402.Requirements)) func(*shop) func(*x402.Payment) {
	return func(s *shop) func(*x402.Payment) {
		return func(p *x402.Payment) {
			r := s.asked.Accepts[0]
			change(&r)
			p.Payload.Signature = s.signedIn(r, p.Payload.Authorization)
		}
	}
}

// in returns the seconds of a time from now.
func in(d time.Duration) x402.Uint256 { return x402.NewUint256(uint64(time.Now().Add(d).Unix())) }

func text(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

// highS is the other signature that the curve takes for the same message.
func highS(sig x402.Signature) x402.Signature {
	s := new(big.Int).SetBytes(sig[32:64])
	new(big.Int).Sub(crypto.S256().Params().N, s).FillBytes(sig[32:64])
	sig[64] = 27 + 28 - sig[64]
	return sig
}

// unreadable payments: each member missing, of another type, out of range.
func unreadable() (all []damage) {
	add := func(only int, path, value string, reason x402.Reason, says string) {
		name := path + " is " + value
		if value == "" {
			name = path + " is missing"
		}
		all = append(all, damage{name: fmt.Sprintf("%.60s", name), only: only, json: member(path, value), reason: reason, says: says})
	}
	const payload = x402.ReasonPayload
	add(0, "x402Version", "", payload, "missing: x402Version")
	add(0, "x402Version", "0", x402.ReasonVersion, "unknown x402 version: 0")
	add(0, "x402Version", "3", x402.ReasonVersion, "unknown x402 version: 3")
	add(0, "x402Version", "-1", x402.ReasonVersion, "unknown x402 version: -1")
	add(0, "x402Version", `"1"`, payload, "x402Version is a string")
	add(0, "x402Version", "1.5", payload, "x402Version is a number 1.5")
	add(0, "x402Version", "2e0", payload, "x402Version is a number 2e0")
	add(1, "x402Version", "2", payload, "missing: accepted")
	add(2, "x402Version", "1", payload, "missing: scheme")
	add(0, "payload", "", payload, "missing: payload")
	add(0, "payload", `"x"`, payload, "payload is a string")
	add(0, "payload", "{}", payload, "missing: payload.authorization")
	add(0, "payload.authorization", "", payload, "missing: payload.authorization")
	add(0, "payload.authorization", "[]", payload, "payload.authorization is a array")

	add(0, "payload.signature", "", payload, "missing: payload.signature")
	add(0, "payload.signature", "null", payload, "missing: payload.signature")
	add(0, "payload.signature", "7", payload, "payload.signature: not the JSON")
	add(0, "payload.signature", `"0x"`, payload, "payload.signature: wrong hex length")
	add(0, "payload.signature", `"0x123"`, payload, "payload.signature: wrong hex length")
	add(0, "payload.signature", text("0x"+strings.Repeat("zz", 65)), payload, "payload.signature: not 0x-prefixed hex")
	add(0, "payload.signature", text("0x"+strings.Repeat("ab", x402.MaxSignature+1)), payload, "payload.signature: larger than allowed")
	for _, party := range []string{"from", "to"} {
		path, named := "payload.authorization."+party, "authorization."+party
		add(0, path, "", payload, "missing: "+named)
		add(0, path, "1", payload, named+": not the JSON")
		add(0, path, `"ada.eth"`, payload, named+": not 0x-prefixed hex")
		add(0, path, `"0x12"`, payload, named+": wrong hex length")
		add(0, path, `"0x209693bC6afc0C5328bA36FaF03C514EF312287C"`, payload, named+": address with a wrong EIP-55 checksum")
	}
	for _, number := range []string{"value", "validAfter", "validBefore"} {
		path, named := "payload.authorization."+number, "authorization."+number
		add(0, path, "", payload, "missing: "+named)
		add(0, path, "50000", payload, named+": not a plain decimal number: want a string")
		add(0, path, `"-50000"`, payload, named+": not a plain decimal number: want digits only")
		add(0, path, `"0xc350"`, payload, named+": not a plain decimal number: want digits only")
		add(0, path, `"5e4"`, payload, named+": not a plain decimal number: want digits only")
		add(0, path, "5e4", payload, named+": not a plain decimal number: want a string")
		add(0, path, `"050000"`, payload, named+": not a plain decimal number: leading zero")
		add(0, path, text("1"+strings.Repeat("0", 78)), payload, named+": number out of range")
	}
	add(0, "payload.authorization.nonce", "", payload, "missing: authorization.nonce")
	add(0, "payload.authorization.nonce", "0", payload, "authorization.nonce: not the JSON")
	add(0, "payload.authorization.nonce", `"0x11"`, payload, "authorization.nonce: wrong hex length")
	add(0, "payload.authorization.nonce", text("0x"+strings.Repeat("11", 33)), payload, "authorization.nonce: wrong hex length")

	add(1, "scheme", "", payload, "missing: scheme")
	add(1, "scheme", "1", payload, "scheme is a number")
	add(1, "scheme", `"upto"`, x402.ReasonScheme, `unknown payment scheme: "upto"`)
	add(1, "network", "", payload, "missing: network")
	add(1, "network", "84532", payload, "network is a number")
	add(1, "network", `"eip155:84532"`, x402.ReasonNetwork, `unknown network name: "eip155:84532"`)
	add(1, "network", `"base-goerli"`, x402.ReasonNetwork, `unknown network name: "base-goerli"`)

	add(2, "accepted", "", payload, "missing: accepted")
	add(2, "accepted", `"exact"`, payload, "accepted: not the JSON")
	for _, name := range []string{"scheme", "network", "amount", "asset", "payTo", "maxTimeoutSeconds"} {
		add(2, "accepted."+name, "", payload, "accepted: missing: "+name)
	}
	add(2, "accepted.scheme", `"upto"`, x402.ReasonScheme, `unknown payment scheme: "upto"`)
	add(2, "accepted.network", `"base-sepolia"`, x402.ReasonNetwork, `unknown network name: "base-sepolia"`)
	add(2, "accepted.network", `"solana:mainnet"`, x402.ReasonNetwork, `unknown network name: "solana:mainnet"`)
	add(2, "accepted.amount", "50000", payload, "accepted: not a plain decimal number")
	add(2, "accepted.amount", `"0.05"`, payload, "accepted: not a plain decimal number")
	add(2, "accepted.asset", `"USDC"`, payload, "accepted: not 0x-prefixed hex")
	add(2, "accepted.payTo", "null", payload, "accepted: missing: payTo")
	add(2, "accepted.maxTimeoutSeconds", `"300"`, payload, "accepted: not the JSON that was expected: maxTimeoutSeconds is a string")
	add(2, "accepted.maxTimeoutSeconds", "0", payload, "accepted: number out of range: maxTimeoutSeconds")
	add(2, "accepted.extra", `"USDC"`, payload, "accepted: not the JSON that was expected: extra is a string")
	add(2, "resource", `"mcp://tool/rsvp_to_event"`, payload, "resource is a string")
	add(2, "extensions", "[]", payload, "extensions is not an object")

	replace := func(name, old, new string, says string) {
		all = append(all, damage{name: name, reason: payload, says: says,
			json: func(raw []byte) []byte { return []byte(strings.Replace(string(raw), old, new, 1)) }})
	}
	replace("two payees", `"to":"`, `"to":"0x0000000000000000000000000000000000000001","to":"`, "a member occurs twice")
	replace("a payee in two cases", `"to":"`, `"To":"0x0000000000000000000000000000000000000001","to":"`, "a member occurs twice")
	replace("two payloads", `"payload":`, `"payload":{},"payload":`, "a member occurs twice")
	replace("too large", `"x402Version"`, `"note":"`+strings.Repeat("x", x402.MaxPayment)+`","x402Version"`, "larger than allowed")
	replace("an array of one", "{", "[{", "")
	all[len(all)-1].json = func(raw []byte) []byte { return []byte("[" + string(raw) + "]") }
	all[len(all)-1].says = "not the JSON that was expected"
	return all
}

// misspelt payments: the JSON is good, the base64 of it or around it is not.
func misspelt() []damage {
	return []damage{
		{name: "trailing bytes", base64: func(s string) string { return toBase64(append(fromBase64(s), "{}"...)) }, reason: x402.ReasonPayload, says: "bytes after the end"},
		{name: "cut off", base64: func(s string) string { return toBase64(fromBase64(s)[:200]) }, reason: x402.ReasonPayload, says: "not the JSON"},
		{name: "base64 twice", base64: func(s string) string { return toBase64([]byte(s)) }, reason: x402.ReasonPayload, says: "not the JSON"},
		{name: "base64 for URLs", base64: func(s string) string { return "_-" + s[2:] }, reason: x402.ReasonPayload, says: "not standard base64"},
		{name: "half a padding", base64: func(s string) string {
			return toBase64(append(fromBase64(s), strings.Repeat(" ", 2-len(fromBase64(s))%3)...)) + "="
		}, reason: x402.ReasonPayload, says: "not standard base64"},
		{name: "the JSON itself", base64: func(s string) string { return string(fromBase64(s)) }, reason: x402.ReasonPayload, says: "not standard base64"},
		{name: "no payment at all", base64: func(string) string { return "paid" }, reason: x402.ReasonPayload, says: "not the JSON"},
		{name: "two in one value", base64: func(s string) string { return s + "," + s }, reason: x402.ReasonPayload, says: "not standard base64"},
	}
}

func fromBase64(s string) []byte {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return raw
}

// mismatched payments: each can be read, and is not for this.
func mismatched() []damage {
	const price = 50_000
	amount := func(n uint64) func(*shop) func(*x402.Payment) {
		return authorizes(func(a *x402.Authorization) { a.Value = x402.NewUint256(n) })
	}
	return []damage{
		{name: "another network", only: 1, signs: signs(func(p *x402.Payment) { p.Network = x402.Base }), reason: x402.ReasonNetwork, says: "pay on eip155:84532"},
		{name: "another network, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.Network = x402.Base }), reason: x402.ReasonNetwork, says: "pay on eip155:84532"},
		{name: "another asset, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.Asset = x402.Address{1} }), reason: x402.ReasonRequirements, says: "pay in 0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
		{name: "another amount, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.Amount = x402.NewUint256(1) }), reason: x402.ReasonValue, says: "the price is 50000"},
		{name: "another payee, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.PayTo = x402.Address{1} }), reason: x402.ReasonRecipient, says: "it pays 0x01"},
		{name: "another timeout, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.MaxTimeoutSeconds = 86_400 }), reason: x402.ReasonRequirements, says: "repeat it unchanged"},
		{name: "another domain, accepted", only: 2, signs: accepts(func(r *x402.Requirements) { r.Extra.Name = "USD Coin" }), reason: x402.ReasonRequirements, says: "repeat it unchanged"},
		{name: "no domain, accepted", only: 2, json: member("accepted.extra", ""), reason: x402.ReasonRequirements, says: "repeat it unchanged"},
		{name: "another resource", only: 2, signs: signs(func(p *x402.Payment) { p.Resource = &x402.Resource{URL: "mcp://tool/rsvp_to_event?seats=1"} }), reason: x402.ReasonRequirements, says: "another resource"},
		{name: "a resource without a name", only: 2, json: member("resource", "{}"), reason: x402.ReasonRequirements, says: "another resource"},

		{name: "nothing", signs: amount(0), reason: x402.ReasonValue, says: "pay exactly 50000"},
		{name: "one unit less", signs: amount(price - 1), reason: x402.ReasonValue, says: "pay exactly 50000"},
		{name: "one unit more", signs: amount(price + 1), reason: x402.ReasonValue, says: "pay exactly 50000"},
		{name: "all there is", signs: authorizes(func(a *x402.Authorization) { a.Value.SetAllOne() }), reason: x402.ReasonValue, says: "pay exactly 50000"},
		{name: "to another payee", signs: authorizes(func(a *x402.Authorization) { a.To[0]++ }), reason: x402.ReasonRecipient, says: "it pays 0x"},
		{name: "to the payer", signs: authorizes(func(a *x402.Authorization) { a.To = a.From }), reason: x402.ReasonRecipient, says: "it pays 0x"},
		{name: "from nobody", signs: authorizes(func(a *x402.Authorization) { a.From = x402.Address{} }), reason: x402.ReasonPayload, says: "an account of your own"},
		{name: "from the payee", signs: authorizes(func(a *x402.Authorization) { a.From = a.To }), reason: x402.ReasonPayload, says: "an account of your own"},
		{name: "from another", signs: authorizes(func(a *x402.Authorization) { a.From[0]++ }), reason: x402.ReasonSignature, says: "not signed by 0x"},

		{name: "not valid yet", signs: authorizes(func(a *x402.Authorization) { a.ValidAfter = in(time.Hour) }), reason: x402.ReasonValidAfter, says: "not valid yet"},
		{name: "never valid", signs: authorizes(func(a *x402.Authorization) { a.ValidAfter.SetAllOne() }), reason: x402.ReasonValidBefore, says: "at most 24h"},
		{name: "expired", signs: authorizes(func(a *x402.Authorization) { a.ValidBefore = in(-time.Second) }), reason: x402.ReasonValidBefore, says: "expires too soon"},
		{name: "expired since 1970", signs: authorizes(func(a *x402.Authorization) { a.ValidBefore = x402.Uint256{} }), reason: x402.ReasonValidBefore, says: "expires too soon"},
		{name: "expires now", signs: authorizes(func(a *x402.Authorization) { a.ValidBefore = in(2 * time.Second) }), reason: x402.ReasonValidBefore, says: "at least 6s"},
		{name: "expires in a week", signs: authorizes(func(a *x402.Authorization) { a.ValidBefore = in(7 * 24 * time.Hour) }), reason: x402.ReasonValidBefore, says: "at most 24h"},
		{name: "never expires", signs: authorizes(func(a *x402.Authorization) { a.ValidBefore.SetAllOne() }), reason: x402.ReasonValidBefore, says: "at most 24h"},
		{name: "a window turned round", signs: authorizes(func(a *x402.Authorization) { a.ValidAfter, a.ValidBefore = a.ValidBefore, a.ValidAfter }), reason: x402.ReasonValidAfter, says: "not valid yet"},

		{name: "high s", signs: signature(highS), reason: x402.ReasonSignature, says: "high s"},
		{name: "v of 0 or 1", signs: signature(func(s x402.Signature) x402.Signature { s[64] -= 27; return s }), reason: x402.ReasonSignature, says: "want 27 or 28"},
		{name: "the other v", signs: signature(func(s x402.Signature) x402.Signature { s[64] ^= 27 ^ 28; return s }), reason: x402.ReasonSignature, says: "signed"},
		{name: "a bit of s", signs: signature(func(s x402.Signature) x402.Signature { s[60] ^= 1; return s }), reason: x402.ReasonSignature, says: "signed"},
		{name: "r of zero", signs: signature(func(s x402.Signature) x402.Signature { clear(s[:32]); return s }), reason: x402.ReasonSignature, says: "r or s out of range"},
		{name: "64 bytes", signs: signature(func(s x402.Signature) x402.Signature { return s[:64] }), reason: x402.ReasonSignature},
		{name: "66 bytes", signs: signature(func(s x402.Signature) x402.Signature { return append(s, 0) }), reason: x402.ReasonSignature},
		{name: "another nonce than signed", json: member("payload.authorization.nonce", text("0x"+strings.Repeat("11", 32))), reason: x402.ReasonSignature, says: "not signed by 0x"},
		{name: "signed for another chain", signs: domain(func(r *x402.Requirements) { r.Network = x402.Base }), reason: x402.ReasonSignature, says: "EIP-712 domain"},
		{name: "signed for another token", signs: domain(func(r *x402.Requirements) { r.Asset = x402.Address{1} }), reason: x402.ReasonSignature, says: "EIP-712 domain"},
		{name: "signed for another name", signs: domain(func(r *x402.Requirements) { r.Extra.Name = "USD Coin" }), reason: x402.ReasonSignature, says: "EIP-712 domain"},
		{name: "signed for another version", signs: domain(func(r *x402.Requirements) { r.Extra.Version = "1" }), reason: x402.ReasonSignature, says: "EIP-712 domain"},

		{name: "two seats for the price of one", change: func(arguments map[string]any, _ *shop) { arguments["seats"] = 2 }, reason: x402.ReasonValue},
		{name: "a dearer event", change: func(arguments map[string]any, s *shop) {
			arguments["event_id"] = s.world.event(s.a, map[string]any{"price": "2.50"})
		}, reason: x402.ReasonValue},
		{name: "a cheaper event", change: func(arguments map[string]any, s *shop) {
			arguments["event_id"] = s.world.event(s.a, map[string]any{"price": "0.01"})
		}, reason: x402.ReasonValue},
		{name: "another event of this price", only: 2, change: func(arguments map[string]any, s *shop) {
			arguments["event_id"] = s.world.event(s.a, map[string]any{"price": "0.05"})
		}, reason: x402.ReasonRequirements, says: "another resource"},
	}
}

// Every way to spoil a payment, of both versions, in every place where it may
// be: each is refused for its own reason and leaves nothing behind.
func TestDamagedPayments(t *testing.T) {
	s := newShop(t)
	all := append(append(unreadable(), misspelt()...), mismatched()...)
	names := map[string]bool{}
	for _, d := range all {
		if names[d.name] {
			t.Errorf("two cases are called %q", d.name)
		}
		names[d.name] = true
	}
	before := s.stock()
	for _, d := range all {
		for _, version := range []int{1, 2} {
			if d.only != 0 && d.only != version {
				continue
			}
			t.Run(fmt.Sprintf("version %d/%s", version, d.name), func(t *testing.T) {
				arguments := s.arguments(s.event, 1)
				if d.change != nil {
					d.change(arguments, s)
				}
				for _, where := range places() {
					s.refused(t, d, version, where, arguments)
				}
				if after := s.stock(); after != before {
					t.Errorf("something has happened: %+v, was %+v", after, before)
				}
			})
		}
	}
	// The same quote, undamaged, is still good.
	payment := s.signed(2, nil)
	if a := s.call(s.a.URL, "rsvp_to_event", s.arguments(s.event, 1), &payment); a.isError {
		t.Errorf("undamaged: %s", a.text)
	}
}

func (s *shop) refused(t *testing.T, d damage, version int, where place, arguments map[string]any) {
	t.Helper()
	var change func(*x402.Payment)
	if d.signs != nil {
		change = d.signs(s)
	}
	raw, err := json.Marshal(s.signed(version, change))
	if err != nil {
		t.Fatal(err)
	}
	if d.json != nil {
		raw = d.json(raw)
	}
	payment := string(raw)
	if where.base64 {
		payment = toBase64(raw)
	}
	if d.base64 != nil {
		if !where.base64 {
			return
		}
		payment = d.base64(payment)
	}
	got := where.tries(s, s.a, arguments, version, payment)
	if got.code != "payment_invalid" || got.reason != d.reason || !strings.Contains(got.message, d.says) || got.message == "" {
		t.Errorf("%s: %d, code %q, reason %q, want %q: %s", where.name, got.status, got.code, got.reason, d.reason, got.message)
	}
	if secret := s.secrets[len(s.secrets)-1]; strings.Contains(strings.ToLower(got.raw), secret[:32]) {
		t.Errorf("%s: the answer has the signature", where.name)
	}
}

// Payments that are good in themselves, in the wrong place or at the wrong time.
func TestPaymentsOutOfPlace(t *testing.T) {
	s := newShop(t)
	header := func(p x402.Payment) string {
		value, err := x402.Header(p)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	object := func(p x402.Payment) string {
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	arguments := s.arguments(s.event, 1)
	call := func(payment string) string { return rpcCall(t, arguments, payment) }
	const v1, v2 = x402.HeaderPaymentV1, x402.HeaderPaymentV2
	one, two, old := s.signed(2, nil), s.signed(2, nil), s.signed(1, nil)
	before := s.stock()
	for _, test := range []struct {
		name    string
		body    string
		headers []string
		reason  x402.Reason
		says    string
	}{
		{"version 1 in the header of version 2", call(""), []string{v2, header(old)}, x402.ReasonVersion, "1 in the header of version 2"},
		{"one in _meta, another in a header", call(object(one)), []string{v2, header(two)}, x402.ReasonPayload, "two different payments"},
		{"one in each header", call(""), []string{v2, header(one), v1, header(old)}, x402.ReasonPayload, "two different payments"},
		{"a header twice", call(""), []string{v2, header(one), v2, header(two)}, x402.ReasonPayload, "two different payments"},
		{"a member of _meta twice", call(object(one) + `,"x402/payment":` + object(two)), nil, x402.ReasonPayload, "two different payments"},
		{"a good one and garbage", call(object(one)), []string{v1, "garbage"}, x402.ReasonPayload, "X-PAYMENT: payment: not standard base64"},
		{"garbage and a good one", call("7"), []string{v2, header(one)}, x402.ReasonPayload, `_meta["x402/payment"]: payment: not the JSON`},
		{"a list of payments", call("[" + object(one) + "]"), nil, x402.ReasonPayload, "not the JSON"},
		{"an object with trailing bytes, in a string", call(text(toBase64([]byte(object(one) + "x")))), nil, x402.ReasonPayload, "bytes after the end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.try(s.a.URL, test.body, test.headers...)
			if got.code != "payment_invalid" || got.reason != test.reason || !strings.Contains(got.message, test.says) {
				t.Errorf("%+v", got)
			}
			if after := s.stock(); after != before {
				t.Errorf("something has happened: %+v, was %+v", after, before)
			}
		})
	}
	t.Run("a header that no server reads", func(t *testing.T) {
		resp, raw := s.send(s.a.URL, call(""), nil, v2, strings.Repeat("A", 100<<10))
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %s", resp.Status, raw)
		}
	})
	t.Run("a body that no server reads", func(t *testing.T) {
		if got := s.try(s.a.URL, call(text(strings.Repeat("A", 2<<20)))); got.status != http.StatusRequestEntityTooLarge || got.code != "too_large" {
			t.Errorf("%+v", got)
		}
	})
	// To put a good payment at a good place three times is to put it there once.
	got := s.try(s.a.URL, call(object(one)), v2, header(one), v2, header(one))
	if !strings.Contains(got.raw, `"status":"confirmed"`) {
		t.Errorf("one payment in three places: %s", got.raw)
	}
}

// Payments that are somebody's, or somewhere else's, or nobody's any more; in
// every place and version.
func TestPaymentsOfOthers(t *testing.T) {
	s := newShop(t)
	var twin owner // another Host with the wallet of the first
	if status := s.do("POST", "/api/users", "", map[string]string{"email": "twin@example.org", "wallet_address": s.a.Wallet.String()}, &twin); status != http.StatusCreated {
		t.Fatal(status)
	}
	atTwin, atB := s.world.event(twin, map[string]any{"price": "0.05"}), s.world.event(s.b, map[string]any{"price": "0.05"})
	second := s.world.event(s.a, map[string]any{"price": "0.05"})
	full := s.world.event(s.a, map[string]any{"price": "0.05", "capacity": 1})
	first := sign(t, s.wallet(x402.USD), s.quote(s.a.URL, map[string]any{"event_id": full}), 2)
	if a := s.call(s.a.URL, "rsvp_to_event", map[string]any{"event_id": full}, &first); a.isError {
		t.Fatal(a.text)
	}
	// own makes the purse a new one, whose booking nothing is in the way of.
	own := func(usdc x402.Amount) {
		s.purse = s.wallet(usdc)
		s.asked = s.quote(s.a.URL, map[string]any{"event_id": s.event})
	}
	settled := func(p x402.Payment) { s.submit(s.transfer(p)) }
	cancelled := func(p x402.Payment) { s.submit(s.cancellation(p.Payload.Authorization)) }
	booked := func(p x402.Payment) {
		event := s.world.event(s.a, map[string]any{"price": "0.05"})
		if p.Version == 2 {
			asked := s.quote(s.a.URL, map[string]any{"event_id": event})
			p.Resource = &asked.Resource
		}
		if a := s.call(s.a.URL, "rsvp_to_event", map[string]any{"event_id": event}, &p); a.isError {
			t.Fatalf("the booking before: %s", a.text)
		}
	}
	none := func(x402.Payment) {}
	for _, test := range []struct {
		name   string
		before func(x402.Payment)
		at     owner
		event  string
		only   int
		has    x402.Amount
		code   string
		reason x402.Reason
	}{
		{"used for another event", booked, s.a, s.event, 0, x402.USD, "payment_already_used", ""},
		{"used at another Host with the same wallet", booked, twin, atTwin, 0, x402.USD, "payment_already_used", ""},
		{"used at another Host with another wallet", booked, s.b, atB, 0, x402.USD, "payment_already_used", ""},
		{"quoted by another Host with the same wallet", none, twin, atTwin, 2, x402.USD, "payment_invalid", x402.ReasonRequirements},
		{"quoted by another Host with another wallet", none, s.b, atB, 2, x402.USD, "payment_invalid", x402.ReasonRecipient},
		{"the same in version 1", none, s.b, atB, 1, x402.USD, "payment_invalid", x402.ReasonRecipient},
		{"quoted for another event", none, s.a, second, 2, x402.USD, "payment_invalid", x402.ReasonRequirements},
		{"for an event that is full", none, s.a, full, 0, x402.USD, "event_full", ""},
		{"for an event that is not there", none, s.a, "evt_none", 0, x402.USD, "event_not_found", ""},
		{"settled by somebody before", settled, s.a, s.event, 0, x402.USD, "payment_already_used", ""},
		{"cancelled before", cancelled, s.a, s.event, 0, x402.USD, "payment_already_used", ""},
		{"without the money", none, s.a, s.event, 0, 49_999, "payment_invalid", x402.ReasonInsufficientFunds},
		{"without any money", none, s.a, s.event, 0, 0, "payment_invalid", x402.ReasonInsufficientFunds},
	} {
		for _, version := range []int{1, 2} {
			if test.only != 0 && test.only != version {
				continue
			}
			t.Run(fmt.Sprintf("version %d/%s", version, test.name), func(t *testing.T) {
				own(test.has)
				p := s.signed(version, nil)
				test.before(p)
				before := s.stock()
				raw, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				for _, where := range places() {
					payment := string(raw)
					if where.base64 {
						payment = toBase64(raw)
					}
					got := where.tries(s, test.at, map[string]any{"event_id": test.event, "name": guestName}, version, payment)
					if got.code != test.code || got.reason != test.reason || got.message == "" {
						t.Errorf("%s: %d, code %q, want %q, reason %q, want %q: %s", where.name, got.status, got.code, test.code, got.reason, test.reason, got.message)
					}
				}
				if after := s.stock(); after != before {
					t.Errorf("something has happened: %+v, was %+v", after, before)
				}
			})
		}
	}
	if n := s.count(s.hostFile(twin), "SELECT (SELECT count(*) FROM rsvps) + (SELECT count(*) FROM payments)"); n != 0 {
		t.Errorf("%d rows at the twin", n)
	}
}
