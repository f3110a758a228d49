package facilitator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/x402"
)

const token = "t0ken-that-nobody-may-read"

// connect returns a client with a token of the server at url. Its path is a
// secret, too.
func connect(tb testing.TB, url string, rec *record) *facilitator.Client {
	tb.Helper()
	host := strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://")
	credential, err := facilitator.NewBearer(host, token)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := facilitator.NewClient(url+"/p4th", credential)
	if err != nil {
		tb.Fatal(err)
	}
	rec.secret(token, "p4th")
	return c
}

// puppet is a facilitator that says one thing.
func puppet(tb testing.TB, status int, body string) *httptest.Server {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	tb.Cleanup(s.Close)
	return s
}

// Answers to Verify: "yes", "no" for a reason, and everything else, which is an
// error.
func TestVerifyAnswers(t *testing.T) {
	s := testnet.sale(t, 2)
	from := s.payment.Payload.Authorization.From.String()
	other := newWallet(t).Address().String()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // valid, a reason, or error
	}{
		"yes":                               {200, `{"isValid":true,"payer":"` + from + `"}`, "valid"},
		"yes, payer in lower case":          {200, `{"isValid":true,"payer":"` + strings.ToLower(from) + `"}`, "valid"},
		"yes, payer left out":               {200, `{"isValid":true}`, "valid"},
		"yes, of another payer":             {200, `{"isValid":true,"payer":"` + other + `"}`, "error"},
		"yes, and a reason why not":         {200, `{"isValid":true,"invalidReason":"insufficient_funds"}`, "error"},
		"yes, with status 400":              {400, `{"isValid":true}`, "error"},
		"yes, with status 500":              {500, `{"isValid":true}`, "error"},
		"yes, with status 201":              {201, `{"isValid":true}`, "error"},
		"yes, in text":                      {200, `{"isValid":"true"}`, "error"},
		"no":                                {200, `{"isValid":false,"invalidReason":"insufficient_funds"}`, "insufficient_funds"},
		"no, of whomever":                   {200, `{"isValid":false,"invalidReason":"insufficient_funds","payer":"` + other + `"}`, "insufficient_funds"},
		"no, with status 400":               {400, `{"isValid":false,"invalidReason":"invalid_payload"}`, "invalid_payload"},
		"no, with status 402":               {402, `{"isValid":false,"invalidReason":"invalid_payload"}`, "invalid_payload"},
		"no, with status 500":               {500, `{"isValid":false,"invalidReason":"insufficient_funds"}`, "insufficient_funds"},
		"no, without a reason":              {200, `{"isValid":false}`, "invalid_payload"},
		"no, in its own words":              {200, `{"isValid":false,"invalidReason":"I don't like ` + token + `"}`, "invalid_payload"},
		"no, in one word of mine":           {200, `{"isValid":false,"invalidReason":"` + strings.ReplaceAll(token, "-", "_") + `"}`, strings.ReplaceAll(token, "-", "_")},
		"no, without a reason, status 500":  {500, `{"isValid":false}`, "error"},
		"it does not know":                  {200, `{"isValid":false,"invalidReason":"unexpected_verify_error"}`, "error"},
		"it does not know, with status 500": {500, `{"isValid":false,"invalidReason":"unexpected_verify_error"}`, "error"},
		"not my business":                   {404, `{"isValid":false,"invalidReason":"invalid_payload"}`, "error"},
		"not allowed":                       {401, `{"isValid":false,"invalidReason":"invalid_payload"}`, "error"},
		"too often":                         {429, `{"isValid":false,"invalidReason":"over_limit"}`, "error"},
		"nothing":                           {200, ``, "error"},
		"nothing, no content":               {204, ``, "error"},
		"HTML":                              {200, `<html>`, "error"},
		"HTML, status 502":                  {502, `<html>`, "error"},
		"a settlement":                      {200, `{"success":true,"transaction":"` + hash() + `","network":"eip155:84532"}`, "error"},
		"half":                              {200, `{"isValid":true`, "error"},
		"two":                               {200, `{"isValid":true}{"isValid":true}`, "error"},
		"both":                              {200, `{"isValid":false,"isValid":true}`, "error"},
		"a lot":                             {200, `{"isValid":true,"padding":"` + strings.Repeat("a", x402.MaxVerifyResponse) + `"}`, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newRecord(t)
			got, err := connect(t, puppet(t, c.status, c.body).URL, rec).Verify(t.Context(), s.payment, s.r)
			fmt.Fprintln(rec, err)
			switch {
			case c.want == "error":
				if err == nil || got != (x402.VerifyResponse{}) {
					t.Errorf("%+v, %v", got, err)
				}
			case err != nil || got.IsValid != (c.want == "valid") || !got.IsValid && string(got.InvalidReason) != c.want || got.Payer != from:
				t.Errorf("%+v, %v; want %s", got, err, c.want)
			}
		})
	}
}

