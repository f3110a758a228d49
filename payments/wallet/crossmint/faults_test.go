package crossmint_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet/crossmint"
)

// first has the first n requests that match meet a fault, and lets the others by.
func first(n int32, method string, meet func(w http.ResponseWriter, r *http.Request, next http.Handler)) fault {
	return func(next http.Handler) http.Handler {
		var met atomic.Int32
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method && met.Add(1) <= n {
				meet(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func status(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { http.Error(w, "no", code) }
}

// lost does what was asked for, and hangs up.
func lost(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(discard{http.Header{}}, r)
	panic(http.ErrAbortHandler)
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// What passes is waited for, and has nothing done twice.
func TestFaultsThatPass(t *testing.T) {
	for name, between := range map[string]fault{
		"it fails at first":               first(3, "POST", status(http.StatusInternalServerError)),
		"it is busy":                      first(2, "POST", status(http.StatusTooManyRequests)),
		"a gateway fails":                 first(3, "GET", status(http.StatusBadGateway)),
		"the answer to a request is lost": first(3, "POST", lost),
		"the answer to a look is lost":    first(3, "GET", lost),
		"pending for long": edited(func() func(*http.Request, map[string]any) {
			looks := 0
			return func(r *http.Request, answer map[string]any) {
				if looks++; r.Method == "GET" && looks < 40 {
					answer["status"] = "pending"
				}
			}
		}()),
		"awaiting approval at first": edited(func(r *http.Request, answer map[string]any) {
			if r.Method == "POST" && answer["status"] == "pending" {
				answer["status"] = "awaiting-approval"
			}
		}),
		"the types of the domain are told": edited(func(_ *http.Request, answer map[string]any) {
			if p, ok := answer["params"].(map[string]any); ok {
				p["typedData"].(map[string]any)["types"].(map[string]any)["EIP712Domain"] = []any{}
			}
		}),
		"there is more than is known": edited(func(_ *http.Request, answer map[string]any) { answer["new"] = map[string]any{"a": 1} }),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, between)
			opened := w.mustOpen(t, "userId:alice")
			r, a := payment(t, opened.Address())
			s, err := opened.SignAuthorization(t.Context(), r, a)
			if err != nil {
				t.Fatal(err)
			}
			w.takes(t, r, a, s)
			ids := map[string]bool{}
			for _, look := range w.requests("GET", "") {
				ids[look.URL.Path] = true
			}
			if len(ids) != 1 {
				t.Errorf("%d signatures were made", len(ids))
			}
		})
	}
}

// tries of one request
const tries = 4

func TestFaultsThatStay(t *testing.T) {
	always := func(f func(http.ResponseWriter, *http.Request, http.Handler)) fault { return first(1<<30, "POST", f) }
	for name, test := range map[string]struct {
		between fault
		asked   int // how often
		says    string
	}{
		"it fails":        {always(status(http.StatusServiceUnavailable)), tries, "503"},
		"it is busy":      {always(status(http.StatusTooManyRequests)), tries, "429"},
		"it hangs up":     {always(lost), tries, "can't be reached"},
		"half an answer":  {always(half), tries, "half an answer"},
		"forbidden":       {always(status(http.StatusForbidden)), 1, "lacks a scope"},
		"not found":       {always(status(http.StatusNotFound)), 1, "no such wallet"},
		"a redirect":      {always(status(http.StatusTemporaryRedirect)), 1, "307"},
		"no JSON":         {always(says("<html>")), 1, "can't be read"},
		"nothing":         {always(says("")), 1, "can't be read"},
		"two answers":     {always(says("{}{}")), 1, "something behind it"},
		"a huge answer":   {always(says(`{"address":"` + strings.Repeat("0", 1<<20) + `"}`)), 1, "more than"},
		"no wallet":       {always(says(`{}`)), 1, "no smart wallet"},
		"a reason":        {always(refuses("The owner is blocked")), 1, "400: The owner is blocked"},
		"a private one":   {always(refuses("alice@example.org is blocked")), 1, "400"},
		"a long one":      {always(refuses(strings.Repeat("x", 201))), 1, "400"},
		"one with a key":  {always(refuses("no scope for " + key)), 1, "400"},
		"one that steers": {always(refuses("\x1b[2J")), 1, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.between)
			_, err := w.open(t, "userId:alice")
			if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, crossmint.ErrUnavailable) != (test.asked == tries) {
				t.Errorf("%v", err)
			}
			for _, private := range []string{"@", "5ecret", "\x1b", "xxx"} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("it has %q: %v", private, err)
				}
			}
			if asked := len(w.requests("POST", "")); asked != test.asked {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func half(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte(`{"chainType":"evm"`))
}

func says(text string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = w.Write([]byte(text)) }
}

func refuses(message string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":true,"message":"` + strings.ReplaceAll(message, "\x1b", `\u001b`) + `"}`))
	}
}

