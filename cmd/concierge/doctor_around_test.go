package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// examined runs all checks with the flags of serve, and returns the findings of one.
func examined(t *testing.T, check string, prepare func(*doctor), args ...string) []finding {
	t.Helper()
	var d doctor
	cmd := d.serve.command()
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	d.adopt(cmd)
	if prepare != nil {
		prepare(&d)
	}
	r := d.examine(t.Context())
	for _, f := range r.findings {
		if (f.Status == checkOK) != (f.Advice == "") {
			t.Errorf("want a fix with what is wrong, and none else: %+v", f)
		}
	}
	return slices.DeleteFunc(r.findings, func(f finding) bool { return f.Check != check })
}

// finds fails the test if the first of the findings is not this one.
func finds(t *testing.T, all []finding, status, says string) {
	t.Helper()
	if len(all) == 0 || all[0].Status != status || !strings.Contains(all[0].Says, says) {
		t.Errorf("want %s, %q: %+v", status, says, all)
	}
}

// altered is a server in front of another one that changes some answers.
func altered(t *testing.T, to string, change func(*http.Response) error) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Accept-Encoding") },
		ModifyResponse: change}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// swapped replaces a text in bodies.
func swapped(from, to string) func(*http.Response) error {
	return func(r *http.Response) error {
		var b bytes.Buffer
		if _, err := b.ReadFrom(r.Body); err != nil {
			return err
		}
		body := strings.ReplaceAll(b.String(), from, to)
		r.Body, r.ContentLength = http.NoBody, int64(len(body))
		r.Header.Del("Content-Length")
		r.Body = readCloser{strings.NewReader(body)}
		return nil
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestDoctorOfTheMachine(t *testing.T) {
	data := newLedger(t).dir
	finds(t, examined(t, "disk", nil, "--data", data), "ok", "a write is on it in")
	full := func(free uint64) func(*doctor) {
		return func(d *doctor) { d.room = func(string) (uint64, uint64, error) { return free, 1 << 40, nil } }
	}
	finds(t, examined(t, "disk", full(100<<20), "--data", data), "failed", "100.0 MB of 1.0 TB free")
	finds(t, examined(t, "disk", full(1<<30), "--data", data), "warning", "1.0 GB of 1.0 TB free")
	broken := func(d *doctor) { d.room = func(string) (uint64, uint64, error) { return 0, 0, errors.New("it broke") } }
	finds(t, examined(t, "disk", broken, "--data", data), "failed", "it broke")
	if left, _ := filepath.Glob(data + "/.doctor-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	if err := os.Chmod(data, 0o700); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "permissions", nil, "--data", data), "ok", "its owner's alone")
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "permissions", nil, "--data", data), "warning", "others can read "+data)
	if err := errors.Join(os.Chmod(data, 0o700), os.Chmod(data+"/secret.key", 0o644)); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "permissions", nil, "--data", data), "failed", "others can read "+data+"/secret.key")
}

func TestDoctorOfTheConfiguration(t *testing.T) {
	data := newLedger(t).dir
	finds(t, examined(t, "configuration", nil, "--data", data), "ok", "network devnet")
	for want, args := range map[string][]string{
		"--public-url":               {"--public-url", "here"},
		"--max-open-hosts":           {"--max-open-hosts", "0"},
		"--registration":             {"--registration", "some"},
		"--network":                  {"--network", "mars"},
		"an account with ETH":        {"--network", "base-sepolia", "--rpc", "http://127.0.0.1:1"},
		"--mcp-registry-auth":        {"--mcp-registry-auth", "x"},
		"--facilitator, number 1":    {"--facilitator", "x", "--rpc", "http://127.0.0.1:1"},
		"how long to keep: 1m0s":     {"--backup", t.TempDir(), "--backup-keep", "1m"},
		"--log-level \"very\": want": {"--log-level", "very"},
	} {
		finds(t, examined(t, "configuration", nil, append(args, "--data", data)...), "failed", want)
	}
	// The books are of another network than the one that is asked for.
	if err := os.WriteFile(data+"/network", []byte("base-sepolia\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "data", nil, "--data", data, "--network", "devnet"), "failed", `the books of network "base-sepolia", not of "devnet"`)
	finds(t, examined(t, "configuration", nil, "--data", data, "--rpc", "http://127.0.0.1:1"), "failed", "settling on base-sepolia")
}

func TestDoctorOfTheChain(t *testing.T) {
	data, chain := newLedger(t).dir, start(t, "devnet", "--addr", "127.0.0.1:0").url
	at := func(rpc string) []string { return []string{"--data", data, "--rpc", rpc} }
	finds(t, examined(t, "chain", nil, "--data", data), "ok", "embedded")
	finds(t, examined(t, "chain", nil, at(chain)...), "ok", "eip155:84532 at 127.0.0.1")
	finds(t, examined(t, "token", nil, at(chain)...), "ok", `domain "USDC" version "2"`)
	finds(t, examined(t, "clock", func(d *doctor) { d.now = func() time.Time { return time.Now().Add(-time.Hour) } }, at(chain)...), "failed", "from now")
	finds(t, examined(t, "chain", nil, at("http://127.0.0.1:1/?key=hidden")...), "failed", "127.0.0.1:1 can't be asked")
	if all := examined(t, "chain", nil, at("http://127.0.0.1:1/?key=hidden")...); strings.Contains(all[0].Says+all[0].Advice, "hidden") {
		t.Errorf("the key of the node is shown: %+v", all)
	}
	finds(t, examined(t, "chain", nil, at(altered(t, chain, swapped(`"0x14a34"`, `"0x2105"`)))...), "failed", "serves eip155:8453, not eip155:84532")
	// The separator of another domain.
	finds(t, examined(t, "token", nil, at(altered(t, chain, func(r *http.Response) error {
		return swapped("71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818", strings.Repeat("ab", 32))(r)
	}))...), "failed", "signs in another EIP-712 domain")

	t.Setenv(envGasKey, "0x"+strings.Repeat("1", 64))
	finds(t, examined(t, "gas", nil, at(chain)...), "failed", "has 0.000000 ETH")
	key, err := wallet.FromHex("test", "0x"+strings.Repeat("1", 64))
	if err != nil {
		t.Fatal(err)
	}
	if err := faucet(t.Context(), chain, key.Address(), "0.01"); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "gas", nil, at(chain)...), "ok", " ETH")
	finds(t, examined(t, "gas", nil, append(at(chain), "--max-gas-price", "999999999")...), "warning", " ETH")
}