// Answers to Settle: settled or on its way in a transaction, failed for a
// reason, and everything else, after which the money may have moved.
func TestSettleAnswers(t *testing.T) {
	const settled, pending, unknown = "settled", "settlement_pending", "unknown"
	for _, version := range []int{1, 2} {
		s := testnet.sale(t, version)
		from, other := s.payment.Payload.Authorization.From.String(), newWallet(t).Address().String()
		network := x402.BaseSepolia.Name(version)
		answer := func(success bool, reason, tx, network, payer string) string {
			return fmt.Sprintf(`{"success":%t,"errorReason":%q,"transaction":%q,"network":%q,"payer":%q}`, success, reason, tx, network, payer)
		}
		for name, c := range map[string]struct {
			status int
			body   string
			want   string // settled, unknown, or a reason
		}{
			"settled":                          {200, answer(true, "", hash(), network, from), settled},
			"settled, payer left out":          {200, answer(true, "", hash(), network, ""), settled},
			"settled, with the amount":         {200, `{"success":true,"transaction":"` + hash() + `","network":"` + network + `","amount":"2500000"}`, settled},
			"settled, another amount":          {200, `{"success":true,"transaction":"` + hash() + `","network":"` + network + `","amount":"1"}`, unknown},
			"settled, status 201":              {201, answer(true, "", hash(), network, from), unknown},
			"settled, status 400":              {400, answer(true, "", hash(), network, from), unknown},
			"settled, status 500":              {500, answer(true, "", hash(), network, from), unknown},
			"settled, and a reason":            {200, answer(true, "insufficient_funds", hash(), network, from), unknown},
			"settled for another payer":        {200, answer(true, "", hash(), network, other), unknown},
			"settled on another network":       {200, answer(true, "", hash(), "base", from), unknown},
			"settled on another chain":         {200, answer(true, "", hash(), "eip155:8453", from), unknown},
			"settled on no network":            {200, answer(true, "", hash(), "", from), unknown},
			"settled in no transaction":        {200, answer(true, "", "", network, from), unknown},
			"settled in half a transaction":    {200, answer(true, "", hash()[:40], network, from), unknown},
			"settled in transaction zero":      {200, answer(true, "", "0x"+strings.Repeat("0", 64), network, from), unknown},
			"settled, in text":                 {200, `{"success":"true"}`, unknown},
			"pending":                          {200, answer(false, pending, hash(), network, from), pending},
			"pending, status 500":              {500, answer(false, pending, hash(), network, from), pending},
			"pending, status 400":              {400, answer(false, pending, hash(), network, from), pending},
			"pending in no transaction":        {200, answer(false, pending, "", network, from), unknown},
			"pending on another network":       {200, answer(false, pending, hash(), "base", from), unknown},
			"pending for another payer":        {200, answer(false, pending, hash(), network, other), unknown},
			"failed":                           {200, answer(false, "insufficient_funds", "", network, from), "insufficient_funds"},
			"failed, status 400":               {400, answer(false, "insufficient_funds", "", "", ""), "insufficient_funds"},
			"failed, status 402":               {402, answer(false, "insufficient_funds", "", "", ""), "insufficient_funds"},
			"failed, status 500":               {500, answer(false, "insufficient_funds", "", "", ""), "insufficient_funds"},
			"failed in a transaction":          {200, answer(false, "invalid_transaction_state", hash(), network, from), "invalid_transaction_state"},
			"failed, it does not know how":     {200, answer(false, "unexpected_settle_error", "", network, from), unknown},
			"failed, unknown, status 500":      {500, answer(false, "unexpected_settle_error", hash(), network, from), unknown},
			"failed for no reason":             {200, answer(false, "", "", network, from), unknown},
			"failed, in its own words":         {400, answer(false, "token "+token+" is bad", "", network, from), unknown},
			"failed, echoing the signature":    {400, answer(false, signatureOf(s.payment), "", network, from), unknown},
			"failed, the signature in no word": {200, answer(false, "insufficient_funds", signatureOf(s.payment), network, from), "insufficient_funds"},
			"not allowed":                      {401, answer(false, "insufficient_funds", "", "", ""), unknown},
			"not there":                        {404, answer(false, "insufficient_funds", "", "", ""), unknown},
			"too often":                        {429, answer(false, "over_limit", "", "", ""), unknown},
			"nothing":                          {200, "", unknown},
			"nothing, status 500":              {500, "", unknown},
			"HTML, status 504":                 {504, "<html>" + token, unknown},
			"a verdict":                        {200, `{"isValid":true}`, unknown},
			"half":                             {200, `{"success":true,`, unknown},
			"a lot":                            {200, `{"success":false,"errorReason":"insufficient_funds","p":"` + strings.Repeat("a", 1<<20) + `"}`, unknown},
		} {
			t.Run(fmt.Sprint("version ", version, " ", name), func(t *testing.T) {
				rec := newRecord(t)
				rec.secret(signatureOf(s.payment))
				got, err := connect(t, puppet(t, c.status, c.body).URL, rec).Settle(t.Context(), s.payment, s.r)
				fmt.Fprintln(rec, got, err)
				if errors.Is(err, payments.ErrNotSettled) {
					t.Errorf("not submitted, it says: %v", err)
				}
				class := settled
				switch {
				case err != nil:
					class = unknown
				case !got.Success:
					class = string(got.ErrorReason)
				}
				if class != c.want {
					t.Errorf("%s: %+v, %v; want %s", class, got, err, c.want)
				}
				if (class == settled || class == pending) && (got.Transaction != hash() || got.Network != network || got.Payer != from) {
					t.Errorf("%+v", got)
				}
				if class == unknown && !cmp.Equal(got, x402.SettleResponse{}) {
					t.Errorf("an error, and %+v", got)
				}
			})
		}
	}
}

