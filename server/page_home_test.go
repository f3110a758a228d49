package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/tools"
)

func withAgent(c *server.Config) {
	c.Agent = chat.New(chat.Config{Fund: func(context.Context, x402.Address) error { return nil }})
}

// Without scripts people find events, and ways on from there.
func TestHome(t *testing.T) {
	s := newSquare(t, withAgent)
	ada := s.host(t, "ada")
	jazz := s.event(t, ada, tools.CreateEventInput{Title: `Jazz <script>alert(1)</script>`, Price: "0.05"})
	s.event(t, ada, tools.CreateEventInput{Title: "Opera"})
	s.event(t, ada, tools.CreateEventInput{Title: "Secret jazz", Visibility: tools.Unlisted})
	status, h, all := s.fetch(t, "/")
	if status != http.StatusOK || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d, %v", status, h)
	}
	for _, want := range []string{"Jazz &lt;script&gt;", "$0.05", "Opera", "/u/" + ada.User + "/" + jazz.ID, `data-host="` + s.URL + "/mcp/users/" + ada.User, `href="/my-mcp"`, "<noscript>", "data-play", `chat.js"`} {
		if !strings.Contains(all, want) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, no := range []string{"<script>alert", "Secret", " style=", "onclick"} {
		if strings.Contains(all, no) {
			t.Errorf("there is %s", no)
		}
	}
	if _, _, found := s.fetch(t, "/?q=jazz"); strings.Contains(found, "Opera") || !strings.Contains(found, "Jazz &lt;script&gt;") || !strings.Contains(found, "noindex") {
		t.Error("the search finds something else")
	}
	for _, q := range []string{`"' OR 1=1 --<b>`, "*", "NEAR(", "مرحبا", strings.Repeat("🎷", 300), "\xff"} {
		status, _, body := s.fetch(t, "/?q="+url.QueryEscape(q))
		if status != http.StatusOK || strings.Contains(body, "<b>") {
			t.Errorf("%.20q: %d", q, status)
		}
	}
	if status, _, _ := s.fetch(t, "/?cursor=stale"); status != http.StatusOK {
		t.Errorf("a stale cursor: %d", status)
	}
}

func TestHomeWithoutAgent(t *testing.T) {
	s := newSquare(t, nil)
	_, _, page := s.fetch(t, "/")
	if strings.Contains(page, "chat.js") || strings.Contains(page, `id="say"`) || !strings.Contains(page, "without its own agent") || !strings.Contains(page, "Host the first one") {
		t.Error("the page of a server without an agent or events")
	}
}

// All pages of a list are reached, and no event twice.
func TestHomePages(t *testing.T) {
	s := newSquare(t, nil)
	ada := s.host(t, "ada")
	for i := range 30 {
		s.event(t, ada, tools.CreateEventInput{Title: fmt.Sprint("Evening ", i), StartsAt: time.Now().Add(time.Duration(i+1) * time.Hour).Format(time.RFC3339)})
	}
	seen := map[string]bool{}
	next := regexp.MustCompile(`href="(/\?[^"]*cursor=[^"]*)"`)
	for path, pages := "/?q=evening", 0; path != ""; pages++ {
		_, _, body := s.fetch(t, path)
		for _, m := range regexp.MustCompile(`Evening \d+`).FindAllString(body, -1) {
			seen[m] = true
		}
		path = ""
		if m := next.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
		if pages > 5 {
			t.Fatal("it does not end")
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d of 30 events", len(seen))
	}
}

// The first page is small, with all that its scripts import, and is read in one
// round trip: no style sheet has to come first.
func TestHomeIsSmall(t *testing.T) {
	s := newSquare(t, withAgent)
	ada := s.host(t, "ada")
	for i := range 12 {
		s.event(t, ada, tools.CreateEventInput{Title: fmt.Sprint("Evening ", i), Location: "Somewhere"})
	}
	size := func(path string) (int, string) {
		_, h, body := s.fetch(t, path, "Accept-Encoding", "gzip")
		if h.Get("Content-Encoding") != "gzip" && len(body) > 2000 {
			t.Errorf("%s is not compressed", path)
		}
		_, _, plain := s.fetch(t, path)
		return len(body), plain
	}
	all, page := size("/")
	if all > 14_000 {
		t.Errorf("the document has %d bytes: more than the first round trip takes", all)
	}
	if strings.Contains(page, `rel="stylesheet"`) {
		t.Error("a style sheet is waited for")
	}
	asset := regexp.MustCompile(`"(/static/[^"]+)"`)
	imports := regexp.MustCompile(`from '\./([^']+)'`)
	todo, seen := []string{}, map[string]bool{}
	for _, m := range asset.FindAllStringSubmatch(page, -1) {
		todo = append(todo, m[1])
	}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		n, text := size(path)
		all += n
		for _, m := range imports.FindAllStringSubmatch(text, -1) {
			todo = append(todo, path[:strings.LastIndex(path, "/")+1]+m[1])
		}
	}
	if len(seen) < 6 {
		t.Errorf("only %v", seen)
	}
	if all > 60_000 {
		t.Errorf("the first page has %d bytes", all)
	}
	t.Logf("%d bytes, in %d files", all, len(seen)+1)
}

// A transaction of the embedded chain can be looked at.
func TestDevnetTransaction(t *testing.T) {
	w := newWorld(t)
	to := w.wallet(0).Address()
	tx, err := w.chain.Fund(t.Context(), common.Address(to), 5*x402.USD)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		resp, err := http.Get(w.base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := get("/devnet/tx/" + tx.Hex()); status != http.StatusOK || !strings.Contains(body, "$5.00") || !strings.Contains(body, strings.ToLower(to.String()[2:])) {
		t.Errorf("%d: %s", status, body)
	}
	for _, path := range []string{"/devnet/tx/0x12", "/devnet/tx/" + strings.Repeat("z", 66), "/devnet/tx/0x" + strings.Repeat("0", 64)} {
		if status, body := get(path); status != http.StatusNotFound || !strings.Contains(body, "<h1") {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func BenchmarkHome(b *testing.B) {
	s := newSquare(b, withAgent)
	ada := s.host(b, "ada")
	for i := range 1000 {
		s.event(b, ada, tools.CreateEventInput{Title: fmt.Sprint("Evening ", i), Price: "0.05", StartsAt: time.Now().Add(time.Duration(i+1) * time.Hour).Format(time.RFC3339)})
	}
	for _, path := range []string{"/", "/?q=evening"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				s.handle.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
