package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// running is a command that has its configuration, but does nothing.
func running(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	root := newRoot()
	var found *cobra.Command
	for _, c := range root.Commands() {
		c.RunE = func(cmd *cobra.Command, _ []string) error { found = cmd; return nil }
	}
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return found
}

// A running server can look what it would be started with now: what was given stays,
// the rest is read anew, and a file that has become wrong changes nothing.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	write(t, file, "rate-ip = 5\nrate-user = 6\nrate-tool = 7\ncors-origin = [\"https://a.example.org\", \"https://b.example.org\"]\n[env.x]\nrate-tool = 8")
	t.Setenv("CONCIERGE_RATE_USER", "60")
	was := running(t, "serve", "--config", file, "--env", "x", "--idle-after", "5s", "--guest-allow", "10.0.0.0/8,192.168.0.0/16", "--cors-origin", "https://c.example.org")

	read := func() (*serveOptions, []string, error) {
		o := new(serveOptions)
		changed, _, err := reload(was, o.command())
		return o, changed, err
	}
	o, changed, err := read()
	if err != nil || len(changed) > 0 {
		t.Fatalf("nothing has changed: %v, %v", changed, err)
	}
	if o.limits.IP != 5 || o.limits.User != 60 || o.limits.Tool != 8 || o.hosts.idleAfter != 5*time.Second || len(o.agent.allow) != 2 ||
		!slices.Equal(o.origins, []string{"https://c.example.org"}) {
		t.Errorf("reloaded: %+v", o)
	}

	write(t, file, "rate-user = 7\nidle-after = \"9s\"\nlog-level = \"debug\"\nmainnet-consent = true\n[env.x]\nrate-tool = 9")
	o, changed, err = read()
	if want := []string{"log-level", "rate-ip", "rate-tool", consentKey}; err != nil || !slices.Equal(changed, want) {
		t.Errorf("changed: %v, %v; want %v", changed, err, want)
	}
	if o.limits.IP != 100 || o.limits.User != 60 || o.limits.Tool != 9 || o.hosts.idleAfter != 5*time.Second || o.log.level != "debug" {
		t.Errorf("reloaded: %+v", o)
	}

	for text, want := range map[string]string{
		"rate-ip = ":                    "c.toml:1: this is not TOML",
		"rate-pi = 3\n[env.x]":          "did you mean rate-ip?",
		"rate-ip = 3":                   "no section [env.x]",
		"[env.x]\nnetwork = \"base\"\n": consentKey,
	} {
		write(t, file, text)
		if _, _, err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("without a file: %v", err)
	}
}

// What is laid over what.
func TestConfigLayers(t *testing.T) {
	file, err := parseConfig("c.toml", `
network = "devnet"
log-level = "info"
addr = "127.0.0.1:1"
[facilitator]
network = "base-sepolia"
[env.x]
network = "base"
log-level = "warn"
[env.y.facilitator]
network = "base"
addr = "127.0.0.1:2"`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command, env, key string
		want              any // nil: the default holds
	}{
		{"serve", "", "network", "devnet"},
		{"serve", "x", "network", "base"},
		{"serve", "y", "network", "devnet"},
		{"user add", "x", "network", "base"},
		{"facilitator", "", "network", "base-sepolia"},
		{"facilitator", "x", "network", "base-sepolia"}, // its own is nearer
		{"facilitator", "y", "network", "base"},
		{"facilitator", "x", "log-level", "warn"},
		{"facilitator", "", "addr", nil},
		{"facilitator", "y", "addr", "127.0.0.1:2"},
		{"devnet", "", "addr", nil},
		{"devnet", "", "log-level", "info"},
		{"guest wallet", "x", "network", "base"},
		{"mcp guest", "x", "network", "base"},
	} {
		if e, _ := file.find(c.command, c.env, c.key); e.value != c.want {
			t.Errorf("%s of %s in %q: %v, want %v", c.key, c.command, c.env, e.value, c.want)
		}
	}
}

// Every flag of a command that holds for long can stand in a file, written as its
// type wants it, and so can each of serve's in a section.
func TestKeysTakeTheirDefaults(t *testing.T) {
	for _, table := range []string{"", tableDevnet, tableFacilitator, tableGuest} {
		keys, _ := keysOf(table)
		for _, k := range keysIn(keys) {
			text := k.Name + " = " + example(k)
			if table != "" {
				text = "[" + table + "]\n" + text
			}
			if _, err := parseConfig("c.toml", text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestTooMuchConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	write(t, path, strings.Repeat("#", maxConfig))
	if _, err := readConfig(path); err != nil {
		t.Error(err)
	}
	write(t, path, strings.Repeat("#", maxConfig+1))
	if _, err := readConfig(path); err == nil || !strings.Contains(err.Error(), "no configuration file") {
		t.Errorf("%v", err)
	}
	_, err := parseConfig("c.toml", strings.Repeat("[nope]\n", 1)+strings.Join(strings.Split(strings.Repeat("a", 30), ""), "1 = 1\n"))
	if err == nil {
		t.Error("a key twice is taken")
	}
	var many strings.Builder
	for i := range 50 {
		many.WriteString(strings.Repeat("x", i+1) + " = 1\n")
	}
	if _, err := parseConfig("c.toml", many.String()); err == nil || strings.Count(err.Error(), "\n") != maxProblems || !strings.HasSuffix(err.Error(), "and 30 more") {
		t.Errorf("%v", err)
	}
}

func TestPlace(t *testing.T) {
	for address, want := range map[string]string{
		"": "", "local": "local", "http://127.0.0.1:8545": "http://127.0.0.1:8545", "https://example.org/": "https://example.org",
		"https://example.org/v2/k3y": "https://example.org/…", "https://k3y@example.org": "https://example.org/…",
		"https://example.org?k3y": "https://example.org/…", "https://example.org#k3y": "https://example.org/…",
		"k3y": "hidden", "https://exa mple/k3y": "hidden", "/k3y": "hidden",
	} {
		if got := place(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// A file never makes it panic, and what is taken is taken by its flags, too.
func FuzzConfig(f *testing.F) {
	f.Add("rate-ip = 3\n[env.x]\nnetwork = \"base\"\n[env.x.guest]\nhost = [\"a\"]")
	f.Add("env = 3\n[[guest]]\nhome = 1")
	f.Add("env.\"\".x = 1\nenv.a.b.c.d = [1, {a = 2}]\n\"\\u0000\" = 1979-05-27")
	f.Add(startingConfig)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxConfig {
			return
		}
		file, err := parseConfig("c.toml", text)
		if err != nil {
			return
		}
		for _, env := range append(file.envs, "") {
			for _, command := range []string{"serve", "guest wallet", "facilitator"} {
				keys, _ := keysOf(tableOf(command))
				s := &configured{origins: map[string]origin{}, env: env}
				for _, k := range keysIn(keys) {
					s.origins[k.Name] = origin{Kind: fromDefault}
				}
				if err := s.fill(command, keys, file); err != nil {
					t.Errorf("%s of %q: %v", command, text, err)
				}
			}
		}
	})
}
