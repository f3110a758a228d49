package guest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// scribbler signs everything that it is given, and remembers it.
type scribbler struct {
	required []x402.Requirements
	signed   []x402.Authorization
}

func (s *scribbler) Address() x402.Address { return x402.Address{7} }

func (s *scribbler) SignAuthorization(_ context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error) {
	s.required, s.signed = append(s.required, r), append(s.signed, a)
	return make(x402.Signature, 65), nil
}

// FuzzAnswer reads any tool result that a Host may send: nothing is signed but
// for USDC on the right network, within the ceiling, to the payee and for the
// amount that all places of the answer name; and what the Host says of itself is
// read without harm.
func FuzzAnswer(f *testing.F) {
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	required := func(change func(*x402.Requirements)) string {
		r := x402.Requirements{Scheme: x402.SchemeExact, Network: x402.BaseSepolia, Amount: x402.NewUint256(50_000), Asset: asset,
			PayTo: x402.Address{9}, MaxTimeoutSeconds: 300, Extra: domain}
		change(&r)
		raw, err := json.Marshal(x402.PaymentRequired{X402Version: 2, Resource: x402.Resource{URL: "mcp://tool/x"}, Accepts: []x402.Requirements{r}})
		if err != nil {
			f.Fatal(err)
		}
		return string(raw)
	}
	honest := required(func(*x402.Requirements) {})
	dear := required(func(r *x402.Requirements) { r.Amount = x402.NewUint256(1_000_001) })
	for _, places := range [][3]string{{honest, honest, honest}, {honest, dear, honest}, {dear, "", dear}, {"", honest, "pay!"}, {"", "", honest}, {honest, honest, dear},
		{required(func(r *x402.Requirements) { r.Amount.SetAllOne() }), "", ""}, {required(func(r *x402.Requirements) { r.Asset = x402.Address{1} }), "", ""},
		{required(func(r *x402.Requirements) { r.Extra.Name = "USD Coin" }), "", ""}, {required(func(r *x402.Requirements) { r.Network = x402.Base }), "", ""},
		{`{"code":"event_full","message":"\u001b[2J"}`, "", "full"}, {`{"id":"rsvp_1","status":"pending"}`, "", ""}, {"null", "7", "{}"}} {
		f.Add([]byte(places[0]), []byte(places[1]), places[2], true)
		f.Add([]byte(places[0]), []byte(places[1]), places[2], false)
	}
	const ceiling = 1 * x402.USD
	now := time.Unix(1_800_000_000, 0)
	books, err := store.OpenPurse(context.Background(), filepath.Join(f.TempDir(), "guest.db"), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = books.Close() })
	f.Fuzz(func(t *testing.T, structured, meta []byte, text string, failed bool) {
		result := &mcp.CallToolResult{IsError: failed, Content: []mcp.Content{&mcp.TextContent{Text: text}}}
		if json.Valid(structured) {
			result.StructuredContent = json.RawMessage(structured)
		}
		var value any
		if json.Unmarshal(meta, &value) == nil {
			result.Meta = mcp.Meta{x402.MetaError: value, x402.MetaResponse: value}
		}
		answer, err := answerOf(result)
		if err != nil {
			return
		}
		if refusal := answer.refusal(); !fit(refusal.Code) || !fit(refusal.Message) {
			t.Errorf("not fit to be shown: %q", refusal)
		}
		if r, err := answer.rsvp(); err == nil && (r.ID == "" || r.Status == "") {
			t.Errorf("an RSVP of nothing: %+v", r)
		}
		if r := answer.receipt(); r != nil && answer.Meta == nil {
			t.Errorf("a receipt from nowhere: %+v", r)
		}
		asked, err := answer.requested()
		if err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%v is not ErrUntrusted", err)
		}
		if asked == nil {
			return
		}
		scribe := &scribbler{}
		h := &Host{Config: Config{Policy: Policy{Network: x402.BaseSepolia, MaxPrice: ceiling}, Wallet: scribe, Purse: books,
			Now: func() time.Time { return now }, Rand: rand.Reader}}
		var call [32]byte
		rand.Read(call[:])
		bought, _, err := h.promise(t.Context(), call, "rsvp_to_event", *asked)
		if err != nil {
			if len(scribe.signed) > 0 {
				t.Errorf("signed, and then %v", err)
			}
			return
		}
		p, err := bought.sign(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, a := scribe.required[0], scribe.signed[0]
		amount, err := a.Value.Amount()
		_, before, ok := a.Window()
		switch {
		case !failed || len(scribe.signed) != 1:
			t.Errorf("signed %d times", len(scribe.signed))
		case err != nil || amount <= 0 || amount > ceiling:
			t.Errorf("signed for %s", a.Value)
		case r.Asset != asset || r.Extra != domain || r.Network != x402.BaseSepolia || p.Network != r.Network:
			t.Errorf("signed for %+v", r)
		case a.To != r.PayTo || a.To.IsZero() || a.Value != r.Amount || a.From != scribe.Address():
			t.Errorf("signed %+v for %+v", a, r)
		case !ok || before.Sub(now) > longestLife:
			t.Errorf("signed until %s", before)
		}
		if _, err := evm.DomainOf(r); err != nil {
			t.Error(err)
		}
		for _, place := range []json.RawMessage{answer.Structured, json.RawMessage(text)} {
			if other, err := x402.DecodeRequired(place); err == nil && !cmp.Equal(other.Accepts, asked.Accepts) {
				t.Errorf("signed for %+v, and was asked for %+v", asked.Accepts, other.Accepts)
			}
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := x402.DecodePayment(raw); len(raw) <= x402.MaxPayment && (err != nil || again.Payload.Authorization != a) {
			t.Errorf("%s: %v", raw, err)
		}
	})
}

// fit reports whether a text can be shown on a terminal.
func fit(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return len([]rune(s)) <= 300
}

// FuzzQuoted marks any text of a Host's: every line of it begins with the sign,
// and nothing in it is invisible.
func FuzzQuoted(f *testing.F) {
	for _, text := range []string{"", "fine", "> \n>", "a\r\nb\u2028c\u0085d\ve", "\u202eevil\u200b\U000e0041", "\xff\xfe\n\x00", "\n\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, theirs, _ := strings.Cut(quoted("Answer", "https://club.example", text), "\n")
		for _, line := range strings.Split(theirs, "\n") {
			rest, ok := strings.CutPrefix(line, "> ")
			if !ok || strings.ContainsFunc(rest, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
				t.Errorf("%q has the line %q", text, line)
			}
		}
	})
}
