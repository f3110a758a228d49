package facilitator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/payments/x402"
)

const (
	both    = `{"kinds":[{"x402Version":2,"scheme":"exact","network":"eip155:84532"},{"x402Version":1,"scheme":"exact","network":"base-sepolia"}]}`
	second  = `{"kinds":[{"x402Version":2,"scheme":"exact","network":"eip155:84532"}]}`
	foreign = `{"kinds":[{"x402Version":2,"scheme":"exact","network":"eip155:8453"},{"x402Version":2,"scheme":"upto","network":"eip155:84532"}]}`
	valid   = `{"isValid":true}`
	invalid = `{"isValid":false,"invalidReason":"insufficient_funds"}`
	failed  = `{"success":false,"errorReason":"insufficient_funds","transaction":"","network":""}`
)

func pendingAnswer(version int) string {
	return fmt.Sprintf(`{"success":false,"errorReason":"settlement_pending","transaction":%q,"network":%q}`, hash(), x402.BaseSepolia.Name(version))
}

// troupe is some facilitators that say what they are told to, and what they
// were asked.
type troupe struct {
	mu    sync.Mutex
	lines []map[string]string // by actor and operation; "" drops the connection
	heard []string            // such as "0 verify"
	clock time.Time
	urls  []string
}

func newTroupe(tb testing.TB, lines ...map[string]string) *troupe {
	tr := &troupe{lines: lines, clock: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	for i := range lines {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, op, _ := strings.Cut(r.URL.Path, "/p4th/")
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if op != "supported" {
				tr.heard = append(tr.heard, fmt.Sprint(i, " ", op))
			}
			if tr.lines[i][op] == "" {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, tr.lines[i][op])
		}))
		tb.Cleanup(s.Close)
		tr.urls = append(tr.urls, s.URL)
	}
	return tr
}

// says changes a line.
func (tr *troupe) says(i int, op, line string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines[i][op] = line
}

// asked returns who was asked since it was called last.
func (tr *troupe) asked() (heard []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	heard, tr.heard = tr.heard, nil
	return heard
}

func (tr *troupe) now() time.Time {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.clock
}

func (tr *troupe) advance(by time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.clock = tr.clock.Add(by)
}

func (tr *troupe) pool(t *testing.T, rec *record) *facilitator.Pool {
	t.Helper()
	var clients []*facilitator.Client
	for _, url := range tr.urls {
		clients = append(clients, connect(t, url, rec))
	}
	return facilitator.NewPool(x402.BaseSepolia, clients, tr.now, rec.logger(t))
}

func actor(supported, verify, settle string) map[string]string {
	return map[string]string{"supported": supported, "verify": verify, "settle": settle}
}

func (tr *troupe) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, tr.asked()); diff != "" {
		t.Errorf("who was asked:\n%s", diff)
	}
}

