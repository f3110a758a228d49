package approve

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// asker is a page, and a purse with questions.
type asker struct {
	t     *testing.T
	page  *Page
	purse *store.Purse
	now   time.Time
}

func newAsker(t *testing.T) *asker {
	a := &asker{t: t, page: &Page{}, now: time.Unix(1_750_000_000, 0)}
	var err error
	a.purse, err = store.OpenPurse(context.Background(), filepath.Join(t.TempDir(), "guest.db"), store.Options{Now: func() time.Time { return a.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.page.Close(); err != nil {
			t.Error(err)
		}
		if err := a.purse.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// ask asks about a payment of so many units, and returns the question's number
// and the address of its page.
func (a *asker) ask(units byte) (int64, string) {
	a.t.Helper()
	q, err := a.purse.Ask(a.t.Context(), store.Charge{Call: [32]byte{units}, Host: "https://club.example/mcp", Tool: "rsvp_to_event",
		About: `<script>alert("$0.00")</script>`, Network: "eip155:84532", Amount: 2_500_000})
	if err != nil {
		a.t.Fatal(err)
	}
	address, err := a.page.URL(a.purse, q)
	if err != nil {
		a.t.Fatal(err)
	}
	return q.ID, address
}

func (a *asker) state(id int64) store.ApprovalState {
	a.t.Helper()
	q, err := a.purse.Approval(a.t.Context(), id)
	if err != nil {
		a.t.Fatal(err)
	}
	return q.State
}

// send requests a page, with headers in pairs.
func (a *asker) send(method, address string, form url.Values, headers ...string) (*http.Response, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp, string(body)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (a *asker) token(address string) string {
	a.t.Helper()
	_, body := a.send("GET", address, nil)
	m := tokenField.FindStringSubmatch(body)
	if m == nil {
		a.t.Fatalf("no form in %s", body)
	}
	return m[1]
}

func TestAnswers(t *testing.T) {
	a := newAsker(t)
	for units, c := range []struct {
		button string
		want   store.ApprovalState
	}{{"approve", store.ApprovalApproved}, {"deny", store.ApprovalDenied}} {
		id, address := a.ask(byte(units))
		resp, body := a.send("GET", address, nil)
		for _, want := range []string{"$2.50", "https://club.example/mcp", "0x0000000000000000000000000000000000000000", "eip155:84532", "&lt;script&gt;", "UTC"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not in %s", want, body)
			}
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if strings.Contains(body, "<script") || !strings.Contains(body, "<style>"+style+"</style>") || !strings.HasPrefix(policy, "default-src 'none'") || resp.Header.Get("Cache-Control") != "no-store" ||
			resp.Header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%v\n%s", resp.Header, body)
		}
		if resp, _ := a.send("POST", address, url.Values{"token": {a.token(address)}, "answer": {c.button}}); resp.StatusCode != http.StatusOK || a.state(id) != c.want {
			t.Errorf("%s: %s, %s", c.button, resp.Status, a.state(id))
		}
	}
	// Who has approved may take it back.
	id, address := a.ask(0)
	if a.send("POST", address, url.Values{"token": {a.token(address)}, "answer": {"deny"}}); a.state(id) != store.ApprovalDenied {
		t.Errorf("taken back: %s", a.state(id))
	}
}

// Nothing approves but the form of the page, sent from the page.
func TestNothingElseApproves(t *testing.T) {
	a := newAsker(t)
	id, address := a.ask(1)
	_, other := a.ask(2)
	token := a.token(address)
	good := url.Values{"token": {token}, "answer": {"approve"}}
	for name, c := range map[string]struct {
		method, address string
		form            url.Values
		headers         []string
		status          int
	}{
		"a GET":                   {"GET", address + "?" + good.Encode(), nil, nil, http.StatusOK},
		"a HEAD":                  {"HEAD", address + "?" + good.Encode(), nil, nil, http.StatusOK},
		"a PUT":                   {"PUT", address, good, nil, http.StatusMethodNotAllowed},
		"no token":                {"POST", address, url.Values{"answer": {"approve"}}, nil, http.StatusForbidden},
		"a token in the address":  {"POST", address + "?" + good.Encode(), url.Values{"answer": {"approve"}}, nil, http.StatusForbidden},
		"another's token":         {"POST", address, url.Values{"token": {a.token(other)}, "answer": {"approve"}}, nil, http.StatusForbidden},
		"no choice":               {"POST", address, url.Values{"token": {token}}, nil, http.StatusForbidden},
		"another choice":          {"POST", address, url.Values{"token": {token}, "answer": {"yes"}}, nil, http.StatusForbidden},
		"a long form":             {"POST", address, url.Values{"token": {token}, "answer": {"approve"}, "x": {strings.Repeat("x", maxForm)}}, nil, http.StatusBadRequest},
		"another secret":          {"POST", address[:len(address)-1], good, nil, http.StatusNotFound},
		"no secret":               {"POST", strings.SplitAfter(address, "/approve/")[0], good, nil, http.StatusNotFound},
		"another name":            {"POST", address, good, []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		"localhost":               {"POST", address, good, []string{"Host", strings.Replace(a.page.host, "127.0.0.1", "localhost", 1)}, http.StatusMisdirectedRequest},
		"another site":            {"POST", address, good, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another port":            {"POST", address, good, []string{"Origin", "http://127.0.0.1:1"}, http.StatusForbidden},
		"a page without a origin": {"POST", address, good, []string{"Origin", "null"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := a.send(c.method, c.address, c.form, c.headers...)
			if resp.StatusCode != c.status || a.state(id) != store.ApprovalAsked {
				t.Errorf("%s, %s, %s", resp.Status, a.state(id), body)
			}
			if resp.StatusCode != http.StatusOK && strings.Contains(body, token) {
				t.Errorf("the token is told: %s", body)
			}
		})
	}
	if resp, body := a.send("POST", address, good, "Sec-Fetch-Site", "same-origin", "Origin", "http://"+a.page.host); resp.StatusCode != http.StatusOK || a.state(id) != store.ApprovalApproved {
		t.Errorf("the form itself: %s, %s", resp.Status, body)
	}
}

func TestExpired(t *testing.T) {
	a := newAsker(t)
	_, address := a.ask(1)
	token := a.token(address)
	a.now = a.now.Add(store.ApprovalLife)
	if resp, body := a.send("GET", address, nil); resp.StatusCode != http.StatusGone || strings.Contains(body, "<form") {
		t.Errorf("%s, %s", resp.Status, body)
	}
	if resp, _ := a.send("POST", address, url.Values{"token": {token}, "answer": {"approve"}}); resp.StatusCode != http.StatusGone {
		t.Errorf("%s", resp.Status)
	}
	// The same charge is another question, on another page.
	if _, again := a.ask(1); again == address {
		t.Error("the same address again")
	}
}

func TestAddresses(t *testing.T) {
	a := newAsker(t)
	_, first := a.ask(1)
	if _, same := a.ask(1); same != first {
		t.Errorf("%s and %s for one question", first, same)
	}
	if _, other := a.ask(2); other == first || !strings.HasPrefix(other, "http://127.0.0.1:") || len(other) < len(first) {
		t.Errorf("%s and %s", first, other)
	}
	if err := a.page.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.page.URL(a.purse, store.Approval{ID: 9}); err == nil {
		t.Error("a closed page has an address")
	}
}

// The policy of the page allows its style, and no other.
func TestStyleHash(t *testing.T) {
	sum := sha256.Sum256([]byte(style))
	if want := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); styleHash != want {
		t.Errorf("styleHash is %s, the style's is %s", styleHash, want)
	}
}
