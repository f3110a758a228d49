package web

import (
	"bytes"
	"strings"
	"testing"
)

func TestLinked(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "",
		"no address":               "no address",
		"See https://example.org.": "See [https://example.org].",
		"(https://example.org/a_(b)) and http://example.org/?a=1&b=2, too": "([https://example.org/a_(b)]) and [http://example.org/?a=1&b=2], too",
		"javascript:alert(1) ftp://example.org //example.org":              "javascript:alert(1) ftp://example.org //example.org",
		"https://": "https://", "https://...": "https://...",
		"https://example.org@example.net/": "https://example.org@example.net/",
		`<a href="https://example.org">`:   `<a href="[https://example.org]">`,
		"مرحبا https://example.org/مرحبا!": "مرحبا [https://example.org/مرحبا]!",
	} {
		var got strings.Builder
		for _, p := range linked(line) {
			if p.URL != "" {
				got.WriteString("[" + p.URL + "]")
			} else {
				got.WriteString(p.Text)
			}
		}
		if got.String() != want {
			t.Errorf("%q became %q, want %q", line, got.String(), want)
		}
	}
}

// Whatever strangers write stays the text that it is: no markup comes of it but links.
func FuzzLinked(f *testing.F) {
	s, err := New(bytes.NewReader(nil))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"See https://example.org/?q=<script>.", `https://x"onclick="alert(1)`, "http://[::1]:80/x)", "https://a\x00b", "https://\u202e", "a\r\n\r\nb", "https://%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var joined strings.Builder
		for _, p := range linked(text) {
			joined.WriteString(p.Text)
			if p.Text == "" || p.URL != "" && (p.URL != p.Text || !strings.HasPrefix(p.URL, "http")) {
				t.Errorf("%+v of %q", p, text)
			}
		}
		if joined.String() != text {
			t.Errorf("%q became %q", text, joined.String())
		}
		var out bytes.Buffer
		if err := s.Fragment(&out, "error", "linked-prose", text); err != nil {
			t.Fatal(err)
		}
		html := out.String()
		for _, allowed := range []string{`<div class="user-text prose" dir="auto">`, "</div>", "<p>", "</p>", "<br>", "</a>", `<a rel="nofollow noopener ugc" href="`, `">`} {
			html = strings.ReplaceAll(html, allowed, "")
		}
		if strings.ContainsAny(html, `<>"`) || strings.Contains(html, "ZgotmplZ") {
			t.Errorf("%q became %s", text, out.String())
		}
	})
}
