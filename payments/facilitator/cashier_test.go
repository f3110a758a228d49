package facilitator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// A Cashier whose first facilitator fails or lies, in every way. Whatever it
// answers, in the end there is one seat for one payment, which another
// facilitator has settled if need be; and nobody was told anything untrue.
func TestCashierOverFaults(t *testing.T) {
	s := openShop(t)
	huge := strings.Repeat("a", 1<<20)
	receipt := func(success bool, reason string) string {
		return fmt.Sprintf(`{"success":%t,"errorReason":%q,"transaction":%q,"network":"eip155:84532"}`, success, reason, hash())
	}
	replaced := func(from, to string) fault {
		return edited(func(answer string) string { return strings.Replace(answer, from, to, 1) })
	}
	for name, c := range map[string]struct {
		op     string
		fault  fault
		answer string // to the call
		last   string
	}{
		"verify is dropped":                {"verify", drop, "settled", "settled"},
		"verify is dropped after":          {"verify", after(drop), "settled", "settled"},
		"verify is truncated":              {"verify", truncated, "settled", "settled"},
		"verify is redirected":             {"verify", redirected, "settled", "settled"},
		"verify answers 500":               {"verify", say(500, ""), "settled", "settled"},
		"verify answers 429":               {"verify", say(429, invalid), "settled", "settled"},
		"verify answers HTML":              {"verify", say(200, "<html>"), "settled", "settled"},
		"verify answers a lot":             {"verify", say(200, valid+huge), "settled", "settled"},
		"verify answers for somebody else": {"verify", replaced("0x", "0X1"), "settled", "settled"},
		"verify says no":                   {"verify", say(200, invalid), "refused", "refused"},
		"verify says yes, unasked":         {"verify", say(200, valid), "settled", "settled"},
		"verify is duplicated":             {"verify", twice, "settled", "settled"},

		"settle is dropped":                      {"settle", drop, "settling", "settled"},
		"settle is dropped after":                {"settle", after(drop), "settled", "settled"},
		"settle is truncated":                    {"settle", truncated, "settled", "settled"},
		"settle is redirected":                   {"settle", redirected, "settling", "settled"},
		"settle is redirected after":             {"settle", after(redirected), "settled", "settled"},
		"settle answers 500":                     {"settle", say(500, ""), "settling", "settled"},
		"settle answers 500 after":               {"settle", after(say(500, "")), "settled", "settled"},
		"settle answers 503 in words":            {"settle", say(503, receipt(false, "unexpected_settle_error")), "settling", "settled"},
		"settle answers 503 in words, after":     {"settle", after(say(503, receipt(false, "unexpected_settle_error"))), "settled", "settled"},
		"settle answers 429":                     {"settle", say(429, failed), "settling", "settled"},
		"settle answers HTML after":              {"settle", after(say(200, "<html>")), "settled", "settled"},
		"settle answers a lot after":             {"settle", after(say(200, huge)), "settled", "settled"},
		"settle claims failure":                  {"settle", say(200, failed), "failed", "failed"},
		"settle claims failure, 400":             {"settle", say(400, failed), "failed", "failed"},
		"settle claims failure after":            {"settle", after(say(200, failed)), "settled", "settled"},
		"settle claims failure after, 400":       {"settle", after(say(400, failed)), "settled", "settled"},
		"settle claims success":                  {"settle", say(200, receipt(true, "")), "settling", "settled"},
		"settle claims success in half a hash":   {"settle", replaced(`"transaction":"0x`, `"transaction":"0x0`), "settled", "settled"},
		"settle claims success elsewhere":        {"settle", replaced("eip155:84532", "eip155:8453"), "settled", "settled"},
		"settle claims success for another":      {"settle", replaced(`"payer":"0x`, `"payer":"0x1`), "settled", "settled"},
		"settle claims success of nothing":       {"settle", say(200, `{"success":true}`), "settling", "settled"},
		"settle is pending, and it is true":      {"settle", edited(pendingInstead), "settled", "settled"},
		"settle is pending, and it is not":       {"settle", say(200, receipt(false, "settlement_pending")), "settling", "settled"},
		"settle is pending nowhere":              {"settle", say(200, `{"success":false,"errorReason":"settlement_pending","transaction":""}`), "settling", "settled"},
		"settle is duplicated":                   {"settle", twice, "settled", "settled"},
		"settle is repeated after it was":        {"settle", after(replacedByNext), "settled", "settled"},
		"settle says no more than it must, 500s": {"settle", after(say(500, receipt(false, "settlement_pending"))), "settled", "settled"},
	} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprint(name, ", version ", version), func(t *testing.T) {
				first := s.stands[0]
				s.advance(time.Minute) // whatever failed before is tried again
				guest, event := testnet.payer(t, 2*price), s.event(t, 1)
				o, p := s.order(t, event, guest, version)
				first.fault(c.op, c.fault)
				got := s.call(t.Context(), t, o, p)
				first.fault(c.op, nil)
				// The chain may be slower than the next question to it.
				if got != c.answer && !(got == "settling" && c.answer == "settled") {
					t.Errorf("the answer is %s, want %s", got, c.answer)
				}
				s.settle(t)
				charged := testnet.balance(t, guest.Address()) != 2*price
				if charged != (c.last == "settled") {
					t.Errorf("charged: %t", charged)
				}
				if charged && testnet.balance(t, guest.Address()) != price {
					t.Error("charged more than once")
				}
				if seats := s.seats(t, event); seats == 1 != charged {
					t.Errorf("%d seats are taken; charged: %t", seats, charged)
				}
				if c.last != "refused" {
					if got := s.call(t.Context(), t, o, p); got != c.last {
						t.Errorf("at last it is %s, want %s", got, c.last)
					}
				}
			})
		}
	}
	s.agree(t)
}

