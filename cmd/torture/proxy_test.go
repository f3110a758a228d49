package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/events-concierge/concierge/payments/x402"
)

// Each fault does what its name says: how often a settlement arrives, and what
// the server is told.
func TestFaults(t *testing.T) {
	const truth = `{"success":true,"transaction":"0x0000000000000000000000000000000000000000000000000000000000000001","network":"eip155:84532"}`
	for _, test := range []struct {
		fault    fault
		arrivals int64
		status   int // 0: no answer, or half of one
		says     string
		excused  bool // the money may move after the server was told that it did not
	}{
		{none, 1, 200, truth, false},
		{slow, 1, 200, truth, false},
		{stalled, 1, 200, truth, false},
		{doubled, 2, 200, truth, false},
		{dropped, 0, 0, "", false},
		{lost, 1, 0, "", false},
		{truncated, 1, 0, "", false},
		{refused, 0, 500, "", false},
		{failed, 1, 500, "", false},
		{denied, 1, 200, `"success":false`, false},
		{deferred, 1, 200, `"success":false`, true},
		{unsure, 1, 200, `settlement_pending`, false},
		{claimed, 0, 200, `"success":true`, false},
	} {
		name := string(test.fault)
		if name == "" {
			name = "none"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var arrived atomic.Int64
				p := &proxy{target: "http://target.invalid", stall: deferredFor, excuses: &excuses{all: map[authorization]bool{}}, tally: newTally(), random: (&world{}).chance(1), life: t.Context()}
				p.client.Transport = inProcess{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					arrived.Add(1)
					_, _ = io.WriteString(w, truth)
				})}
				payment := x402.Payment{Version: 2, Network: x402.BaseSepolia}
				m := message{method: http.MethodPost, path: "/settle", payment: &payment}
				resp, err := inProcess{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					p.serve(w, m, test.fault)
				})}.RoundTrip(httptest.NewRequest(http.MethodPost, "/settle", nil).WithContext(t.Context()))
				p.work.Wait()
				if got := arrived.Load(); got != test.arrivals {
					t.Errorf("it arrived %d times, want %d", got, test.arrivals)
				}
				if (err != nil) != (test.status == 0) {
					t.Fatalf("answered: %v, want status %d", err, test.status)
				}
				if err == nil {
					body, _ := io.ReadAll(resp.Body)
					if resp.StatusCode != test.status || !strings.Contains(string(body), test.says) {
						t.Errorf("status %d: %s", resp.StatusCode, body)
					}
				}
				if excused := len(p.excuses.all) == 1; excused != test.excused {
					t.Errorf("excused: %t", excused)
				}
			})
		})
	}
}

// inProcess answers requests with a handler. An answer that is shorter than it
// was to be is an error, as a client would find.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if e := recover(); e == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if e != nil {
			panic(e)
		}
	}()
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}
