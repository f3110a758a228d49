package testlog

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// shapes are secrets that are told by what they look like.
func shapes() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"a token of a user":      regexp.MustCompile(`\bec_[A-Za-z0-9_-]{20,}`),
		"an invitation":          regexp.MustCompile(`\binv_[A-Za-z0-9_-]{20,}`),
		"a key of stored secret": regexp.MustCompile(`AGE-SECRET-KEY-`),
		"a private key":          regexp.MustCompile(`PRIVATE KEY-----`),
		"a signature":            regexp.MustCompile(`[0-9a-fA-F]{130}`),
		"a JWT":                  regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.`),
		"a payment":              regexp.MustCompile(`eyJ4NDAyVmVyc2lvbi|"?authorization\\*"?:\s*\\*\{`), // {"x402Version in base64, and its middle
		"a credential of HTTP":   regexp.MustCompile(`(?i)\b(bearer|basic) [A-Za-z0-9._~+/-]{12,}`),
		"a password in a URL":    regexp.MustCompile(`[a-z]://[^/\s:@"]+:[^/\s@"]+@`),
		"an email":               regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`),
	}
}

// Forms returns how a secret may be written: as it is, escaped, in hex or in base64.
// One of less than six characters is found everywhere, and has none.
func Forms(secret string) []string {
	if len(secret) < 6 {
		return nil
	}
	quoted := fmt.Sprintf("%q", secret)
	forms := []string{secret, quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret))}
	// Base64 of what has other bytes before it has other letters: three cases, each
	// without the ends that depend on the neighbours.
	for before := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
			text = text[(before*8+5)/6:]
			if whole := (len(secret) + before) % 3; whole != 0 {
				text = text[:len(text)-1]
			}
			if len(text) >= 8 {
				forms = append(forms, text)
			}
		}
	}
	return forms
}

// Found is a secret in a line.
type Found struct {
	What string // never the secret itself
	Line int
	Text string // the line, with the secret blotted out
}

// Find returns the secrets in a log: those given, and what has the shape of one.
func Find(log string, secrets ...string) (all []Found) {
	forms := map[string]string{} // what to look for, and what it is
	for i, s := range secrets {
		for _, f := range Forms(s) {
			forms[f] = fmt.Sprintf("secret %d of the test", i+1)
		}
	}
	looks, n := shapes(), 0
	for line := range strings.Lines(log) {
		n++
		add := func(what, hit string) {
			text := strings.TrimSpace(strings.ReplaceAll(line, hit, "██"))
			all = append(all, Found{what, n, text[:min(len(text), 400)]})
		}
		for f, what := range forms {
			if strings.Contains(line, f) {
				add(what, f)
			}
		}
		for what, shape := range looks {
			if hit := shape.FindString(line); hit != "" {
				add(what, hit)
			}
		}
	}
	return all
}