// Faults of the way there and back. Only where nothing can have left is the
// payment known not to be submitted.
func TestFaultsOfTheWay(t *testing.T) {
	s := testnet.sale(t, 2)
	serve := func(h http.HandlerFunc) func(*testing.T) string {
		return func(t *testing.T) string {
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			return server.URL
		}
	}
	raw := func(say string) func(*testing.T) string { // after the request has come
		return serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, say)
			conn.Close()
		})
	}
	const good = `{"success":true,"isValid":true,"transaction":"0x1","network":"base"}`
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		url  func(*testing.T) string
		sent bool
	}{
		"nobody listens":     {url: func(*testing.T) string { return "http://" + freePort(t) }},
		"no such host":       {url: func(*testing.T) string { return "http://nobody.invalid" }},
		"the caller is gone": {ctx: ended, url: raw("")},
		"TLS with a stranger": {url: func(t *testing.T) string {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}},
		"TLS with no TLS": {url: func(t *testing.T) string {
			return strings.Replace(raw("HTTP/1.1 200 OK\r\n\r\n")(t), "http:", "https:", 1)
		}},
		"dropped":            {url: raw(""), sent: true},
		"dropped in status":  {url: raw("HTTP/1.1 20"), sent: true},
		"dropped in headers": {url: raw("HTTP/1.1 200 OK\r\nContent-Le"), sent: true},
		"dropped in body":    {url: raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + good), sent: true},
		"no HTTP":            {url: raw("SSH-2.0 Authorization: Bearer " + token + "\r\n\r\n"), sent: true},
		"headers that echo":  {url: raw("HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n"), sent: true},
		"headers for ever":   {url: raw("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 200<<10) + "\r\n\r\n" + good), sent: true},
		"redirected": {url: serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/"+token, http.StatusTemporaryRedirect)
		}), sent: true},
		"redirected nowhere": {url: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://[::1]:namedport/"+token)
			w.WriteHeader(http.StatusPermanentRedirect)
		}), sent: true},
		"redirected with a body": {url: serve(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, good)
		}), sent: true},
		"zipped": {url: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, good)
		}), sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newRecord(t)
			rec.secret(signatureOf(s.payment))
			client := connect(t, c.url(t), rec)
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			if got, err := client.Supported(ctx); err == nil {
				t.Errorf("supported: %+v", got)
			} else {
				fmt.Fprintln(rec, err)
			}
			if got, err := client.Verify(ctx, s.payment, s.r); err == nil || got.IsValid {
				t.Errorf("verify: %+v, %v", got, err)
			} else {
				fmt.Fprintln(rec, err)
			}
			got, err := client.Settle(ctx, s.payment, s.r)
			fmt.Fprintln(rec, err)
			if err == nil || !cmp.Equal(got, x402.SettleResponse{}) || errors.Is(err, payments.ErrNotSettled) == c.sent {
				t.Errorf("settle: %+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), client.Host()) {
				t.Errorf("whose error is %q?", err)
			}
		})
	}
}

