package chat_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest/chat"
)

type shownExchange struct {
	N                      int64
	Method, URL, RPC, Tool string
	Request, Answer        struct {
		Headers map[string]json.RawMessage
		Body    json.RawMessage
	}
	Done, X402, Failed bool
	Status             int
}

func exchanges(t *testing.T, all []chat.Message) (found []shownExchange) {
	t.Helper()
	for _, m := range all {
		if m.Type == "trace" {
			found = append(found, into[shownExchange](t, m))
		}
	}
	return found
}

// Who asks for it sees what goes between the agent and Hosts, without signatures.
func TestTrace(t *testing.T) {
	var sent []string // what must not be seen
	w := newWorld(t)
	w.transport = func(next http.RoundTripper) http.RoundTripper {
		return &road{next, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			header := r.Header.Get(x402.HeaderPaymentV2) + r.Header.Get(x402.HeaderPaymentV1)
			raw, err := base64.StdEncoding.DecodeString(header)
			if err != nil {
				t.Errorf("the payment's header: %v", err)
			}
			var p struct{ Payload struct{ Signature string } }
			if err := json.Unmarshal(raw, &p); err != nil || len(p.Payload.Signature) < 132 {
				t.Errorf("the payment: %s, %v", raw, err)
			}
			bits, err := hex.DecodeString(strings.TrimPrefix(p.Payload.Signature, "0x"))
			if err != nil {
				t.Error(err)
			}
			sent = append(sent, header, p.Payload.Signature[2:], hex.EncodeToString(bits[:32]), hex.EncodeToString(bits[32:64]),
				base64.StdEncoding.EncodeToString(bits), base64.RawURLEncoding.EncodeToString(bits))
			resp, err := next.RoundTrip(r)
			if err == nil { // a Host that tells what it was sent
				resp.Header.Set(x402.HeaderResponseV1, header)
				resp.Header.Set("Set-Cookie", "session="+p.Payload.Signature)
				body, _ := io.ReadAll(resp.Body)
				body = bytes.Replace(body, []byte(`"_meta":{`), []byte(`"_meta":{"debug":["`+header+`","`+p.Payload.Signature+`"],`), 1)
				resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
			return resp, err
		}}
	}
	w.start()
	club, quiet, question := toBePaid(t, w)
	b := w.open(quiet.cookie)
	b.send(map[string]any{"type": "trace", "on": true})
	none(t, quiet.seen, "trace")
	one(t, b.click("approve", question), "receipt")
	none(t, quiet.until("receipt"), "trace")

	var paid, listed shownExchange
	for _, x := range exchanges(t, b.seen) {
		if !x.Done {
			continue
		}
		if x.Request.Headers[x402.HeaderPaymentV2] != nil {
			paid = x
		}
		if x.Tool == "list_events" {
			listed = x
		}
	}
	if listed.Status != 200 || listed.X402 || listed.RPC != "tools/call" || !strings.Contains(string(listed.Answer.Body), "Jazz night") {
		t.Errorf("from before somebody looked: %+v", listed)
	}
	if !paid.X402 || paid.Failed || paid.URL != club.url() || paid.Tool != "rsvp_to_event" || paid.Answer.Headers[x402.HeaderResponseV2] == nil {
		t.Errorf("the payment: %+v", paid)
	}
	if h := string(paid.Request.Headers[x402.HeaderPaymentV2]); !strings.Contains(h, `"signature":"…cut"`) || !strings.Contains(h, `"value":"50000"`) {
		t.Errorf("the payment's header: %s", h)
	}
	later := w.open(quiet.cookie)
	later.send(map[string]any{"type": "trace", "on": true})
	if got := exchanges(t, later.say("help")); len(got) < 3 || got[len(got)-1].N < paid.N {
		t.Errorf("who comes later sees %d", len(got))
	}
	for _, tab := range []*tab{b, later} {
		for _, m := range tab.seen {
			for _, secret := range sent {
				if m.Type == "trace" && strings.Contains(strings.ToLower(string(m.Data)), strings.ToLower(secret)) {
					t.Fatalf("%.20s… is in %s", secret, m.Data)
				}
			}
		}
	}
	if len(sent) == 0 {
		t.Fatal("nothing was paid")
	}

	b.send(map[string]any{"type": "trace"})
	none(t, b.say("list events"), "trace")
	if other := w.open(""); len(other.past) == 0 { // another visitor sees nothing of it
		other.send(map[string]any{"type": "trace", "on": true})
		none(t, other.say("help"), "trace")
	}
}

// What has buttons names host and event exactly, and says so in words.
func TestButtons(t *testing.T) {
	w := newWorld(t).start()
	club := w.place()
	jazz := club.event("Jazz night", "0.05", "Bring a friend")
	b := w.open("")
	press := func(what map[string]any) []chat.Message {
		b.send(what)
		return b.until("done")
	}
	shown := press(map[string]any{"type": "show", "host": club.url(), "event_id": jazz}) // as a link does
	if m := one(t, shown, "event"); !strings.Contains(m.Text, "Bring a friend") {
		t.Errorf("%+v", m)
	}
	asked := press(map[string]any{"type": "book", "host": club.url(), "event_id": jazz, "seats": 2})
	if m := one(t, asked, "said"); m.Text != "Book 2 seats for Jazz night" {
		t.Errorf("said: %q", m.Text)
	}
	m := one(t, asked, "approval")
	var q struct {
		Title    string
		StartsAt string `json:"starts_at"`
		Seats    int
	}
	if q = into[struct {
		Title    string
		StartsAt string `json:"starts_at"`
		Seats    int
	}](t, m); q.Title != "Jazz night" || q.StartsAt == "" || q.Seats != 2 {
		t.Errorf("the question: %+v", q)
	}
	got := into[shownReceipt](t, one(t, b.click("approve", m.Approval), "receipt"))
	if want := "http://host.test/u/" + club.user + "/rsvps/" + got.RSVP; got.Ticket != want || len(got.QR) < 21 || len(got.QR) != len(got.QR[0]) || got.StartsAt == "" {
		t.Errorf("the receipt: %+v", got)
	}
	if got.Explorer != "https://explorer.example.org/tx/"+got.Transaction {
		t.Errorf("the explorer: %q", got.Explorer)
	}
	ended := press(map[string]any{"type": "unbook", "host": club.url(), "rsvp_id": got.RSVP})
	if r := into[shownReceipt](t, one(t, ended, "receipt")); r.Refund == nil || r.Refund.USD != "0.10" || r.QR != nil {
		t.Errorf("cancelled: %+v", r)
	}
	if m := one(t, press(map[string]any{"type": "book", "host": "http://host.test/elsewhere", "event_id": jazz}), "error"); !strings.Contains(m.Text, "no host") {
		t.Errorf("%+v", m)
	}
	if m := one(t, press(map[string]any{"type": "book", "host": club.url(), "event_id": "evt_none"}), "error"); m.Code != "event_not_found" {
		t.Errorf("%+v", m)
	}
	list := into[shownEvents](t, one(t, press(map[string]any{"type": "connect", "host": club.url()}), "events"))
	if len(list.Events) != 1 {
		t.Errorf("%+v", list)
	}
}
