package guest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// polled is a Host that ends the stream of a paid call before its answer, which is to
// be fetched by GETs (revision 2025-11-25, SEP-1699); the last of gets has it.
type polled struct {
	puppet
	gets int

	mu      sync.Mutex
	fetched []call
	answer  string
}

func (p *polled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := readCall(body, r.Header)
	switch {
	case r.Method == http.MethodGet:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fetched = append(p.fetched, c)
		w.Header().Set("Content-Type", "text/event-stream")
		if len(p.fetched) == p.gets {
			fmt.Fprintf(w, "id: last\ndata: %s\n\n", p.answer)
			return
		}
		fmt.Fprintf(w, "id: %d\nretry: 1\ndata: \n\n", len(p.fetched))
	case c.paid():
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answer = p.message(c)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 0\nretry: 1\ndata: \n\n")
	case c.method == "server/discover": // it speaks an older revision
		http.Error(w, "no", http.StatusBadRequest)
	case c.id == nil:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, p.message(c))
	}
}

// The rest of an answer is fetched, without the payment, and not for ever.
func TestAnswerIsFetched(t *testing.T) {
	for name, test := range map[string]struct{ gets, sent, fetched int }{
		"at once":        {1, 1, 1},
		"a little later": {10, 1, 10},
		// Each of five tries is one request to pay and nineteen for the answer.
		"never": {-1, 5, 95},
	} {
		t.Run(name, func(t *testing.T) {
			payer := newCounter(t)
			p := &polled{puppet: puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })}, gets: test.gets}
			booked, err := dial(t, serve(t, p), config(t, payer)).Book(t.Context(), wish)
			if test.gets > 0 && (err != nil || booked.Paid != 50_000) {
				t.Errorf("%+v, %v", booked, err)
			}
			if test.gets < 0 && (err == nil || !strings.Contains(err.Error(), "too many times")) {
				t.Errorf("%v", err)
			}
			payer.must(t, 1)
			if n := len(p.paidCalls()); n != test.sent || len(p.fetched) != test.fetched {
				t.Errorf("sent %d times, fetched %d times", n, len(p.fetched))
			}
			for _, c := range p.fetched {
				if c.paid() || c.header.Get("Last-Event-ID") == "" {
					t.Errorf("fetched with %v", c.header)
				}
			}
		})
	}
}
