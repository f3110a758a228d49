package guest_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

const (
	twoTo64  = "18446744073709551616"
	twoTo256 = "115792089237316195423570985008687907853269984665640564039457584007913129639936"
	base     = `"0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"`
)

// refusals are requests for payment that nothing is signed for.
var refusals = map[string]struct {
	answer string
	want   error // nil: any
}{
	"another network":             {asks(required(entry("eip155:84532", "eip155:1"))), guest.ErrUntrusted},
	"real money":                  {asks(required(entry("eip155:84532", "eip155:8453", `"0x036CbD53842c5426634e7929541eC2318f3dCF7e"`, base))), guest.ErrUntrusted},
	"no chain at all":             {asks(required(entry("eip155:84532", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"))), guest.ErrUntrusted},
	"version 1's name of it":      {asks(required(entry("eip155:84532", "base-sepolia"))), guest.ErrUntrusted},
	"leading zero in the network": {asks(required(entry("eip155:84532", "eip155:084532"))), guest.ErrUntrusted},
	"another asset":               {asks(required(entry("0x036C", "0x136c", "bD53842c5426634e7929541eC2318f3dCF7e", "bd53842c5426634e7929541ec2318f3dcf7e"))), guest.ErrUntrusted},
	"another chain's USDC":        {asks(required(entry(`"0x036CbD53842c5426634e7929541eC2318f3dCF7e"`, base))), guest.ErrUntrusted},
	"another domain name":         {asks(required(entry(`"USDC"`, `"USD Coin"`))), guest.ErrUntrusted},
	"another domain version":      {asks(required(entry(`"version":"2"`, `"version":"1"`))), guest.ErrUntrusted},
	"no domain":                   {asks(required(entry(`"version":"2","theirs":true,"name":"USDC"`, ``))), guest.ErrUntrusted},
	"zero payee":                  {asks(required(entry(payee, "0x0000000000000000000000000000000000000000"))), guest.ErrUntrusted},
	"no payee":                    {asks(required(entry(`"payTo"`, `"payto_"`))), guest.ErrUntrusted},
	"payee with a wrong checksum": {asks(required(entry("0x209693B", "0x209693b"))), guest.ErrUntrusted},
	"Permit2":                     {asks(required(entry(`"theirs":true`, `"assetTransferMethod":"permit2"`))), guest.ErrUntrusted},
	"another scheme":              {asks(required(entry(`"exact"`, `"upto"`))), guest.ErrUntrusted},

	"no amount":                {asks(required(entry(`"amount":"50000",`, ``))), guest.ErrUntrusted},
	"empty amount":             {asks(required(entry(`"50000"`, `""`))), guest.ErrUntrusted},
	"zero":                     {asks(required(entry(`"50000"`, `"0"`))), guest.ErrUntrusted},
	"plus one":                 {asks(required(entry(`"50000"`, `"+1"`))), guest.ErrUntrusted},
	"minus one":                {asks(required(entry(`"50000"`, `"-1"`))), guest.ErrUntrusted},
	"a number":                 {asks(required(entry(`"50000"`, `50000`))), guest.ErrUntrusted},
	"dollars":                  {asks(required(entry(`"50000"`, `"0.05"`))), guest.ErrUntrusted},
	"exponent":                 {asks(required(entry(`"50000"`, `"5e4"`))), guest.ErrUntrusted},
	"hex":                      {asks(required(entry(`"50000"`, `"0xc350"`))), guest.ErrUntrusted},
	"leading zero":             {asks(required(entry(`"50000"`, `"050000"`))), guest.ErrUntrusted},
	"other digits":             {asks(required(entry(`"50000"`, `"５００００"`))), guest.ErrUntrusted},
	"2^256":                    {asks(required(entry(`"50000"`, `"`+twoTo256+`"`))), guest.ErrUntrusted},
	"2^64":                     {asks(required(entry(`"50000"`, `"`+twoTo64+`"`))), guest.ErrTooExpensive},
	"2^64 and a little":        {asks(required(entry(`"50000"`, `"18446744073709551617"`))), guest.ErrTooExpensive},
	"2^63":                     {asks(required(entry(`"50000"`, `"9223372036854775808"`))), guest.ErrTooExpensive},
	"the ceiling and one unit": {asks(required(entry(`"50000"`, `"1000001"`))), guest.ErrTooExpensive},
	"version 1's amount in 2":  {asks(required(entry(`"amount"`, `"maxAmountRequired"`))), guest.ErrUntrusted},
	"no time to live":          {asks(required(entry(`300`, `0`))), guest.ErrUntrusted},
	"a negative time to live":  {asks(required(entry(`300`, `-300`))), guest.ErrUntrusted},

	"two amounts":              {asks(required(entry(`"amount":"50000"`, `"amount":"1","amount":"50000"`))), guest.ErrUntrusted},
	"two amounts, one in caps": {asks(required(entry(`"amount":"50000"`, `"amount":"1","Amount":"50000"`))), guest.ErrUntrusted},
	"two lists": {asksWith("", strings.Replace(required(honest), `"accepts"`,
		`"accepts":[`+entry(`"50000"`, `"1"`)+`],"accepts"`, 1), ""), guest.ErrUntrusted},
	"33 entries":       {asks(required(strings.Split(strings.Repeat(honest+"|", 33), "|")[:33]...)), guest.ErrUntrusted},
	"no entries":       {asks(required()), guest.ErrUntrusted},
	"version 3":        {asks(strings.Replace(required(honest), `"x402Version":2`, `"x402Version":3`, 1)), guest.ErrUntrusted},
	"no resource":      {asks(strings.Replace(required(honest), `"resource"`, `"source"`, 1)), guest.ErrUntrusted},
	"too large":        {asks(required(entry(`"theirs":true`, `"theirs":"`+strings.Repeat("x", 64<<10)+`"`))), guest.ErrUntrusted},
	"entry no object":  {asks(required(honest, `"exact"`)), guest.ErrUntrusted},
	"bad entry beside": {asks(required(honest, entry(`"50000"`, `"-1"`))), guest.ErrUntrusted},

	"text says less":                 {asksWith(required(honest), required(entry(`"50000"`, `"1"`)), ""), guest.ErrUntrusted},
	"structured content says less":   {asksWith(required(entry(`"50000"`, `"1"`)), required(honest), ""), guest.ErrUntrusted},
	"_meta says less":                {asksWith(required(honest), required(honest), required(entry(`"50000"`, `"1"`))), guest.ErrUntrusted},
	"_meta has another payee":        {asksWith(required(honest), "Please pay.", required(entry(payee, "0x000000000000000000000000000000000000dEaD"))), guest.ErrUntrusted},
	"text lives longer":              {asksWith(required(honest), required(entry("300", "301")), ""), guest.ErrUntrusted},
	"text is for something else":     {asksWith(required(honest), strings.Replace(required(honest), "rsvp", "buy", 1), ""), guest.ErrUntrusted},
	"text has an entry more":         {asksWith(required(honest), required(honest, honest), ""), guest.ErrUntrusted},
	"text has another order":         {asksWith(required(honest, entry(`"50000"`, `"1"`)), required(entry(`"50000"`, `"1"`), honest), ""), guest.ErrUntrusted},
	"text is version 1":              {asksWith(required(honest), requiredV1(honestV1), ""), guest.ErrUntrusted},
	"text is broken":                 {asksWith(required(honest), required(entry(`"50000"`, `50000`)), ""), guest.ErrUntrusted},
	"a second text says more":        {strings.Replace(asks(required(honest)), `}],`, `},{"type":"text","text":`+quote(required(entry(`"50000"`, `"60000"`)))+`}],`, 1), guest.ErrUntrusted},
	"version 1: another network":     {asks(requiredV1(strings.Replace(honestV1, "base-sepolia", "base", 1))), guest.ErrUntrusted},
	"version 1: CAIP-2 name":         {asks(requiredV1(strings.Replace(honestV1, "base-sepolia", "eip155:84532", 1))), guest.ErrUntrusted},
	"version 1: above the ceiling":   {asks(requiredV1(strings.Replace(honestV1, "50000", "1000001", 1))), guest.ErrTooExpensive},
	"version 1: amount means no sum": {asks(requiredV1(strings.Replace(honestV1, `"maxAmountRequired":"50000"`, `"maxAmountRequired":"1000001","amount":"1"`, 1))), guest.ErrTooExpensive},

	"asked without failing": {strings.Replace(asks(required(honest)), `"isError":true`, `"isError":false`, 1), nil},
	"a text for people":     {asksWith("", "Please pay 0.05 USDC to "+payee, ""), nil},
	"nothing":               {`{"isError":true,"content":[]}`, nil},
	"no result":             {`null`, nil},
	"another kind":          {`[]`, nil},
	"not JSON":              {`{"isError":`, nil},
	"a question":            {`{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":{}}}}`, nil},
	"too busy":              {`{"resultType":"input_required","inputRequests":{}}`, nil},
	"JSON-RPC error 402":    {`{"jsonrpc":"2.0","id":ID,"error":{"code":402,"message":"pay","data":` + requiredV1(strings.Replace(honestV1, "50000", "1000001", 1)) + `}}`, guest.ErrTooExpensive},
	"JSON-RPC error 401":    {`{"jsonrpc":"2.0","id":ID,"error":{"code":401,"message":"pay","data":` + requiredV1(honestV1) + `}}`, nil},
	"huge":                  {`{"isError":true,"content":[{"type":"text","text":"` + strings.Repeat("x", 5<<20) + `"}]}`, nil},
	"huge, and an entry":    {strings.Replace(asks(required(honest)), `"isError":true`, `"isError":true,"padding":"`+strings.Repeat("x", 5<<20)+`"`, 1), nil},
}

func TestNothingIsSigned(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: always(c.answer)}
			h := dial(t, p.web(t), config(t, payer))
			booked, err := h.Book(t.Context(), wish)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%+v, %v", booked, err)
			}
			if errors.Is(err, guest.ErrUnknown) || errors.Is(err, guest.ErrNotPaid) {
				t.Errorf("a payment is spoken of: %v", err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			payer.must(t, 0)
			if len(p.calls()) != 1 {
				t.Errorf("%d calls", len(p.calls()))
			}
			// The connection has not suffered, or is made anew.
			p.answer = always(rsvp("confirmed", ""))
			if _, err := h.Book(t.Context(), wish); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// Of several entries the first good one is paid: what is signed is the very
// entry that was held against the policy, and it is repeated to the letter.
func TestSignedIsWhatWasChecked(t *testing.T) {
	cheap, dear := entry(`"50000"`, `"1"`), entry(`"50000"`, `"1000001"`)
	foreign := `{"scheme":"exact","network":"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp","amount":1}`
	for name, c := range map[string]struct {
		required string
		want     string // the entry
		amount   uint64
	}{
		"cheap first":                 {required(cheap, dear), cheap, 1},
		"expensive first":             {required(dear, cheap), cheap, 1},
		"both good":                   {required(honest, cheap), honest, 50_000},
		"another chain first":         {required(entry("eip155:84532", "eip155:1", `"50000"`, `"1"`), honest), honest, 50_000},
		"unreadable ones between":     {required(foreign, dear, foreign, foreign, honest, foreign), honest, 50_000},
		"32 entries":                  {required(append(strings.Split(strings.Repeat(dear+"|", 31), "|")[:31], honest)...), honest, 50_000},
		"exactly the ceiling":         {required(entry(`"50000"`, `"1000000"`)), entry(`"50000"`, `"1000000"`), 1_000_000},
		"address in lower case":       {required(strings.ReplaceAll(honest, payee, strings.ToLower(payee))), strings.ReplaceAll(honest, payee, strings.ToLower(payee)), 50_000},
		"members nobody knows":        {required(entry(`"theirs":true`, `"theirs":{"b":[1e2,null],"a":9007199254740993}`)), entry(`"theirs":true`, `"theirs":{"b":[1e2,null],"a":9007199254740993}`), 50_000},
		"2^31 seconds to settle it":   {required(entry("300", "2147483648")), entry("300", "2147483648"), 50_000},
		"one second to settle it":     {required(entry("300", "1")), entry("300", "1"), 50_000},
		"a short time, in the future": {required(entry("300", "599")), entry("300", "599"), 50_000},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{answer: then(c.required, func(int, call) string { return rsvp("confirmed", "") })}
			now := time.Unix(1_750_000_000, 0)
			config := config(t, payer)
			config.Now = func() time.Time { return now }
			h := dial(t, p.web(t), config)
			booked, err := h.Book(t.Context(), wish)
			if err != nil || booked.Paid != x402.Amount(c.amount) {
				t.Fatalf("%+v, %v", booked, err)
			}
			payer.must(t, 1)
			raw := string(p.paidCalls()[0].raw(t))
			if !strings.Contains(raw, `"accepted":`+c.want+`,`) && !strings.HasSuffix(raw, `"accepted":`+c.want+`}`) {
				t.Errorf("accepted is not\n%s in\n%s", c.want, raw)
			}
			a := payer.all()[0]
			if a.Value != x402.NewUint256(c.amount) || a.To.String() != payee || a.Nonce == (x402.Bytes32{}) {
				t.Errorf("signed: %+v", a)
			}
			after, before, ok := a.Window()
			life := before.Sub(now)
			if !ok || !after.Equal(now.Add(-10*time.Minute)) || life < time.Second || life > 10*time.Minute {
				t.Errorf("good from %s to %s", after, before)
			}
		})
	}
}

// A Host may write its request in one place only; whichever it is, it is paid.
func TestPlacesOfARequest(t *testing.T) {
	r := required(honest)
	for name, answer := range map[string]string{
		"all three":          asks(r),
		"structured content": asksWith(r, "", ""),
		"text":               asksWith("", r, ""),
		"_meta":              asksWith("", "", r),
		"Cloudflare's two":   asksWith("", r, r),
		"text for people":    asksWith(r, "Payment required: $0.05", ""),
		"text in pieces":     asksWith(r, "\n "+strings.ReplaceAll(r, `,"`, ",\n  \""), ""),
		"not its first text": strings.Replace(asksWith("", r, ""), `[{`, `[{"type":"text","text":"Hello."},{`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &puppet{}
			p.answer = func(_ int, c call) string {
				if c.paid() {
					return rsvp("confirmed", "")
				}
				return answer
			}
			booked, err := dial(t, p.web(t), config(t, payer)).Book(t.Context(), wish)
			if err != nil || booked.Paid != 50_000 {
				t.Fatalf("%+v, %v", booked, err)
			}
			checkPayment(t, p.paidCalls()[0].payment(t), payer, 2)
		})
	}
}

func TestPolicyWithoutUSDC(t *testing.T) {
	for _, network := range []x402.Network{"", "eip155:1"} {
		payer := newCounter(t)
		c := config(t, payer)
		c.Policy = guest.Policy{Network: network, MaxPrice: math.MaxInt64}
		p := &puppet{answer: always(asks(required(honest, entry("eip155:84532", "eip155:1"))))}
		if _, err := dial(t, p.web(t), c).Book(t.Context(), wish); err == nil {
			t.Errorf("%q: no error", network)
		}
		payer.must(t, 0)
	}
}