// Who is asked, about what, in which order.
func TestPoolOrder(t *testing.T) {
	pending := pendingAnswer(2)
	for name, c := range map[string]struct {
		actors  []map[string]string
		version int
		verify  string // valid, invalid or error
		settle  string // pending, failed, unknown or not submitted
		asked   []string
	}{
		"the first": {[]map[string]string{actor(both, valid, pending), actor(both, valid, pending)}, 2,
			"valid", "pending", []string{"0 verify", "0 settle"}},
		"the first that settles on the network": {[]map[string]string{actor(foreign, valid, pending), actor(both, valid, pending)}, 2,
			"valid", "pending", []string{"1 verify", "1 settle"}},
		"the first that knows the version": {[]map[string]string{actor(second, valid, pending), actor(both, valid, pendingAnswer(1))}, 1,
			"valid", "pending", []string{"1 verify", "1 settle"}},
		"the first that can be reached": {[]map[string]string{actor("", valid, pending), actor(both, valid, pending)}, 2,
			"valid", "pending", []string{"1 verify", "1 settle"}},
		"invalid is an answer": {[]map[string]string{actor(both, invalid, failed), actor(both, valid, pending)}, 2,
			"invalid", "failed", []string{"0 verify", "0 settle"}},
		"the second verifies, and settles": {[]map[string]string{actor(both, "", pending), actor(both, valid, pending)}, 2,
			"valid", "pending", []string{"0 verify", "1 verify", "1 settle"}},
		"nobody can verify": {[]map[string]string{actor(both, "<html>", pending), actor(both, "", pending)}, 2,
			"error", "pending", []string{"0 verify", "1 verify", "0 settle"}},
		"an unknown end is not for the next": {[]map[string]string{actor(both, valid, ""), actor(both, valid, pending)}, 2,
			"valid", "unknown", []string{"0 verify", "0 settle"}},
		"nor is nonsense": {[]map[string]string{actor(both, valid, valid), actor(both, valid, pending)}, 2,
			"valid", "unknown", []string{"0 verify", "0 settle"}},
		"nobody": {[]map[string]string{actor(foreign, valid, pending), actor("", valid, pending)}, 2,
			"error", "not submitted", nil},
		"nobody for the version": {[]map[string]string{actor(second, valid, pending)}, 1,
			"error", "not submitted", nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr, rec := newTroupe(t, c.actors...), newRecord(t)
			pool := tr.pool(t, rec)
			fmt.Fprintln(rec, pool.Refresh(t.Context()))
			s := testnet.sale(t, c.version)
			rec.secret(signatureOf(s.payment))
			v, err := pool.Verify(t.Context(), s.payment, s.r)
			fmt.Fprintln(rec, err)
			if got := map[bool]string{true: "valid", false: "invalid"}[v.IsValid]; err != nil && c.verify != "error" || err == nil && got != c.verify {
				t.Errorf("verify: %+v, %v; want %s", v, err, c.verify)
			}
			r, err := pool.Settle(t.Context(), s.payment, s.r)
			fmt.Fprintln(rec, err)
			got := "failed"
			switch {
			case errors.Is(err, payments.ErrNotSettled):
				got = "not submitted"
			case err != nil:
				got = "unknown"
			case r.ErrorReason == x402.ReasonSettlementPending:
				got = "pending"
			}
			if got != c.settle {
				t.Errorf("settle: %s, %+v, %v; want %s", got, r, err, c.settle)
			}
			if c.asked == nil && !errors.Is(err, facilitator.ErrUnsupported) {
				t.Errorf("nobody was to be asked: %v", err)
			}
			tr.wantAsked(t, c.asked...)
		})
	}
}

// Only when a facilitator has certainly not got the payment the next gets it.
func TestPoolSettlesElsewhere(t *testing.T) {
	tr, rec := newTroupe(t, actor(both, valid, ""), actor(both, valid, pendingAnswer(2))), newRecord(t)
	var clients []*facilitator.Client
	for _, url := range append([]string{"http://" + freePort(t)}, tr.urls...) {
		clients = append(clients, connect(t, url, rec))
	}
	// It says what it supports, and then is gone.
	pool := facilitator.NewPool(x402.BaseSepolia, clients, tr.now, rec.logger(t))
	clients[0].SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(both))}, nil
	}))
	if err := pool.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	clients[0].SetTransport(http.DefaultTransport)
	s := testnet.sale(t, 2)
	if r, err := pool.Settle(t.Context(), s.payment, s.r); err == nil || errors.Is(err, payments.ErrNotSettled) {
		t.Errorf("%+v, %v", r, err)
	}
	tr.wantAsked(t, "0 settle")
	if r, err := pool.Settle(t.Context(), s.payment, s.r); err != nil || r.Transaction != hash() {
		t.Errorf("%+v, %v", r, err)
	}
	tr.wantAsked(t, "1 settle")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A payment that came to nothing with one facilitator is verified and submitted