// pendingInstead makes a settlement one that is on its way.
func pendingInstead(answer string) string {
	return strings.Replace(answer, `"success":true`, `"success":false,"errorReason":"settlement_pending"`, 1)
}

// replacedByNext is no answer at all.
func replacedByNext(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.WriteHeader(http.StatusNoContent)
}

// agree holds the books against the chain: the money that the Host has is what
// its books say, and nothing is pending.
func (s *shop) agree(tb testing.TB) (settled x402.Amount) {
	tb.Helper()
	revenue, err := s.host.Revenue(context.Background(), "")
	if err != nil {
		tb.Fatal(err)
	}
	if got := testnet.balance(tb, s.payTo); got != revenue.Settled || revenue.Pending+revenue.Owed != 0 {
		tb.Errorf("the Host has %s, its books say %+v", got, revenue)
	}
	return revenue.Settled
}

// Nobody can be asked, or the one who verified has gone: nothing is charged, no
// seat is held, and the same payment is good later.
func TestCashierWithoutFacilitators(t *testing.T) {
	for name, gone := range map[string]func(*testing.T, *shop){
		"before it is verified": func(t *testing.T, s *shop) {
			for _, stand := range s.stands {
				stand.web.Close()
			}
		},
		"before it is settled": func(t *testing.T, s *shop) {
			s.stands[1].web.Close()
			s.stands[0].fault("verify", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("Connection", "close")
				next.ServeHTTP(w, r)
				s.stands[0].web.Listener.Close()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			guest, event := testnet.payer(t, price), s.event(t, 1)
			o, p := s.order(t, event, guest, 2)
			gone(t, s)
			if got := s.call(t.Context(), t, o, p); got != "unavailable" {
				t.Errorf("the answer is %s", got)
			}
			if seats := s.seats(t, event); seats != 0 {
				t.Errorf("%d seats are taken", seats)
			}
			open, err := s.server.Claims().Open(t.Context())
			if err != nil || len(open) != 0 {
				t.Errorf("claims are open: %v, %v", open, err)
			}
			s.settle(t)
			if s.agree(t) != 0 {
				t.Error("something was sold")
			}
		})
	}
}

// A submission with an unknown end goes to the other facilitator only after the
// chain has been asked, and by way of the reconciler.
func TestCashierAsksTheChainFirst(t *testing.T) {
	s := openShop(t)
	guest, event := testnet.payer(t, price), s.event(t, 1)
	o, p := s.order(t, event, guest, 2)
	s.stands[0].fault("settle", drop)
	if got := s.call(t.Context(), t, o, p); got != "settling" {
		t.Fatalf("the answer is %s", got)
	}
	if asked := fmt.Sprint(s.stands[0].calls(), s.stands[1].calls()); asked != "[verify settle] []" {
		t.Errorf("asked: %s", asked)
	}
	s.settle(t)
	if asked := fmt.Sprint(s.stands[0].calls(), s.stands[1].calls()); asked != "[] [verify settle]" {
		t.Errorf("asked: %s", asked)
	}
	if got := s.call(t.Context(), t, o, p); got != "settled" || s.agree(t) != price {
		t.Errorf("at last it is %s", got)
	}
}

// More guests than seats, two facilitators of which every third answer goes
// wrong, and a reconciler at work.
func TestCashierInAStorm(t *testing.T) {
	const guests, seats, tries = 20, 8, 3
	s := openShop(t)
	event := s.event(t, seats)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	storm := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		faults := []fault{drop, after(drop), truncated, after(say(500, "")), after(say(200, failed)), twice}
		mu.Lock()
		n := random.IntN(3 * len(faults))
		mu.Unlock()
		if n < len(faults) {
			faults[n](w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
	var wg sync.WaitGroup
	var all [guests]*wallet.Local
	var told [guests]bool
	for i := range all {
		all[i] = testnet.payer(t, price)
	}
	for _, stand := range s.stands {
		stand.fault("verify", storm)
		stand.fault("settle", storm)
	}
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = s.Reconcile(context.Background())
				s.advance(time.Second)
			}
		}
	})
	var calls sync.WaitGroup
	for i, guest := range all {
		o, p := s.order(t, event, guest, 1+i%2)
		calls.Go(func() {
			for range tries {
				if s.call(t.Context(), t, o, p) == "settled" {
					told[i] = true
				}
			}
		})
	}
	calls.Wait()
	close(stop)
	wg.Wait()
	for _, stand := range s.stands {
		stand.fault("verify", nil)
		stand.fault("settle", nil)
	}
	s.settle(t)
	charged := 0
	for i, guest := range all {
		paid := testnet.balance(t, guest.Address()) == 0
		if told[i] && !paid {
			t.Errorf("guest %d was told that it is settled, and was not charged", i)
		}
		if paid {
			charged++
		}
	}
	if taken := s.seats(t, event); taken != charged || taken > seats || s.agree(t) != x402.Amount(charged)*price {
		t.Errorf("%d seats are taken, %d guests charged", taken, charged)
	}
}
