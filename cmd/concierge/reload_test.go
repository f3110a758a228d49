//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// SIGHUP has what the file says hold, where a running server can do that; a file that
// is wrong changes nothing.
func TestHangup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "concierge.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rate-user = 10.0\n")
	web := serveProcess(t, "concierge", "--config", file, "--data", t.TempDir(), "--quota-events", "1")
	reload := func(text, says string) {
		t.Helper()
		write(text)
		web.signal(t, syscall.SIGHUP)
		web.await(t, regexp.MustCompile(says))
	}
	register := func(email string) int {
		t.Helper()
		resp, err := http.Post(web.url+"/api/users", "application/json", strings.NewReader(`{"email":"`+email+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	allowed := func(origin string) bool {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.url+"/mcp/info", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Header.Get("Access-Control-Allow-Origin") == origin
	}
	const origin = "https://app.example.org"
	if got := register("ada@example.org"); got != http.StatusCreated || allowed(origin) {
		t.Fatalf("before: %d", got)
	}
	reload("registration = \"closed\"\ncors-origin = [\""+origin+"\"]\nlog-format = \"json\"\n", `"msg":"reloaded".*cors-origin,log-format,rate-user,registration`)
	if got := register("bob@example.org"); got != http.StatusForbidden || !allowed(origin) {
		t.Errorf("after: %d", got)
	}
	reload("registration = \"closed\"\nmax-open-hosts = 7\nlog-format = \"json\"\n", `hold only after a restart","keys":"max-open-hosts"`)
	if allowed(origin) {
		t.Error("what is in the file no more still holds")
	}
	reload("registration = \"perhaps\"\n", `reload: nothing has changed.*registration`)
	reload("no-such-key = 1\n", `reload: nothing has changed.*no-such-key`)
	reload("= what\n", `reload: nothing has changed`)
	if got := register("bob@example.org"); got != http.StatusForbidden {
		t.Errorf("after a wrong file: %d", got)
	}
	reload("", `"?msg"?[:=]"?reloaded`)
	if got := register("bob@example.org"); got != http.StatusCreated {
		t.Errorf("with an empty file: %d", got)
	}
}
