package chat

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// signature is one that no test data has by chance.
var signature = func() []byte {
	raw := make([]byte, 65)
	for i := range raw {
		raw[i] = byte(i*37 + 11)
	}
	return raw
}()

func signed() string { return "0x" + hex.EncodeToString(signature) }

// leaks fails if a piece of the signature can be read in what is shown.
func leaks(t *testing.T, shown []byte) {
	t.Helper()
	low := strings.ToLower(string(shown))
	for at := 0; at+8 <= len(signature); at++ {
		if strings.Contains(low, hex.EncodeToString(signature[at:at+8])) {
			t.Fatalf("in hex, from %d: %s", at, shown)
		}
	}
	for _, whole := range [][]byte{signature, []byte(signed()), []byte(strings.ToUpper(signed()))} {
		for at := range 3 { // a longer text may have it at any place of its groups
			e := base64.RawStdEncoding.EncodeToString(whole[at : len(whole)-(len(whole)-at)%3])
			url := strings.NewReplacer("+", "-", "/", "_").Replace(e)
			for _, piece := range []string{e[4:20], url[4:20]} {
				if strings.Contains(string(shown), piece) {
					t.Fatalf("in base64: %s", shown)
				}
			}
		}
	}
}

func TestScrub(t *testing.T) {
	payload := `{"x402Version":2,"payload":{"signature":"` + signed() + `","authorization":{"from":"0xaa","value":"50000","nonce":"0x77"}}}`
	in64 := base64.StdEncoding.EncodeToString([]byte(payload))
	quoted, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ raw, want string }{
		"order and numbers stay": {`{"b":1.50,"a":[true,null,"x<y"],"c":12345678901234567890}`, `{"b":1.50,"a":[true,null,"x<y"],"c":12345678901234567890}`},
		"an object":              {payload, `{"x402Version":2,"payload":{"signature":"…cut","authorization":{"from":"0xaa","value":"50000","nonce":"…cut"}}}`},
		"base64":                 {`{"x402/payment":"` + in64 + `"}`, `{"x402/payment":{"base64":{"x402Version":2,"payload":{"signature":"…cut","authorization":{"from":"0xaa","value":"50000","nonce":"…cut"}}}}}`},
		"JSON in a text":         {`{"text":` + string(quoted) + `}`, `{"text":"{\"x402Version\":2,\"payload\":{\"signature\":\"…cut\",\"authorization\":{\"from\":\"0xaa\",\"value\":\"50000\",\"nonce\":\"…cut\"}}}"}`},
		"by names":               {`{"Authorization":"Bearer x","Cookie":"a=b","owner_token":"t","password":["p"]}`, `{"Authorization":"…cut","Cookie":"…cut","owner_token":"…cut","password":"…cut"}`},
		"in a sentence":          {`{"note":"you sent ` + signed() + `!"}`, `{"note":"you sent …cut!"}`},
		"a key":                  {`{"` + signed() + `":1}`, `{"…cut":1}`},
		"a hash stays":           {`{"transaction":"0x` + strings.Repeat("ab", 32) + `"}`, `{"transaction":"0x` + strings.Repeat("ab", 32) + `"}`},
	} {
		got, err := new(scrubber).json([]byte(c.raw))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for _, raw := range []string{``, `{`, `{"a":1}x`, `{"a":1}{}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), `<html>`} {
		if got, err := new(scrubber).json([]byte(raw)); err == nil {
			t.Errorf("%.20s: %.20s", raw, got)
		}
	}
}

// What a Host has been sent it may send back, in pieces and otherwise written.
func TestScrubEchoes(t *testing.T) {
	s := &scrubber{}
	if _, err := s.json([]byte(`{"signature":"` + signed() + `"}`)); err != nil {
		t.Fatal(err)
	}
	for _, echo := range []string{
		hex.EncodeToString(signature), strings.ToUpper(signed()), base64.StdEncoding.EncodeToString(signature), base64.RawURLEncoding.EncodeToString(signature),
		"0x" + hex.EncodeToString(signature[:32]), hex.EncodeToString(signature[32:64]), "r=" + hex.EncodeToString(signature[:32]) + ",v=27",
	} {
		got, err := s.json([]byte(`{"r":"` + echo + `","note":"` + echo + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, got)
	}
	for name, h := range map[string]http.Header{
		"a receipt":       {"Payment-Response": {base64.StdEncoding.EncodeToString([]byte(`{"signature":"` + signed() + `","success":true}`))}},
		"no JSON":         {"Payment-Required": {base64.StdEncoding.EncodeToString(signature)}},
		"no base64":       {"X-Payment-Response": {signed()}},
		"another":         {"Retry-After": {signed()}},
		"a place":         {"Location": {"https://a.example/" + hex.EncodeToString(signature) + "?s=" + signed()}},
		"a credential":    {"Authorization": {"Bearer " + signed()}},
		"a cookie":        {"Set-Cookie": {"s=" + signed()}},
		"what is not one": {"X-Debug": {signed()}},
	} {
		for _, names := range [][]string{sentHeaders, gotHeaders} {
			raw, err := json.Marshal(s.part(h, names, nil, 0))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			leaks(t, raw)
		}
	}
	for kind, body := range map[string]string{
		"text/event-stream": "event: message\ndata: {\"signature\":\"" + signed() + "\"}\n\ndata: " + signed() + "\n\n",
		"text/plain":        signed(),
		"application/json":  `{"signature":"` + signed() + `"`,
		"text/html":         "<p>" + signed(),
	} {
		raw, err := json.Marshal(s.part(http.Header{"Content-Type": {kind}}, gotHeaders, []byte(body), int64(len(body))))
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, raw)
		if !strings.Contains(string(raw), "not shown") && kind != "text/event-stream" {
			t.Errorf("%s: %s", kind, raw)
		}
	}
}

// Whatever surrounds a payment, its signature is not shown, and what is shown is
// JSON.
func FuzzScrub(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"rsvp_to_event","_meta":{"x402/payment":§}}}`), false)
	f.Add([]byte(`{"result":{"isError":true,"content":[{"type":"text","text":§}]}}`), true)
	f.Fuzz(func(t *testing.T, around []byte, in64 bool) {
		payment := `{"payload":{"signature":"` + signed() + `"}}`
		if in64 {
			payment = `"` + base64.StdEncoding.EncodeToString([]byte(payment)) + `"`
		}
		raw := bytes.ReplaceAll(around, []byte("§"), []byte(payment))
		s := &scrubber{}
		got, err := s.json(raw)
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("no JSON: %q", got)
		}
		leaks(t, got)
		// What is cut once has nothing more to cut.
		if again, err := (&scrubber{}).json(got); err != nil || len(again) > len(got)+2*len(cut) {
			t.Errorf("again: %s, %v", again, err)
		}
	})
}
