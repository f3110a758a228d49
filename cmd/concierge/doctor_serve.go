package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/certificates"
)

// mainnet finds what 'serve' would refuse where money is real.
func (d *doctor) mainnet() (all []finding) {
	n := &d.serve.network
	if n.name != onBase {
		return nil
	}
	wrong := d.settings.unfitForMainnet(d.flags)
	if !n.remote() && n.ownGasKey() {
		if key, err := d.gasKey(); err == nil { // else the gas account's line says so
			if err := n.refuseTestAccount(key.Address()); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	for _, err := range wrong {
		says, advice := parted(err.Error())
		all = append(all, failed("mainnet", says, advice+"; 'concierge serve' does not start like this"))
	}
	if len(all) == 0 {
		all = append(all, fine("mainnet", fmt.Sprintf("money is real, and the consent to it is at %s", d.settings.origins[consentKey])))
	}
	return all
}

// parted takes a complaint and its fix, which is behind the last colon, apart.
func parted(text string) (says, fix string) {
	if i := strings.LastIndex(text, ": "); i > 0 {
		return text[:i], text[i+2:]
	}
	return text, "mend it"
}

// certificates looks at those of a server that speaks TLS itself.
func (d *doctor) certificates() (all []finding) {
	t := &d.serve.tls
	var there []certificates.Certificate
	switch {
	case !t.on() || t.valid() != nil: // which is told already
		return nil
	case t.cert != "":
		files, err := certificates.OpenFiles(t.cert, t.key, slog.New(slog.DiscardHandler))
		if err != nil {
			return []finding{failed("certificate", err.Error(), "name the files of a certificate and its own key as --tls-cert and --tls-key, which the server's account can read")}
		}
		there = files.All()
	default:
		o, err := t.options(d.serve.hosts.data)
		if err != nil {
			return []finding{failed("certificate", err.Error(), "name the PEM file with the root of the ACME server as --acme-ca")}
		}
		there = certificates.Stored(o)
	}
	for _, c := range there {
		all = append(all, d.certificate(c))
	}
	if len(all) == 0 {
		all = append(all, failed("certificate", t.cert+" has no name of a domain in it", "have it made for the names that clients type (subjectAltName)"))
	}
	return all
}

// What to do about a certificate, by who renews it: ACME, which begins when a third of
// its life is left, or somebody else.
const (
	mendACME  = "see that the server runs, that the domain leads to this machine and its port 80 or 443 to the server, and the server's log for what the ACME server says"
	mendFiles = "see why it was not renewed by whoever does that; the server reads the files again when they change"
)

func (d *doctor) certificate(c certificates.Certificate) finding {
	mend := mendACME
	if d.serve.tls.cert != "" {
		mend = mendFiles
	}
	now := d.now()
	expires := fmt.Sprintf("that of %s expires on %s, in %s", c.Domain, c.NotAfter.UTC().Format(time.RFC3339), daysOf(c.NotAfter.Sub(now)))
	switch {
	case c.Err != nil:
		return failed("certificate", fmt.Sprintf("that of %s can't be used: %v", c.Domain, c.Err), "run this as the server's account; if it is damaged, remove the file, and the server obtains another one when it starts")
	case c.NotAfter.IsZero():
		return warning("certificate", "there is none for "+c.Domain+" yet", "start the server, which obtains it; "+mend)
	case now.After(c.NotAfter):
		return failed("certificate", fmt.Sprintf("that of %s has expired on %s: no browser takes it", c.Domain, c.NotAfter.UTC().Format(time.RFC3339)), mend)
	case now.Before(c.NotBefore):
		return failed("certificate", fmt.Sprintf("that of %s is valid from %s on, and not yet", c.Domain, c.NotBefore.UTC().Format(time.RFC3339)), mendClock)
	case now.After(c.RenewLate()):
		return warning("certificate", expires, "it should have been renewed by now: "+mend)
	}
	return fine("certificate", expires)
}

// daysOf writes a time for people: in days, as long as there are some.
func daysOf(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Truncate(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
