package web

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func open(t *testing.T) *Site {
	t.Helper()
	s, err := New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Nothing may be written into a page that its Content-Security-Policy refuses, and
// no template may go around the escaping.
func TestTemplatesAreStrict(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)\son[a-z]+=|\sstyle=|javascript:|<script(?:[^>]*>)[^<{]`)
	err := fs.WalkDir(files, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s has %q, which the Content-Security-Policy refuses", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteIsWholeOrNothing(t *testing.T) {
	s := open(t)
	w := httptest.NewRecorder()
	if err := s.Write(w, http.StatusOK, View{Name: "no such page"}); err == nil || w.Body.Len() > 0 {
		t.Errorf("a page that is not there: %v, %d bytes", err, w.Body.Len())
	}
	if err := s.Write(w, http.StatusNotFound, View{Name: "error", Title: "<b>", Data: map[string]string{"Detail": `"><script>alert(1)</script>`}}); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<script>alert") || strings.Contains(w.Body.String(), "<b>") {
		t.Errorf("%d, %s", w.Code, w.Body)
	}
	s.rand = errReader{}
	if err := s.Write(httptest.NewRecorder(), http.StatusOK, View{Name: "error"}); err == nil {
		t.Error("a page without a nonce was written")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

func TestNonceIsNew(t *testing.T) {
	s := open(t)
	seen := map[string]bool{}
	for range 3 {
		w := httptest.NewRecorder()
		if err := s.Write(w, http.StatusOK, View{Name: "error", Data: map[string]string{"Detail": ""}}); err != nil {
			t.Fatal(err)
		}
		nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(w.Header().Get("Content-Security-Policy"))
		if nonce == nil || seen[nonce[1]] || !strings.Contains(w.Body.String(), `nonce="`+nonce[1]+`"`) {
			t.Errorf("nonce %q", nonce)
			continue
		}
		seen[nonce[1]] = true
	}
}

func TestStatic(t *testing.T) {
	s := open(t)
	url, err := s.asset("site.js")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		status int
		cache  string
	}{
		url:                                   {200, "public, max-age=31536000, immutable"},
		"/static/old/site.js":                 {200, "no-cache"},
		"/static/site.js":                     {404, ""},
		"/static/" + s.version + "/../web.go": {404, ""},
	} {
		w := httptest.NewRecorder()
		s.Static().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want.status || w.Header().Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d, %q", path, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	if _, err := s.asset("nothing.js"); err == nil {
		t.Error("a file that is not there has a URL")
	}
}

func TestWhen(t *testing.T) {
	for _, c := range []struct{ name, start, end, zone, want string }{
		{"an evening", "2030-06-01T18:00:00Z", "2030-06-01T21:00:00Z", "Europe/Berlin", "Sat, 1 Jun 2030, 20:00 – 23:00 CEST"},
		{"without an end", "2030-06-01T18:00:00Z", "", "Europe/Berlin", "Sat, 1 Jun 2030, 20:00 CEST"},
		{"over midnight", "2030-06-01T20:00:00Z", "2030-06-02T01:00:00Z", "Europe/Berlin", "Sat, 1 Jun 2030, 22:00 – Sun, 2 Jun 2030, 03:00 CEST"},
		{"while clocks go back", "2030-10-26T22:30:00Z", "2030-10-27T02:30:00Z", "Europe/Berlin", "Sun, 27 Oct 2030, 00:30 CEST – 03:30 CET"},
		{"a zone that is not known", "2030-06-01T20:00:00+02:00", "", "Mars/Olympus", "Sat, 1 Jun 2030, 20:00 +0200"},
	} {
		got, err := when(c.start, c.end, c.zone)
		if err != nil || !strings.Contains(string(got), ">"+c.want+"<") {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
	if _, err := when("yesterday", "", "UTC"); err == nil {
		t.Error("what is no time was told")
	}
}

func TestQRCodeLabelIsText(t *testing.T) {
	svg, err := qrCode("https://events.example.org", `"><script>`)
	if err != nil || strings.Contains(string(svg), "<script>") || !strings.HasPrefix(string(svg), "<svg") {
		t.Errorf("%s, %v", svg, err)
	}
}

// The first page and what it loads must stay small.
func TestStyleIsSmall(t *testing.T) {
	s := open(t)
	var w bytes.Buffer
	w.WriteString(string(s.style))
	if w.Len() > 40<<10 {
		t.Errorf("site.css has %d bytes", w.Len())
	}
}
