//go:build unix

package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
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

// What is put while the server runs holds after SIGHUP: the token of the facilitator,
// that of the metrics, and who operates. What wants a restart is named, and a secret
// that is wrong changes nothing.
func TestHangupSecrets(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0").url
	shown := make(chan string, 100) // what the facilitator is asked with
	settles := altered(t, chain+"/facilitator", func(r *http.Response) error {
		select {
		case shown <- r.Request.Header.Get("Authorization"):
		default:
		}
		return nil
	})
	data, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	file := filepath.Join(t.TempDir(), "concierge.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output(t, "", "secret", "key", key, "--data", data)
	put := func(name secretName, value string) {
		t.Helper()
		testlog.Secret(value)
		output(t, value, "secret", "put", string(name), "--data", data, "--secrets-key-file", key)
	}
	put(secretFacilitatorToken, "the-first-token-of-it")
	write("")
	web := serveProcess(t, "concierge", "--config", file, "--data", data, "--secrets-key-file", key, "--rpc", chain, "--facilitator", settles, "--no-agent")
	if got := <-shown; got != "Bearer the-first-token-of-it" {
		t.Fatalf("at the start: %q", got)
	}
	reload := func(says string) string {
		t.Helper()
		web.signal(t, syscall.SIGHUP)
		return web.await(t, regexp.MustCompile(says))[0]
	}
	ask := func(path string, headers ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	owner := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(web.url+"/sign-in/token", url.Values{"token": {owner["owner_token"].(string)}})
	if err != nil || resp.Body.Close() != nil || len(resp.Cookies()) != 1 {
		t.Fatalf("sign in: %v, %v", resp, err)
	}
	session := resp.Cookies()[0].Name + "=" + resp.Cookies()[0].Value
	elsewhere := []string{"X-Forwarded-For", "192.0.2.1"}
	metrics := func(token string) int { return ask("/metrics", append(elsewhere, "Authorization", "Bearer "+token)...) }
	admin := func() int { return ask("/admin", append(elsewhere, "Cookie", session)...) }
	if got := admin(); got != http.StatusNotFound || metrics("a-token-for-metrics") != http.StatusNotFound {
		t.Fatalf("before: %d", got)
	}

	put(secretFacilitatorToken, "the-next-token-of-it")
	put(secretMetricsToken, "a-token-for-metrics")
	write("operator = [\"ada@example.org\", \"nobody@example.org\"]\n")
	reload(`reloaded.*=facilitator-token,metrics-token,operator\b`)
	if got := admin(); got != http.StatusOK || metrics("a-token-for-metrics") != http.StatusOK {
		t.Errorf("after: %d", got)
	}
	if got := <-shown; got != "Bearer the-next-token-of-it" { // it is asked again at once
		t.Errorf("the facilitator is shown %q", got)
	}
	if log := web.log.String(); !strings.Contains(log, "--operator number 2") || strings.Contains(log, "nobody@") {
		t.Errorf("of the operator without an account:\n%s", web.told())
	}

	for _, wrong := range []struct{ text, says string }{
		{"operator = [\"ada at example.org\"]\n", `reload: nothing has changed.*--operator.*operator is from .*concierge.toml:1`},
		{"registration = \"closed\"\nsmtp = \"nowhere\"\n", `reload: nothing has changed.*--smtp.*smtp is from .*concierge.toml:2`},
	} {
		write(wrong.text)
		if line := reload(wrong.says); strings.Contains(line, "ada at") {
			t.Errorf("an email is in the log: %s", line)
		}
		if got := admin(); got != http.StatusOK || metrics("a-token-for-metrics") != http.StatusOK {
			t.Errorf("after what is wrong: %d", got)
		}
	}
	// A token that is none names its variable, and never itself.
	put(secretFacilitatorToken, "the token\twith blanks")
	put(secretMetricsToken, "another-token-for-metrics")
	write("")
	if line := reload(`reload: nothing has changed.*CONCIERGE_FACILITATOR_TOKEN`); strings.Contains(line, "blanks") || metrics("another-token-for-metrics") != http.StatusNotFound {
		t.Errorf("it holds, or is told: %s", line)
	}

	// The agent's model is asked with a new key after the next start.
	put(secretFacilitatorToken, "the-next-token-of-it")
	put(secretModelKey, "a-key-of-the-model")
	reload(`reloaded.*=facilitator-token,metrics-token"?\n`)
	web.await(t, regexp.MustCompile(`hold only after a restart" keys=model-api-key`))
	if got := admin(); got != http.StatusNotFound || metrics("a-token-for-metrics") != http.StatusNotFound || metrics("another-token-for-metrics") != http.StatusOK {
		t.Errorf("who operates no more: %d", got)
	}
}