// by another; the first one has its turn again with other payments, soon.
func TestPoolTriesAnother(t *testing.T) {
	for name, answer := range map[string]string{
		"no answer":         "",
		"pending for ever":  pendingAnswer(2),
		"settled, it says":  strings.NewReplacer("false", "true", "settlement_pending", "").Replace(pendingAnswer(2)),
		"failed for others": failed,
	} {
		t.Run(name, func(t *testing.T) {
			tr, rec := newTroupe(t, actor(both, valid, answer), actor(both, valid, pendingAnswer(2))), newRecord(t)
			pool := tr.pool(t, rec)
			if err := pool.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			sell := func(s sale, want ...string) {
				t.Helper()
				_, _ = pool.Verify(t.Context(), s.payment, s.r)
				_, _ = pool.Settle(t.Context(), s.payment, s.r)
				tr.wantAsked(t, want...)
			}
			s := testnet.sale(t, 2)
			sell(s, "0 verify", "0 settle")
			tr.advance(2 * time.Minute) // by then it would be submitted again
			sell(s, "1 verify", "1 settle")
			sell(s, "0 verify", "0 settle") // both have tried
			tr.advance(2 * time.Minute)
			sell(testnet.sale(t, 2), "0 verify", "0 settle")
		})
	}
}

// One that fails is asked after the others, for a while; it is better than none.
func TestPoolPutsOff(t *testing.T) {
	tr, rec := newTroupe(t, actor(both, "", pendingAnswer(2)), actor(both, valid, pendingAnswer(2))), newRecord(t)
	pool := tr.pool(t, rec)
	if err := pool.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	sell := func(want ...string) {
		t.Helper()
		s := testnet.sale(t, 2)
		_, _ = pool.Verify(t.Context(), s.payment, s.r)
		_, _ = pool.Settle(t.Context(), s.payment, s.r)
		tr.wantAsked(t, want...)
	}
	sell("0 verify", "1 verify", "1 settle")
	sell("1 verify", "1 settle")
	tr.says(0, "verify", valid)
	tr.says(1, "verify", "")
	sell("1 verify", "0 verify", "0 settle") // both are failing
	tr.advance(time.Minute)
	sell("0 verify", "0 settle")
}

func TestPoolReadiness(t *testing.T) {
	tr, rec := newTroupe(t, actor("", valid, ""), actor(foreign, valid, "")), newRecord(t)
	pool := tr.pool(t, rec)
	ready := func(refresh, ready error) {
		t.Helper()
		err := pool.Refresh(t.Context())
		fmt.Fprintln(rec, err)
		if (err == nil) != (refresh == nil) || refresh != nil && errors.Is(err, facilitator.ErrUnsupported) != errors.Is(refresh, facilitator.ErrUnsupported) {
			t.Errorf("refresh: %v, want %v", err, refresh)
		}
		if err := pool.Ready(); !errors.Is(err, ready) {
			t.Errorf("ready: %v, want %v", err, ready)
		}
	}
	unreachable := errors.New("out of reach")
	if err := pool.Ready(); !errors.Is(err, facilitator.ErrUnsupported) {
		t.Errorf("at first: %v", err)
	}
	ready(unreachable, facilitator.ErrUnsupported)
	tr.says(0, "supported", foreign)
	ready(facilitator.ErrUnsupported, facilitator.ErrUnsupported)
	tr.says(0, "supported", both)
	ready(nil, nil)
	tr.says(1, "supported", "{}")
	ready(unreachable, nil)
	tr.says(0, "supported", "")
	ready(unreachable, facilitator.ErrUnsupported)
	// What it last said is still believed when there is something to settle.
	s := testnet.sale(t, 2)
	if v, err := pool.Verify(t.Context(), s.payment, s.r); err != nil || !v.IsValid {
		t.Errorf("%+v, %v", v, err)
	}
}

