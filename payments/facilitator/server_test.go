package facilitator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/x402"
)

// between stands between a Server and what it works with. The zero value lets
// everything through.
type between struct {
	payments.Facilitator
	payments.Chain
	submitted atomic.Int32
	tx        atomic.Value // string: that was submitted last
	settle    func(s x402.SettleResponse, err error) (x402.SettleResponse, error)
	verify    func() error
	await     func(ctx context.Context) error
	head      func() error
}

func (b *between) Verify(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.VerifyResponse, error) {
	if b.verify != nil {
		if err := b.verify(); err != nil {
			return x402.VerifyResponse{}, err
		}
	}
	return b.Facilitator.Verify(ctx, p, r)
}

func (b *between) Settle(ctx context.Context, p x402.Payment, r x402.Requirements) (x402.SettleResponse, error) {
	b.submitted.Add(1)
	s, err := b.Facilitator.Settle(ctx, p, r)
	b.tx.Store(s.Transaction)
	if b.settle != nil {
		return b.settle(s, err)
	}
	return s, err
}

func (b *between) Head(ctx context.Context) (evm.Head, error) {
	if b.head != nil {
		if err := b.head(); err != nil {
			return evm.Head{}, err
		}
	}
	return b.Chain.Head(ctx)
}

func (b *between) Await(ctx context.Context, tx common.Hash, t evm.Transfer, since uint64) (evm.Outcome, error) {
	if b.await != nil {
		if err := b.await(ctx); err != nil {
			return evm.Outcome{}, err
		}
	}
	return b.Chain.Await(ctx, tx, t, since)
}

// served is a Server at an address.
type served struct {
	*facilitator.Server
	between *between
	url     string
	rec     *record
}