// A wallet that is not the owner's, or not one that can pay, is not taken for it.
func TestAnotherWallet(t *testing.T) {
	for name, edit := range map[string]func(map[string]any){
		"another owner's":     func(a map[string]any) { a["owner"] = "userId:mallory" },
		"of another chain":    func(a map[string]any) { a["chainType"] = "solana" },
		"of another kind":     func(a map[string]any) { a["type"] = "mpc" },
		"at no address":       func(a map[string]any) { delete(a, "address") },
		"at the zero address": func(a map[string]any) { a["address"] = "0x0000000000000000000000000000000000000000" },
		"at half an address":  func(a map[string]any) { a["address"] = "0x00" },
		"signed for by others": func(a map[string]any) {
			a["config"].(map[string]any)["adminSigner"].(map[string]any)["type"] = "passkey"
		},
		"signed for by nobody": func(a map[string]any) { delete(a, "config") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, edited(func(_ *http.Request, answer map[string]any) { edit(answer) }))
			if opened, err := w.open(t, "userId:alice"); err == nil {
				t.Errorf("%s", opened.Address())
			}
		})
	}
}

// A signature of something else than was asked for is none.
func TestAnotherSignature(t *testing.T) {
	message := func(name string, value any) func(map[string]any) {
		return func(a map[string]any) {
			a["params"].(map[string]any)["typedData"].(map[string]any)["message"].(map[string]any)[name] = value
		}
	}
	domain := func(name string, value any) func(map[string]any) {
		return func(a map[string]any) {
			a["params"].(map[string]any)["typedData"].(map[string]any)["domain"].(map[string]any)[name] = value
		}
	}
	field := func(name string, value any) func(map[string]any) { return func(a map[string]any) { a[name] = value } }
	for name, edit := range map[string]func(map[string]any){
		"to another payee":    message("to", key20("aa")),
		"from another wallet": message("from", key20("bb")),
		"of more":             message("value", "100001"),
		"of a rounded amount": message("value", 100000),
		"good for longer":     message("validBefore", "99999999999"),
		"with another nonce":  message("nonce", "0x"+strings.Repeat("00", 32)),
		"of another token":    domain("verifyingContract", key20("cc")),
		"on another chain":    domain("chainId", 8453),
		"for another chain":   func(a map[string]any) { a["params"].(map[string]any)["chain"] = "base" },
		"of another type": func(a map[string]any) {
			a["params"].(map[string]any)["typedData"].(map[string]any)["primaryType"] = "Permit"
		},
		"of nothing":      func(a map[string]any) { delete(a, "params") },
		"of a message":    field("type", "message"),
		"another one":     field("id", "another"),
		"failed":          func(a map[string]any) { a["status"] = "failed"; a["error"] = map[string]any{"message": "no"} },
		"of no status":    func(a map[string]any) { delete(a, "status") },
		"that is missing": func(a map[string]any) { a["status"] = "success"; delete(a, "outputSignature") },
		"that is empty":   func(a map[string]any) { a["status"] = "success"; a["outputSignature"] = "0x" },
		"that is no hex":  func(a map[string]any) { a["status"] = "success"; a["outputSignature"] = "0xzz" },
		"that is longer than 8": func(a map[string]any) {
			a["status"] = "success"
			a["outputSignature"] = "0x" + strings.Repeat("00", 8<<10+1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, edited(func(r *http.Request, answer map[string]any) {
				if r.Method == "GET" {
					edit(answer)
				}
			}))
			opened := w.mustOpen(t, "userId:alice")
			r, a := payment(t, opened.Address())
			if s, err := opened.SignAuthorization(t.Context(), r, a); err == nil || s != nil || errors.Is(err, crossmint.ErrUnavailable) {
				t.Errorf("%x, %v", s, err)
			}
		})
	}
}

func key20(digits string) string { return "0x" + strings.Repeat(digits, 20) }

// An id must not lead to another path.
func TestIDs(t *testing.T) {
	for _, id := range []any{"", "..", "a/b", "a?b", "ä", strings.Repeat("a", 101), 7, nil} {
		w := newWorld(t, edited(func(r *http.Request, answer map[string]any) {
			if strings.HasSuffix(r.URL.Path, "/signatures") {
				answer["id"] = id
			}
		}))
		opened := w.mustOpen(t, "userId:alice")
		r, a := payment(t, opened.Address())
		if s, err := opened.SignAuthorization(t.Context(), r, a); err == nil || len(w.requests("GET", "")) > 0 {
			t.Errorf("%v: %x, %v", id, s, err)
		}
	}
}

// Patience has an end, and what is said then is what it waited for.
func TestPatience(t *testing.T) {
	for _, forever := range []string{"pending", "awaiting-approval"} {
		w := newWorld(t, edited(func(r *http.Request, answer map[string]any) {
			if r.Method == "GET" {
				answer["status"] = forever
			}
		}))
		pauses := 0
		w.config.Pause = func(context.Context, time.Duration) error {
			if pauses++; pauses > 10 {
				return context.DeadlineExceeded
			}
			return nil
		}
		opened := w.mustOpen(t, "userId:alice")
		r, a := payment(t, opened.Address())
		s, err := opened.SignAuthorization(t.Context(), r, a)
		if s != nil || !errors.Is(err, crossmint.ErrUnavailable) || !strings.Contains(err.Error(), forever) {
			t.Errorf("%x, %v", s, err)
		}
	}
}

// Who gives up is not kept waiting, whatever Crossmint does.
func TestGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, first(1<<30, "GET", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel()
		<-r.Context().Done()
	}))
	opened := w.mustOpen(t, "userId:alice")
	r, a := payment(t, opened.Address())
	if s, err := opened.SignAuthorization(ctx, r, a); s != nil || !errors.Is(err, crossmint.ErrUnavailable) {
		t.Errorf("%x, %v", s, err)
	}
}