func TestDoctorOfFacilitators(t *testing.T) {
	data, chain := newLedger(t).dir, start(t, "devnet", "--addr", "127.0.0.1:0").url
	at := func(facilitators ...string) []string {
		return []string{"--data", data, "--rpc", chain, "--facilitator", strings.Join(facilitators, ",")}
	}
	works := chain + "/facilitator"
	finds(t, examined(t, "facilitator", nil, at(works)...), "ok", "settles on eip155:84532")
	finds(t, examined(t, "clock", nil, at(works)...), "ok", "0s off that of 127.0.0.1")
	finds(t, examined(t, "clock", func(d *doctor) { d.now = func() time.Time { return time.Now().Add(30 * time.Second) } }, at(works)...), "warning", "off that of")
	finds(t, examined(t, "facilitator", nil, at("http://127.0.0.1:1")...), "failed", "127.0.0.1:1")
	finds(t, examined(t, "facilitator", nil, at("http://127.0.0.1:1", works)...), "warning", "127.0.0.1:1")
	other := altered(t, altered(t, works, swapped("84532", "1")), swapped("base-sepolia", "base"))
	finds(t, examined(t, "facilitator", nil, at(other)...), "failed", "does not settle exact payments on eip155:84532")
}

func TestDoctorOfTheBackup(t *testing.T) {
	l := newLedger(t)
	to := t.TempDir()
	args := []string{"--data", l.dir, "--backup", to}
	finds(t, examined(t, "backup", nil, "--data", l.dir), "ok", "none is configured")
	finds(t, examined(t, "backup", nil, args...), "failed", "has nothing yet")
	output(t, "", "backup", "--data", l.dir, "--to", to)
	finds(t, examined(t, "backup", nil, args...), "ok", "with 1 users")
	later := time.Now().Add(48 * time.Hour)
	if err := os.Chtimes(l.dir+"/server.db", later, later); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "backup", nil, args...), "failed", "behind the data")
	finds(t, examined(t, "backup", nil, "--data", l.dir, "--backup", "ftp://x"), "failed", "ftp://x")
}

// Beside a running server, and by the command itself.
func TestDoctorBesideAServer(t *testing.T) {
	data := t.TempDir()
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--log-level", "error")
	finds(t, examined(t, "server", nil, "--data", data), "ok", "version "+version)
	var answer struct {
		OK       bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(output(t, "", "doctor", "--data", data, "--json")), &answer); err != nil || !answer.OK || len(answer.Findings) < 6 {
		t.Errorf("%+v, %v", answer, err)
	}
	web.stop()
	finds(t, examined(t, "server", nil, "--data", data), "ok", "none is running")
}

// A wallet that owes more than it has is told with where to send it.
func TestDoctorOfRefunds(t *testing.T) {
	l, chain := newLedger(t), start(t, "devnet", "--addr", "127.0.0.1:0").url
	l.refund(l.confirm(l.hold(0), true), x402.ReasonInsufficientFunds)
	args := []string{"--data", l.dir, "--rpc", chain}
	finds(t, examined(t, "refunds", nil, args...), "warning", "has $0.00 and owes $2.50")
	if err := faucet(t.Context(), chain, l.user.WalletAddress, "10.00"); err != nil {
		t.Fatal(err)
	}
	finds(t, examined(t, "refunds", nil, args...), "ok", "has the $2.50")
}