func serve(tb testing.TB, changes ...func(*facilitator.ServerConfig)) *served {
	tb.Helper()
	rec := newRecord(tb)
	log := rec.logger(tb)
	b := &between{Facilitator: testnet.local(log), Chain: testnet.client}
	c := facilitator.ServerConfig{Network: x402.BaseSepolia, Assets: []x402.Address{usdc()}, Signers: []x402.Address{testnet.gas.Address()},
		Facilitator: b, Chain: b, Log: log}
	for _, change := range changes {
		change(&c)
	}
	s := &served{Server: facilitator.NewServer(c), between: b, rec: rec}
	web := httptest.NewServer(s)
	s.url = web.URL
	tb.Cleanup(func() {
		web.Close()
		if n := s.Remembered(); n != 0 {
			tb.Errorf("%d settlements are remembered", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// client returns one of this project's.
func (s *served) client(tb testing.TB) *facilitator.Client {
	tb.Helper()
	c, err := facilitator.NewClient(s.url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// post makes a request as it is and returns the answer's status and members.
func (s *served) post(tb testing.TB, path, contentType string, body []byte) (int, map[string]any) {
	tb.Helper()
	resp, err := http.Post(s.url+path, contentType, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil {
		tb.Fatalf("%s: %v", resp.Status, err)
	}
	return resp.StatusCode, members
}

func body(tb testing.TB, s sale) []byte {
	tb.Helper()
	raw, err := json.Marshal(s.request())
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// The whole way, in both versions: supported, valid, settled in a transaction
// that moved the money, and used ever after.
func TestServer(t *testing.T) {
	s := serve(t)
	c := s.client(t)
	supported, err := c.Supported(t.Context())
	if err != nil || len(supported.Kinds) != 2 || !supported.Supports(1, x402.BaseSepolia) || !supported.Supports(2, x402.BaseSepolia) ||
		len(supported.Signers["eip155:*"]) != 1 || supported.Signers["eip155:*"][0] != testnet.gas.Address().String() {
		t.Errorf("%+v, %v", supported, err)
	}
	for _, version := range []int{1, 2} {
		sale := testnet.sale(t, version)
		s.rec.secret(signatureOf(sale.payment))
		from := sale.payment.Payload.Authorization.From.String()
		status, v := s.post(t, "/verify", "application/json", body(t, sale))
		if status != 200 || v["isValid"] != true || v["payer"] != from {
			t.Errorf("version %d: %d %v", version, status, v)
		}
		if sale.paid(t) {
			t.Fatal("paid by verifying it")
		}
		status, r := s.post(t, "/settle", "application/json; charset=utf-8", body(t, sale))
		if status != 200 || r["success"] != true || r["payer"] != from || r["network"] != x402.BaseSepolia.Name(version) || r["amount"] != "2500000" {
			t.Errorf("version %d: %d %v", version, status, r)
		}
		tx, err := x402.ParseBytes32(r["transaction"].(string))
		if err != nil {
			t.Fatal(err)
		}
		a := sale.payment.Payload.Authorization
		o, err := testnet.client.Await(t.Context(), common.Hash(tx), evm.Transfer{Token: usdc(), From: a.From, To: a.To, Value: a.Value, Nonce: a.Nonce}, 0)
		if err != nil || o.State != evm.Transferred || !sale.paid(t) {
			t.Errorf("version %d: %+v, %v; paid: %t", version, o, err, sale.paid(t))
		}
		if v, err := c.Verify(t.Context(), sale.payment, sale.r); err != nil || v.InvalidReason != x402.ReasonNonceUsed {
			t.Errorf("version %d, verified again: %+v, %v", version, v, err)
		}
		if r, err := c.Settle(t.Context(), sale.payment, sale.r); err != nil || r.ErrorReason != x402.ReasonNonceUsed {
			t.Errorf("version %d, settled again: %+v, %v", version, r, err)
		}
	}
	if n := s.between.submitted.Load(); n != 2 {
		t.Errorf("%d transactions for two payments", n)
	}
}

// Requests that are none. The answer has the form of x402, and says why.
func TestServerRefusesRequests(t *testing.T) {
	s := serve(t)
	sale := testnet.sale(t, 2)
	good := body(t, sale)
	other := sale
	other.r.Network, other.r.Asset = x402.Base, newWallet(t).Address()
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		status      int
		reason      x402.Reason
	}{
		"nothing":              {"application/json", nil, 400, x402.ReasonPayload},
		"text":                 {"text/plain", good, 415, x402.ReasonPayload}, // what a web page may send without asking
		"no type":              {"", good, 415, x402.ReasonPayload},
		"form":                 {"application/x-www-form-urlencoded", good, 415, x402.ReasonPayload},
		"half":                 {"application/json", good[:len(good)-1], 400, x402.ReasonPayload},
		"two":                  {"application/json", append(good[:len(good):len(good)], good...), 400, x402.ReasonPayload},
		"a lot":                {"application/json", append(good[:len(good):len(good)], bytes.Repeat([]byte(" "), x402.MaxFacilitatorRequest)...), 413, x402.ReasonPayload},
		"version 3":            {"application/json", bytes.Replace(good, []byte(`"x402Version":2`), []byte(`"x402Version":3`), 1), 400, x402.ReasonVersion},
		"scheme upto":          {"application/json", bytes.ReplaceAll(good, []byte(`"exact"`), []byte(`"upto"`)), 400, x402.ReasonScheme},
		"network solana":       {"application/json", bytes.ReplaceAll(good, []byte(`"eip155:84532"`), []byte(`"solana:1"`)), 400, x402.ReasonNetwork},
		"another network":      {"application/json", bytes.ReplaceAll(good, []byte(`"eip155:84532"`), []byte(`"eip155:8453"`)), 200, x402.ReasonNetwork},
		"another asset":        {"application/json", bytes.ReplaceAll(good, []byte(usdc().String()), []byte(other.r.Asset.String())), 200, x402.ReasonRequirements},
		"another requirement":  {"application/json", bytes.Replace(good, []byte(`"paymentRequirements":{"scheme":"exact","network":"eip155:84532","amount":"2500000"`), []byte(`"paymentRequirements":{"scheme":"exact","network":"eip155:84532","amount":"2500001"`), 1), 200, x402.ReasonValue},
		"a damaged signature":  {"application/json", bytes.Replace(good, []byte(signatureOf(sale.payment)[:8]), []byte("00000000"), 1), 200, x402.ReasonSignature},
		"another payment's id": {"application/json", bytes.Replace(good, []byte(sale.payment.Payload.Authorization.Nonce.String()), []byte(hash()), 1), 200, x402.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			status, v := s.post(t, "/verify", c.contentType, c.body)
			if status != c.status || v["isValid"] != false || v["invalidReason"] != string(c.reason) {
				t.Errorf("verify: %d %v", status, v)
			}
			status, r := s.post(t, "/settle", c.contentType, c.body)
			if status != c.status || r["success"] != false || r["errorReason"] != string(c.reason) || r["transaction"] != "" || r["network"] == nil {
				t.Errorf("settle: %d %v", status, r)
			}
		})
	}
	if n := s.between.submitted.Load(); n != 0 || sale.paid(t) {
		t.Errorf("%d transactions", n)
	}
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/verify", 405, "POST"}, {"GET", "/settle", 405, "POST"}, {"DELETE", "/settle", 405, "POST"},
		{"POST", "/supported", 405, "GET"}, {"GET", "/", 404, ""}, {"POST", "/settle/x", 404, ""},
		{"OPTIONS", "/settle", 405, "POST"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://example.org")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("Allow") != c.allow || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %s, %v", c.method, c.path, resp.Status, resp.Header)
		}
	}
}

// joining tells when a request begins to wait for its settlement: then it asks
// its context whether the client has gone.
type joining struct {
	context.Context
	joined func()
}

func (j joining) Done() <-chan struct{} {
	j.joined()
	return j.Context.Done()
}

// here asks the Server in this process, so that a call that has ended is known
// to have ended there, too.
func (s *served) here(tb testing.TB, joined func()) *facilitator.Client {
	tb.Helper()
	c := s.client(tb)
	c.SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(joining{r.Context(), joined}))
		return w.Result(), nil
	}))
	return c
}

// All who ask at a time to settle a payment have it submitted once, and are told
// the same.
func TestServerSettlesOnce(t *testing.T) {
	s := serve(t)
	const askers = 20
	all := make(chan struct{})
	s.between.await = func(ctx context.Context) error {
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	sale := testnet.sale(t, 2)
	var wg sync.WaitGroup
	var waiting atomic.Int32
	answers := make([]x402.SettleResponse, askers)
	for i := range askers {
		c := s.here(t, func() {
			if waiting.Add(1) == askers {
				close(all)
			}
		})
		wg.Go(func() { answers[i], _ = c.Settle(t.Context(), sale.payment, sale.r) })
	}
	wg.Wait()
	for i, a := range answers {
		if !cmp.Equal(a, answers[0]) || !a.Success {
			t.Errorf("%d: %+v, and the first %+v", i, a, answers[0])
		}
	}
	if n := s.between.submitted.Load(); n != 1 || !sale.paid(t) {
		t.Errorf("%d transactions", n)
	}
}

// A chain that takes long: the answer is the transaction, still pending, and who
// asks again is told the end.
func TestServerIsPatientForAWhile(t *testing.T) {
	s := serve(t, func(c *facilitator.ServerConfig) { c.Patience = time.Millisecond })
	mine := make(chan struct{})
	s.between.await = func(ctx context.Context) error {
		select {
		case <-mine:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	sale := testnet.sale(t, 1)
	c := s.client(t)
	first := settleUntil(t, c, sale, func(r x402.SettleResponse, err error) bool {
		return r.ErrorReason == x402.ReasonSettlementPending // before that it was not submitted
	})
	close(mine)
	last := settleUntil(t, c, sale, func(r x402.SettleResponse, err error) bool { return r.Success })
	if last.Transaction != first.Transaction {
		t.Errorf("%s, then %s", first.Transaction, last.Transaction)
	}
	if n := s.between.submitted.Load(); n != 1 || !sale.paid(t) {
		t.Errorf("%d transactions", n)
	}
}

func settleUntil(t *testing.T, c *facilitator.Client, sale sale, ok func(x402.SettleResponse, error) bool) x402.SettleResponse {
	t.Helper()
	for t.Context().Err() == nil {
		if r, err := c.Settle(t.Context(), sale.payment, sale.r); ok(r, err) {
			return r
		}
	}
	t.Fatal("it never came")
	return x402.SettleResponse{}
}

// Who hangs up and asks again is told the end that nobody has heard.
func TestServerCallerHangsUp(t *testing.T) {
	s := serve(t)
	sale := testnet.sale(t, 2)
	submitted, mine := make(chan struct{}), make(chan struct{})
	s.between.await = func(context.Context) error {
		close(submitted)
		<-mine
		return nil
	}
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	c := s.here(t, func() {})
	go func() {
		defer close(gone)
		_, _ = c.Settle(ctx, sale.payment, sale.r)
	}()
	<-submitted
	hangUp()
	<-gone
	s.between.await = nil
	close(mine)
	if r, err := s.client(t).Settle(t.Context(), sale.payment, sale.r); err != nil || !r.Success {
		t.Errorf("%+v, %v", r, err)
	}
	if n := s.between.submitted.Load(); n != 1 || !sale.paid(t) {
		t.Errorf("%d transactions", n)
	}
}

// Nothing is kept of a request that came to nothing and whose caller is gone.
func TestServerForgets(t *testing.T) {
	s := serve(t)
	asked, refuse := make(chan struct{}), make(chan struct{})
	s.between.verify = func() error {
		close(asked)
		<-refuse
		return errors.New("out of reach")
	}
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	sale, c := testnet.sale(t, 2), s.here(t, func() {})
	go func() {
		defer close(gone)
		_, _ = c.Settle(ctx, sale.payment, sale.r)
	}()
	<-asked
	hangUp()
	<-gone
	close(refuse)
	if err := s.Close(t.Context()); err != nil || s.Remembered() != 0 {
		t.Errorf("%v, %d settlements are remembered", err, s.Remembered())
	}
}

// What goes wrong behind a Server is never told as the payment's fault.
func TestServerFaults(t *testing.T) {
	outage := errors.New("out of reach")
	for name, c := range map[string]struct {
		between func(*between)
		status  int
		reason  x402.Reason
		paid    bool
	}{
		"verify": {func(b *between) { b.verify = func() error { return outage } }, 500, x402.ReasonUnexpectedSettle, false},
		"head":   {func(b *between) { b.head = func() error { return outage } }, 500, x402.ReasonUnexpectedSettle, false},
		"submit": {func(b *between) {
			b.settle = func(x402.SettleResponse, error) (x402.SettleResponse, error) { return x402.SettleResponse{}, outage }
		}, 500, x402.ReasonUnexpectedSettle, true},
		"submitted where?": {func(b *between) {
			b.settle = func(s x402.SettleResponse, err error) (x402.SettleResponse, error) { s.Transaction = ""; return s, err }
		}, 500, x402.ReasonUnexpectedSettle, true},
		"panic": {func(b *between) {
			b.settle = func(x402.SettleResponse, error) (x402.SettleResponse, error) { panic("at the disco") }
		}, 500, x402.ReasonUnexpectedSettle, true},
		"a refusal of its own": {func(b *between) {
			b.settle = func(x402.SettleResponse, error) (x402.SettleResponse, error) {
				return x402.SettleResponse{ErrorReason: "sanctioned"}, nil
			}
		}, 200, "sanctioned", true},
		"a node that fails for long": {func(b *between) { b.await = failing(1, outage) }, 200, x402.ReasonSettlementPending, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			c.between(s.between)
			sale := testnet.sale(t, 2)
			s.rec.secret(signatureOf(sale.payment))
			status, r := s.post(t, "/settle", "application/json", body(t, sale))
			reason, _ := r["errorReason"].(string)
			if status != c.status || reason != string(c.reason) || r["success"] != (c.reason == "") {
				t.Errorf("%d %v", status, r)
			}
			if tx, _ := s.between.tx.Load().(string); tx != "" {
				if _, err := testnet.client.Await(t.Context(), common.HexToHash(tx), evm.Transfer{Token: usdc()}, 0); err != nil {
					t.Fatal(err)
				}
			}
			if sale.paid(t) != c.paid {
				t.Errorf("paid: %t", !c.paid)
			}
			if name == "verify" {
				if status, v := s.post(t, "/verify", "application/json", body(t, sale)); status != 500 || v["isValid"] != false || v["invalidReason"] != string(x402.ReasonUnexpectedVerify) {
					t.Errorf("%d %v", status, v)
				}
			}
		})
	}
}

// failing fails n times.
func failing(n int32, err error) func(context.Context) error {
	var left atomic.Int32
	left.Store(n)
	return func(context.Context) error {
		if left.Add(-1) >= 0 {
			return err
		}
		return nil
	}
}

// Transactions that revert, because somebody was faster.
func TestServerReverts(t *testing.T) {
	for name, c := range map[string]struct {
		rival  func(sale) sale // what is settled between verification and transaction
		reason x402.Reason     // empty: it counts as settled
	}{
		"exactly this transfer was made": {func(s sale) sale { return s }, ""},
		"the money has gone elsewhere": {func(s sale) sale {
			s.r = requirements(newWallet(t).Address())
			s.payment = pays(t, s.from, 2, s.r)
			return s
		}, x402.ReasonTransactionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := serve(t), serve(t)
			mine := testnet.sale(t, 2)
			theirs := c.rival(mine)
			s.between.head = func() error {
				if r, err := other.client(t).Settle(t.Context(), theirs.payment, theirs.r); err != nil || !r.Success {
					t.Errorf("%+v, %v", r, err)
				}
				return nil
			}
			r, err := s.client(t).Settle(t.Context(), mine.payment, mine.r)
			if err != nil || r.Success != (c.reason == "") || r.ErrorReason != c.reason || mine.paid(t) != r.Success {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A client may ask so often, and no oftener; others are not touched by it.
func TestServerLimits(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	s := serve(t, func(c *facilitator.ServerConfig) {
		c.Rate = 2
		c.Now = func() time.Time { return now }
	})
	ask := func(from, method, path string) *http.Response {
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		r.RemoteAddr = from
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Result()
	}
	for i := range 6 {
		want := 200
		if i >= 4 {
			want = 429
		}
		if resp := ask("192.0.2.1:"+fmt.Sprint(1000+i), "GET", "/supported"); resp.StatusCode != want {
			t.Errorf("request %d: %s", i, resp.Status)
		}
	}
	for path, word := range map[string]string{"/verify": `"invalidReason":"over_limit"`, "/settle": `"errorReason":"over_limit"`} {
		resp := ask("192.0.2.1:1", "POST", path)
		raw, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(string(raw), word) {
			t.Errorf("%s: %s %s", path, resp.Status, raw)
		}
	}
	if resp := ask("192.0.2.2:1", "GET", "/supported"); resp.StatusCode != 200 {
		t.Errorf("another client: %s", resp.Status)
	}
	for i := range 5 { // one customer's network
		want := map[bool]int{true: 200, false: 429}[i < 4]
		if resp := ask(fmt.Sprintf("[2001:db8::%d]:1", i), "GET", "/supported"); resp.StatusCode != want {
			t.Errorf("IPv6 %d: %s", i, resp.Status)
		}
	}
	now = now.Add(time.Second)
	if resp := ask("192.0.2.1:1", "GET", "/supported"); resp.StatusCode != 200 {
		t.Errorf("a second later: %s", resp.Status)
	}
}

// Stopping ends the waits, not the payments; after it nothing is begun.
func TestServerStops(t *testing.T) {
	s := serve(t)
	waiting := make(chan struct{})
	s.between.await = func(ctx context.Context) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}
	sale := testnet.sale(t, 2)
	answer := make(chan x402.SettleResponse)
	go func() {
		r, _ := s.client(t).Settle(t.Context(), sale.payment, sale.r)
		answer <- r
	}()
	<-waiting
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-answer; r.ErrorReason != x402.ReasonSettlementPending || r.Transaction == "" {
		t.Errorf("%+v", r)
	}
	status, r := s.post(t, "/settle", "application/json", body(t, testnet.sale(t, 2)))
	if status != 503 || r["errorReason"] != string(x402.ReasonUnexpectedSettle) {
		t.Errorf("%d %v", status, r)
	}
	if n := s.between.submitted.Load(); n != 1 {
		t.Errorf("%d transactions", n)
	}
}
