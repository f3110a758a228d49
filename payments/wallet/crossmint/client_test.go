package crossmint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/wallet/crossmint"
	"github.com/events-concierge/concierge/payments/x402"
)

// Play money and real money are not mixed up, and the key goes nowhere in the clear.
func TestNew(t *testing.T) {
	for name, test := range map[string]struct {
		key     string
		network x402.Network
		url     string
		goesTo  string // "" if it is refused
	}{
		"staging":                   {"sk_staging_5ecret", x402.BaseSepolia, "", "https://staging.crossmint.com"},
		"production":                {"sk_production_5ecret", x402.Base, "", "https://www.crossmint.com"},
		"elsewhere":                 {"sk_staging_5ecret", x402.BaseSepolia, "https://proxy.example.org/", "https://proxy.example.org"},
		"on this machine":           {"sk_staging_5ecret", x402.BaseSepolia, "http://127.0.0.1:9", "http://127.0.0.1:9"},
		"by name":                   {"sk_staging_5ecret", x402.BaseSepolia, "http://localhost:9", "http://localhost:9"},
		"staging, real money":       {"sk_staging_5ecret", x402.Base, "", ""},
		"production, play money":    {"sk_production_5ecret", x402.BaseSepolia, "", ""},
		"no network":                {"sk_staging_5ecret", "", "", ""},
		"no key":                    {"", x402.BaseSepolia, "", ""},
		"a client's key":            {"ck_staging_5ecret", x402.BaseSepolia, "", ""},
		"an old key":                {"sk_test_5ecret", x402.BaseSepolia, "", ""},
		"a key with a line's end":   {"sk_staging_5ecret\n", x402.BaseSepolia, "", ""},
		"in the clear":              {"sk_staging_5ecret", x402.BaseSepolia, "http://crossmint.example.org", ""},
		"in the clear, private":     {"sk_staging_5ecret", x402.BaseSepolia, "http://10.0.0.1", ""},
		"with a path":               {"sk_staging_5ecret", x402.BaseSepolia, "https://proxy.example.org/api", ""},
		"with a query":              {"sk_staging_5ecret", x402.BaseSepolia, "https://proxy.example.org?key=5ecret", ""},
		"with a password":           {"sk_staging_5ecret", x402.BaseSepolia, "https://a:5ecret@proxy.example.org", ""},
		"of another scheme":         {"sk_staging_5ecret", x402.BaseSepolia, "ftp://proxy.example.org", ""},
		"that can't be read":        {"sk_staging_5ecret", x402.BaseSepolia, "https://%zz5ecret", ""},
		"with nothing but a scheme": {"sk_staging_5ecret", x402.BaseSepolia, "https://", ""},
	} {
		c, err := crossmint.New(crossmint.Config{Key: test.key, Network: test.network, URL: test.url})
		switch {
		case err != nil && (test.goesTo != "" || strings.Contains(err.Error(), "5ecret")):
			t.Errorf("%s: %v", name, err)
		case err == nil && c.URL != test.goesTo:
			t.Errorf("%s: goes to %q", name, c.URL)
		}
	}
}

// Where Crossmint sends its clients to, the key does not go.
func TestNoRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s, with key: %v", r.Method, r.URL, r.Header.Get("X-API-KEY") != "")
	}))
	defer elsewhere.Close()
	there := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect))
	defer there.Close()
	c, err := crossmint.New(crossmint.Config{Key: key, Network: x402.BaseSepolia, URL: there.URL,
		Pause: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := c.Wallet(t.Context(), "userId:alice"); err == nil {
		t.Error(opened.Address())
	}
}
