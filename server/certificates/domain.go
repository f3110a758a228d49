package certificates

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddyserver/certmagic"
	"golang.org/x/net/idna"
)

// Domain reads the name of a domain for which an ACME server may give a certificate, as
// browsers write it: lower case, and ASCII (RFC 5891). Public says that it must be one
// that the whole internet knows.
func Domain(s string, public bool) (string, error) {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return "", fmt.Errorf("%q is an address; want the name of a domain", s)
	}
	if strings.Contains(s, "*") {
		return "", fmt.Errorf("%q stands for many names; name each domain", s)
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil || name == "" || strings.ContainsAny(name, ":/@ ") {
		return "", fmt.Errorf("%q is no name of a domain, such as events.example.org", s)
	}
	if public && !certmagic.SubjectQualifiesForPublicCert(name) {
		return "", fmt.Errorf("%q is known on no public network; an ACME server of your own can vouch for it", s)
	}
	return name, nil
}