// slow is a way to a facilitator that takes requests and never answers them.
type slow struct {
	mu    sync.Mutex
	start time.Time
	log   []string
	who   string
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "supported") {
		s.mu.Lock()
		s.log = append(s.log, fmt.Sprint(s.who, " ", time.Since(s.start)))
		s.mu.Unlock()
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(both))}, nil
	}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func slowPool(t *testing.T, n int) (*facilitator.Pool, []*slow) {
	t.Helper()
	var clients []*facilitator.Client
	var ways []*slow
	for i := range n {
		c, err := facilitator.NewClient(fmt.Sprintf("https://%d.example.org", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		ways = append(ways, &slow{start: time.Now(), who: fmt.Sprint(i)})
		c.SetTransport(ways[i])
		clients = append(clients, c)
	}
	return facilitator.NewPool(x402.BaseSepolia, clients, time.Now, newRecord(t).logger(t)), ways
}

// However many do not answer, a call has an end: the Cashier waits for 10 s
// until a payment is verified, and for 90 s until it is settled.
func TestPoolTakesItsTime(t *testing.T) {
	s := testnet.sale(t, 2)
	synctest.Test(t, func(t *testing.T) {
		pool, _ := slowPool(t, 4)
		if err := pool.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := pool.Verify(t.Context(), s.payment, s.r)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 9*time.Second {
			t.Errorf("verify: after %s %v", took, err)
		}
		for i := range 4 {
			if !strings.Contains(err.Error(), fmt.Sprintf("%d.example.org", i)) {
				t.Errorf("number %d was not asked: %v", i, err)
			}
		}
		start = time.Now()
		_, err = pool.Settle(t.Context(), s.payment, s.r)
		if took := time.Since(start); err == nil || errors.Is(err, payments.ErrNotSettled) || took > 60*time.Second {
			t.Errorf("settle: after %s %v", took, err)
		}
	})
}

// A caller who leaves is no failure of a facilitator's.
func TestPoolCallerLeaves(t *testing.T) {
	s := testnet.sale(t, 2)
	synctest.Test(t, func(t *testing.T) {
		pool, _ := slowPool(t, 2)
		if err := pool.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, leave := context.WithCancel(t.Context())
			go func() { time.Sleep(time.Second); leave() }()
			_, err := pool.Verify(ctx, s.payment, s.r)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "0.example.org") || strings.Contains(err.Error(), "1.example.org") {
				t.Errorf("%v", err)
			}
		}
	})
}

// What is supported is asked again every minute, and sooner where it is not
// known.
func TestPoolRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, ways := slowPool(t, 1)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); pool.Run(ctx) }()
		time.Sleep(140 * time.Second)
		stop()
		<-done
		if want := []string{"0 15s", "0 1m15s", "0 2m15s"}; !slices.Equal(ways[0].log, want) {
			t.Errorf("%v, want %v", ways[0].log, want)
		}
	})
}

// Another credential is shown from the next request on, to the same facilitator only.
func TestPoolAdopts(t *testing.T) {
	rec := newRecord(t)
	shown := make(chan string, 10)
	with := func(address, token string) []*facilitator.Client {
		t.Helper()
		var credential facilitator.Credential
		if token != "" {
			rec.secret(token)
			var err error
			if credential, err = facilitator.NewBearer("x402.example.org", token); err != nil {
				t.Fatal(err)
			}
		}
		c, err := facilitator.NewClient(address, credential)
		if err != nil {
			t.Fatal(err)
		}
		c.SetTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			shown <- r.Header.Get("Authorization")
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(both))}, nil
		}))
		return []*facilitator.Client{c}
	}
	const address = "https://x402.example.org/facilitator"
	pool := facilitator.NewPool(x402.BaseSepolia, with(address, "the-first-token"), time.Now, rec.logger(t))
	for _, c := range []struct {
		clients []*facilitator.Client
		shown   string // "refused": they are not taken
	}{
		{with(address, "the-next-token"), "Bearer the-next-token"},
		{with("https://x402.example.org/other", "another-token"), "refused"},
		{append(with(address, "another-token"), with(address, "another-token")...), "refused"},
		{nil, "refused"},
		{with(address, ""), ""},
	} {
		if err := pool.Adopt(c.clients); (err != nil) != (c.shown == "refused") {
			t.Errorf("%q: %v", c.shown, err)
		} else if err != nil {
			continue
		}
		if err := pool.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-shown; got != c.shown {
			t.Errorf("shown %q, want %q", got, c.shown)
		}
	}
}