// freePort returns an address at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A caller who stops waiting leaves a settlement of which nobody knows.
func TestCallerStopsWaiting(t *testing.T) {
	s := testnet.sale(t, 2)
	arrived := make(chan struct{}, 2)
	leave := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "verify") { // half an answer
			_, _ = io.WriteString(w, `{"isValid":true`)
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-leave
	}))
	defer server.Close()
	defer close(leave)
	for op, ask := range map[string]func(context.Context, *facilitator.Client) error{
		"verify": func(ctx context.Context, c *facilitator.Client) error {
			v, err := c.Verify(ctx, s.payment, s.r)
			if v.IsValid {
				t.Error("valid")
			}
			return err
		},
		"settle": func(ctx context.Context, c *facilitator.Client) error {
			_, err := c.Settle(ctx, s.payment, s.r)
			return err
		},
	} {
		t.Run(op, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			go func() { <-arrived; stop() }()
			err := ask(ctx, connect(t, server.URL, newRecord(t)))
			if !errors.Is(err, context.Canceled) || errors.Is(err, payments.ErrNotSettled) {
				t.Errorf("%v", err)
			}
		})
	}
}

// What a facilitator is asked, by whom.
func TestRequests(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type"))
		if r.Method == http.MethodPost {
			request, err := x402.DecodeFacilitatorRequest(body)
			if err != nil || request.Payment.Payload.Authorization.Value != x402.NewUint256(price) {
				t.Errorf("%s: %v", body, err)
			}
		}
	}))
	defer server.Close()
	c := connect(t, server.URL, newRecord(t))
	for _, version := range []int{1, 2} {
		s := testnet.sale(t, version)
		_, _ = c.Supported(t.Context())
		_, _ = c.Verify(t.Context(), s.payment, s.r)
		_, _ = c.Settle(t.Context(), s.payment, s.r)
	}
	want := []string{
		"GET /p4th/supported Bearer " + token + " ",
		"POST /p4th/verify Bearer " + token + " application/json",
		"POST /p4th/settle Bearer " + token + " application/json",
	}
	if len(got) != 6 || strings.Join(got[:3], "\n") != strings.Join(want, "\n") || strings.Join(got[3:], "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
}

func TestURLs(t *testing.T) {
	for _, bad := range []string{"", "example.org", "ftp://example.org", "https://", "https://:443", "https://k3y@example.org",
		"https://u:k3y@example.org", "https://example.org/?k3y", "https://example.org/#k3y", "https://example.org/%k3y", "http://[::1"} {
		if _, err := facilitator.NewClient(bad, nil); err == nil || strings.Contains(err.Error(), "k3y") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c, err := facilitator.NewClient("https://example.org:8443/k3y/", nil)
	if err != nil || c.Host() != "example.org:8443" {
		t.Errorf("%v, %v", c, err)
	}
}
