package testlog_test

import (
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
)

// TestFind plants a secret of each kind: a search that finds nothing proves nothing.
func TestFind(t *testing.T) {
	const secret = "pa55 wörd/+ of the test"
	std, web := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	for name, line := range map[string]string{
		"as it is":         "password=" + secret,
		"escaped":          "url=" + url.QueryEscape(secret),
		"escaped in path":  "url=" + url.PathEscape(secret),
		"in hex":           hex.EncodeToString([]byte(secret)),
		"AUTH PLAIN":       std([]byte("\x00ada\x00" + secret)),
		"one before":       std([]byte("x" + secret + "yz")),
		"three before":     web([]byte("user:" + secret + "\n")),
		"user token":       "token=ec_0123456789abcdefghijABCDEFGHIJ0123456789abc",
		"invitation":       "inv_0123456789abcdefghijABCDEF",
		"age":              "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
		"PEM":              `err="-----BEGIN EC PRIVATE KEY-----\n"`,
		"signature":        "sig=0x" + strings.Repeat("a1", 65),
		"JWT":              "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJjZHAifQ.c2ln",
		"payment":          "header=" + std([]byte(`{"x402Version":2,"payload":{}}`)),
		"payment as JSON":  `body="{\"signature\":\"0x\",\"authorization\":{\"from\":1}}"`,
		"bearer":           `Authorization="Bearer abcdefghijklmnop"`,
		"password in URL":  "endpoint=https://user:pass@example.org/",
		"email":            "msg=registered email=ada.b+c@mail.example.org",
		"email in braces":  `{"to":"<ada@example.org>"}`,
		"quoted by slog":   `msg="pa55 wörd/+ of the test"`,
		"newlines escaped": `x="a\npa55 wörd/+ of the test\n"`,
	} {
		found := testlog.Find("nothing\n"+line+"\n", secret)
		if len(found) == 0 || found[0].Line != 2 {
			t.Errorf("%s: not found in %s", name, line)
		}
		for _, f := range found {
			if strings.Contains(f.Text, secret) {
				t.Errorf("%s: it is told: %+v", name, f)
			}
		}
	}
	clean := "time=2026-06-01T12:00:00Z level=INFO msg=request user=abc tx=0x" + strings.Repeat("ab", 32) +
		" module=filippo.io/age@v1.3.2 url=http://127.0.0.1:80/mcp basic auth bearer of\n"
	if found := testlog.Find(clean, secret); len(found) > 0 {
		t.Errorf("found in a clean line: %+v", found)
	}
}

// TestCollect: in a folder that the variable names there is what was logged, also
// what a level or a handler would drop. The process is a child, for what is collected
// is decided once.
func TestCollect(t *testing.T) {
	if os.Getenv("TESTLOG_CHILD") != "" {
		testlog.New().Debug("nobody hears", "v", "of nobody")
		testlog.New(slog.NewTextHandler(t.Output(), nil)).Info("somebody hears", "v", "of somebody")
		testlog.Secret("of\nsomebody")
		return
	}
	dir := t.TempDir()
	child(t, dir)
	logs, secrets := read(t, dir, testlog.LogSuffix), read(t, dir, testlog.SecretSuffix)
	for _, want := range []string{`v="of nobody"`, `"v":"of nobody"`, `"msg":"somebody hears"`} {
		if !strings.Contains(logs, want) {
			t.Errorf("%s is not in %s", want, logs)
		}
	}
	if secrets != `"of\nsomebody"`+"\n" {
		t.Errorf("secrets: %s", secrets)
	}
}

func read(t *testing.T, dir, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
