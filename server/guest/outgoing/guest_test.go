package outgoing_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/guest/outgoing"
	"github.com/events-concierge/concierge/store"
)

// These tests have a Guest connect.

// host is an MCP server with nothing to offer.
func host() http.Handler {
	s := mcp.NewServer(&mcp.Implementation{Name: "host", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}})
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true})
}

func dial(t *testing.T, tr http.RoundTripper, url string) error {
	t.Helper()
	h, err := guest.Dial(t.Context(), url, guest.Config{Transport: tr, Purse: purse(t)})
	if err != nil {
		return err
	}
	return h.Close()
}

// A Guest connects to no address that is not public, in whatever form it comes.
func TestGuestStaysOutside(t *testing.T) {
	private := (&names{find: func(name string, _ int) []string {
		switch name {
		case "private.example":
			return []string{"10.0.0.1"}
		case "metadata.example":
			return []string{"169.254.169.254", "fd00:ec2::254"}
		case "both.example":
			return []string{"::1", "127.0.0.1"}
		}
		return []string{"127.0.0.1"}
	}}).resolver()
	var reached atomic.Int32
	inside := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	for name, to := range map[string]string{
		"loopback":            "127.0.0.1",
		"another loopback":    "127.8.9.10",
		"unspecified":         "0.0.0.0",
		"localhost":           "localhost",
		"loopback of IPv6":    "[::1]",
		"mapped":              "[::ffff:127.0.0.1]",
		"mapped, in hex":      "[::ffff:7f00:1]",
		"NAT64":               "[64:ff9b::7f00:1]",
		"unspecified of IPv6": "[::]",
		"metadata":            "169.254.169.254",
		"metadata of IPv6":    "[fd00:ec2::254]",
		"link-local":          "[fe80::1%25lo]",
		"carrier":             "100.64.0.1",
		"multicast":           "224.0.0.1",
		"decimal":             "2130706433",
		"hex":                 "0x7f000001",
		"hex, in parts":       "0x7f.0.0.1",
		"octal":               "0177.0.0.1",
		"two parts":           "127.1",
		"a private name":      "private.example",
		"a metadata name":     "metadata.example",
		"a name of both":      "both.example",
	} {
		t.Run(name, func(t *testing.T) {
			err := dial(t, transport(t, outgoing.Options{Resolver: private}), "http://"+to+port(inside))
			if err == nil {
				t.Fatal("connected")
			}
			// Numbers that are no addresses are not looked up as names.
			var dns *net.DNSError
			if !errors.Is(err, outgoing.ErrNotPublic) && !(errors.As(err, &dns) && dns.IsNotFound) && !strings.Contains(to, ":") {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "10.0.0.1") {
				t.Errorf("it tells what the name has: %v", err)
			}
		})
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests came in", n)
	}
}

func TestGuestRefusesURLs(t *testing.T) {
	inside := serve(t, host().ServeHTTP)
	tr := transport(t, outgoing.Options{Allow: here, Resolver: loopback()})
	if err := dial(t, tr, inside); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"http://me:secret@127.0.0.1" + port(inside), "http://me@127.0.0.1" + port(inside),
		"file:///etc/passwd", "gopher://127.0.0.1" + port(inside), "unix:/run/docker.sock", "http:///", "//127.0.0.1"} {
		err := dial(t, tr, url)
		if err == nil || strings.HasPrefix(url, "http://me") && !errors.Is(err, outgoing.ErrURL) {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("it repeats the password: %v", err)
		}
	}
}

// A name that led outside when it was first looked up, and leads inside when the
// Guest connects anew. 127.0.0.1 is outside here.
func TestGuestMeetsRebinding(t *testing.T) {
	var rebound atomic.Bool
	tr := transport(t, outgoing.Options{Allow: here, Resolver: (&names{find: func(string, int) []string {
		if rebound.Load() {
			return []string{"127.0.0.2"}
		}
		return []string{"127.0.0.1"}
	}}).resolver()})
	h, err := guest.Dial(t.Context(), "http://rebinding.example"+port(serve(t, host().ServeHTTP)), guest.Config{Transport: tr, Purse: purse(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	rebound.Store(true)
	tr.CloseIdleConnections()
	if _, err := h.Call(t.Context(), "anything", nil); !errors.Is(err, outgoing.ErrNotPublic) {
		t.Errorf("%v", err)
	}
}

// A proxy would dial whatever it is told to. The environment is read once, so it takes
// a process of its own.
func TestNoProxy(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const test = "TestGuestMeetsRebinding" // which connects to a name
	cmd := exec.CommandContext(t.Context(), program, "-test.v", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%v: %s", err, out)
	}
}

// A redirect is not followed, and where it leads to would not be dialled.
func TestGuestMeetsRedirect(t *testing.T) {
	for _, to := range []string{"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://inside.example/", "file:///etc/passwd"} {
		url := serve(t, http.RedirectHandler(to, http.StatusTemporaryRedirect).ServeHTTP)
		tr := transport(t, outgoing.Options{Allow: here, Resolver: (&names{find: func(string, int) []string { return []string{"10.0.0.1"} }}).resolver()})
		if err := dial(t, tr, url); err == nil || !strings.Contains(err.Error(), "redirects") {
			t.Errorf("to %s: %v", to, err)
		}
		if _, err := (&http.Client{Transport: tr}).Get(url); !errors.Is(err, outgoing.ErrNotPublic) && !errors.Is(err, outgoing.ErrURL) {
			t.Errorf("to %s, followed: %v", to, err)
		}
	}
}

// purse returns the books of a new Guest.
func purse(t *testing.T) *store.Purse {
	t.Helper()
	p, err := store.OpenPurse(context.Background(), filepath.Join(t.TempDir(), "guest.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
