package facilitator_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/facilitator"
)

// seen is a way to anywhere that keeps what went it.
type seen struct{ requests []*http.Request }

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, r)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"kinds":[],"isValid":true}`))}, nil
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// cdpKey is a secret in each of the forms in which Coinbase gives or gave them,
// with the check of its signatures.
type cdpKey struct {
	secret, alg string
	verify      func(signed, signature []byte) bool
}

func cdpKeys(t *testing.T) map[string]cdpKey {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edVerify := func(signed, signature []byte) bool {
		return ed25519.Verify(ed.Public().(ed25519.PublicKey), signed, signature)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecVerify := func(signed, signature []byte) bool {
		digest := sha256.Sum256(signed)
		return len(signature) == 64 && ecdsa.Verify(&ec.PublicKey, digest[:],
			new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	pkcs8 := func(key crypto.PrivateKey) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf(t, "PRIVATE KEY", der, err)
	}
	der, err := x509.MarshalECPrivateKey(ec)
	sec1 := pemOf(t, "EC PRIVATE KEY", der, err)
	return map[string]cdpKey{
		"Ed25519, base64":           {base64.StdEncoding.EncodeToString(ed), "EdDSA", edVerify},
		"Ed25519, PEM":              {pkcs8(ed), "EdDSA", edVerify},
		"P-256, SEC 1":              {sec1, "ES256", ecVerify},
		"P-256, PKCS 8":             {pkcs8(ec), "ES256", ecVerify},
		"P-256, with escaped lines": {strings.ReplaceAll(sec1, "\n", `\n`), "ES256", ecVerify},
	}
}

// The token that Coinbase's API wants: its form is that of the SDKs of CDP.
func TestCDP(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	s := testnet.sale(t, 2)
	for name, key := range cdpKeys(t) {
		t.Run(name, func(t *testing.T) {
			credential, err := facilitator.NewCDP("organizations/o/apiKeys/k", key.secret,
				func() time.Time { return now }, bytes.NewReader(bytes.Repeat([]byte{0xab}, 32)))
			if err != nil {
				t.Fatal(err)
			}
			c, err := facilitator.NewClient("https://api.cdp.coinbase.com/platform/v2/x402", credential)
			if err != nil {
				t.Fatal(err)
			}
			way := &seen{}
			c.SetTransport(way)
			if _, err := c.Supported(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Verify(t.Context(), s.payment, s.r); err != nil {
				t.Fatal(err)
			}
			for i, uri := range []string{"GET api.cdp.coinbase.com/platform/v2/x402/supported", "POST api.cdp.coinbase.com/platform/v2/x402/verify"} {
				token, ok := strings.CutPrefix(way.requests[i].Header.Get("Authorization"), "Bearer ")
				parts := strings.Split(token, ".")
				if !ok || len(parts) != 3 {
					t.Fatalf("%q", token)
				}
				want := map[string]any{"alg": key.alg, "typ": "JWT", "kid": "organizations/o/apiKeys/k", "nonce": strings.Repeat("ab", 16)}
				if diff := cmp.Diff(want, segment(t, parts[0])); diff != "" {
					t.Error(diff)
				}
				want = map[string]any{"iss": "cdp", "sub": "organizations/o/apiKeys/k", "aud": []any{"cdp_service"}, "uris": []any{uri},
					"iat": float64(now.Unix()), "nbf": float64(now.Unix()), "exp": float64(now.Unix() + 120)}
				if diff := cmp.Diff(want, segment(t, parts[1])); diff != "" {
					t.Error(diff)
				}
				signature, err := base64.RawURLEncoding.DecodeString(parts[2])
				if err != nil || !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
					t.Errorf("the signature is wrong, %v", err)
				}
			}
			// Without randomness there is no token, and no request.
			if _, err := c.Settle(t.Context(), s.payment, s.r); err == nil || len(way.requests) != 2 {
				t.Errorf("%v", err)
			}
		})
	}
}

func segment(t *testing.T, s string) (members map[string]any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &members)
	}
	if err != nil {
		t.Fatal(err)
	}
	return members
}

func TestCDPSecrets(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(p384)
	wrongCurve := pemOf(t, "EC PRIVATE KEY", der, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKCS8PrivateKey(r)
	for name, secret := range map[string]string{
		"nothing": "", "text": "s3cret", "hex": strings.Repeat("ab", 32), "wrong curve": wrongCurve, "RSA": pemOf(t, "PRIVATE KEY", der, err),
		"half a key":  base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"no such key": base64.StdEncoding.EncodeToString(make([]byte, 64)),
		"empty PEM":   "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----",
	} {
		c, err := facilitator.NewCDP("id", secret, time.Now, rand.Reader)
		if err == nil || c != nil || len(secret) > 5 && strings.Contains(err.Error(), secret[:6]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := facilitator.NewCDP("", cdpKeys(t)["P-256, SEC 1"].secret, time.Now, rand.Reader); err == nil {
		t.Error("a key without an id")
	}
}

// A credential is for one host. With another nothing is sent at all, however
// the two were brought together.
func TestCredentialsStayAtHome(t *testing.T) {
	bearer, err := facilitator.NewBearer("example.org", token)
	if err != nil {
		t.Fatal(err)
	}
	cdp, err := facilitator.NewCDP("id", cdpKeys(t)["Ed25519, base64"].secret, time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := testnet.sale(t, 2)
	for url, credential := range map[string]facilitator.Credential{
		"https://example.com":                         bearer,
		"https://example.org:8443":                    bearer,
		"https://example.org.evil.example":            bearer,
		"https://api.cdp.coinbase.com.evil.example":   cdp,
		"https://example.org/api.cdp.coinbase.com":    cdp,
		"http://api.cdp.coinbase.com/platform/v2/x42": cdp,
		"https://api.cdp.coinbase.com:8443/":          cdp,
	} {
		c, err := facilitator.NewClient(url, credential)
		if err != nil {
			t.Fatal(err)
		}
		way := &seen{}
		c.SetTransport(way)
		_, err = c.Supported(t.Context())
		_, verifyErr := c.Verify(t.Context(), s.payment, s.r)
		_, settleErr := c.Settle(t.Context(), s.payment, s.r)
		if err == nil || verifyErr == nil || settleErr == nil || len(way.requests) != 0 {
			t.Errorf("%s: %v; %d requests", url, err, len(way.requests))
		}
		if !strings.Contains(settleErr.Error(), payments.ErrNotSettled.Error()) {
			t.Errorf("%s: %v", url, settleErr)
		}
	}
}

func TestBearerTokens(t *testing.T) {
	for _, bad := range []string{"", "two words", "line\nbreak", "tab\t", "\x00", "käse"} {
		if _, err := facilitator.NewBearer("example.org", bad); err == nil || len(bad) > 4 && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
