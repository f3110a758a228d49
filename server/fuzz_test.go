package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

// FuzzRequest sends any body with any payment and credential to every route: the
// answer is JSON or nothing, is never a mistake of the server, and who has not
// paid has not booked.
func FuzzRequest(f *testing.F) {
	asset, domain, _ := x402.USDC(x402.BaseSepolia)
	log := testlog.New()
	hosts, err := host.Open(f.Context(), host.Config{Dir: f.TempDir(), Log: log, Payments: payments.Config{
		Network: x402.BaseSepolia, Asset: asset, Domain: domain}}) // there is no chain to pay on
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { hosts.Close(context.Background()) })
	user, token, err := hosts.Register(f.Context(), host.Registration{Email: "ada@example.org", PayTo: x402.Address{1}})
	if err != nil {
		f.Fatal(err)
	}
	h, err := hosts.Host(f.Context(), user.ID)
	if err != nil {
		f.Fatal(err)
	}
	event, err := h.CreateEvent(f.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2035-01-01T19:00:00Z", Price: "0.05"})
	if err != nil {
		f.Fatal(err)
	}
	web := server.New(server.Config{Hosts: hosts, Version: "test", Log: log, Network: x402.BaseSepolia, Asset: asset})

	const rpc = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":{"event_id":"`
	booking := rpc + event.ID + `"},"_meta":{"x402/payment":"e30="}}}`
	for _, path := range []string{"/mcp/users/" + user.ID, "/mcp/users/" + user.ID + "?payment=http", "/api/users", "/api/users/" + user.ID + "/events",
		"/api/users/" + user.ID + "/events/" + event.ID + "/rsvps", "/api/users/" + user.ID + "/revenue?event_id=x", "/api/users/" + user.ID + "/tokens", "/api/users/" + user.ID + "/tokens/door/rotate", "/mcp/info", "/readyz", "/%2f..", "/mcp/users/x"} {
		for _, body := range []string{booking, `{"seats":2,"email":"bo@example.org"}`, `{"email":"bo@example.org","wallet_address":"0x0"}`, `{"email":"bo@example.org","invite":"inv_x","code":"y"}`, `{"name":"door","scope":"check-in"}`, `[]`, ``, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`} {
			f.Add("POST", path, "", body, "")
			f.Add("GET", path, "Bearer "+token, body, "eyJ4NDAyVmVyc2lvbiI6MX0=")
		}
	}
	f.Fuzz(func(t *testing.T, method, path, authorization, body, payment string) {
		r, err := http.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		r.Header.Set("Content-Type", "application/json")
		for name, value := range map[string]string{"Authorization": authorization, x402.HeaderPaymentV1: payment, x402.HeaderPaymentV2: payment} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		web.ServeHTTP(w, r)
		kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
		switch {
		case w.Code >= 500:
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		case strings.HasSuffix(kind, "json") && !json.Valid(w.Body.Bytes()):
			t.Errorf("%s %s: not JSON: %s", method, path, w.Body)
		case kind == "application/problem+json" && !strings.Contains(w.Body.String(), `"code":"`):
			t.Errorf("%s %s: a problem without a code: %s", method, path, w.Body)
		case w.Header().Get(x402.HeaderResponseV1)+w.Header().Get(x402.HeaderResponseV2) != "":
			t.Errorf("%s %s: a receipt for nothing: %v", method, path, w.Header())
		}
		if list, err := h.ListRSVPs(t.Context(), tools.ListRSVPsInput{EventID: event.ID}); err != nil || len(list.RSVPs) > 0 {
			t.Errorf("%s %s %s: %d RSVPs, %v", method, path, body, len(list.RSVPs), err)
		}
	})
}

// FuzzSignIn reads what a browser sends while somebody signs in: where it leads is an
// owner's page of this server, however it is written, and stays what it is.
func FuzzSignIn(f *testing.F) {
	for _, next := range []string{"/my-mcp", "/my-mcp/events?q=a", "//evil.example/my-mcp", "/\\evil.example/my-mcp", "https://evil.example/my-mcp", "/my-mcp/../sign-out", "/my-mcp%2f..%2f", "javascript:alert(1)"} {
		f.Add(next, base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"email":"ada@example.org","next":%q}`, next)))
	}
	s := &server.Server{}
	f.Fuzz(func(t *testing.T, next, cookie string) {
		leads := func(to string) {
			if to == "" {
				return
			}
			base, _ := url.Parse("http://127.0.0.1/sign-in")
			at, err := base.Parse(to)
			if err != nil || at.Host != base.Host || !strings.HasPrefix(at.Path, "/my-mcp") || server.LocalPath(to) != to {
				t.Errorf("%q leads to %v, %v", to, at, err)
			}
		}
		leads(server.LocalPath(next))
		r := httptest.NewRequest("GET", "http://127.0.0.1/sign-in/code", nil)
		r.Header.Set("Cookie", "concierge_sign_in="+cookie)
		email, to, ok := s.Attempt(r)
		if ok != (email != "") {
			t.Errorf("%q: %q, %v", cookie, email, ok)
		}
		leads(to)
	})
}
