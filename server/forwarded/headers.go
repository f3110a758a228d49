package forwarded

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hop is from where a proxy got a request. One that can't be read has no address.
type hop struct {
	at    netip.AddrPort
	https bool
}

// forwardedFor yields what X-Forwarded-For says, the nearest hop first. The header for
// the scheme says but one thing, of the outermost proxy that writes it; a list is what
// clients and careless proxies make of it, and its last entry is the nearest proxy's.
func forwardedFor(h http.Header) iter.Seq[hop] {
	https := false
	for scheme := range fromTheEnd(h["X-Forwarded-Proto"], ',') {
		https = strings.EqualFold(scheme, "https")
		break
	}
	return func(yield func(hop) bool) {
		for entry := range fromTheEnd(h["X-Forwarded-For"], ',') {
			if !yield(hop{at: address(entry), https: https}) {
				return
			}
		}
		yield(hop{https: https}) // who wrote the first entry names nobody
	}
}

// forwardedHops yields what Forwarded says (RFC 7239, section 4), likewise.
func forwardedHops(h http.Header) iter.Seq[hop] {
	return func(yield func(hop) bool) {
		for element := range fromTheEnd(h["Forwarded"], ',') {
			if !yield(parseElement(element)) {
				return
			}
		}
	}
}

// parseElement reads one element. One that names two addresses names none.
func parseElement(element string) (parsed hop) {
	names := 0
	for pair := range fromTheEnd([]string{element}, ';') {
		name, value, _ := strings.Cut(pair, "=")
		value = unquote(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			names++
			parsed.at = address(value)
		case "proto":
			parsed.https = strings.EqualFold(value, "https")
		}
	}
	if names > 1 {
		parsed.at = netip.AddrPort{}
	}
	return parsed
}

// address reads the forms that proxies write: 192.0.2.1, 192.0.2.1:80, 2001:db8::1,
// [2001:db8::1], [2001:db8::1]:80. What is none of them ("unknown", "_hidden") is the
// zero value. A zone is of some other machine's interfaces, and left out.
func address(s string) netip.AddrPort {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		bare, hasBrackets := strings.CutPrefix(s, "[")
		if hasBrackets {
			var closed bool
			if bare, closed = strings.CutSuffix(bare, "]"); !closed {
				return netip.AddrPort{}
			}
		}
		a, err := netip.ParseAddr(bare)
		if err != nil || hasBrackets && a.Is4() {
			return netip.AddrPort{}
		}
		at = netip.AddrPortFrom(a, 0)
	}
	a := at.Addr().Unmap().WithZone("")
	if a.IsUnspecified() || a.IsMulticast() { // nobody sends from there
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, at.Port())
}

// fromTheEnd yields the trimmed parts of a list that may be spread over lines, the last
// first. A separator in a quoted string is none. Nothing is read before it is asked for,
// for a client can make the list long. Empty parts are left out (RFC 9110, section 5.6.1).
func fromTheEnd(lines []string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				var part string
				at := lastOutsideQuotes(line, separator)
				if more = at >= 0; more {
					line, part = line[:at], line[at+1:]
				} else {
					part = line
				}
				if part = strings.Trim(part, " \t"); part != "" && !yield(part) {
					return
				}
			}
		}
	}
}

// lastOutsideQuotes is where the last separator is that no quoted string contains. A
// quote is escaped if an odd number of backslashes is before it.
func lastOutsideQuotes(s string, separator byte) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && !escaped(s, i):
			quoted = !quoted
		case s[i] == separator && !quoted:
			return i
		}
	}
	return -1
}

func escaped(s string, i int) bool {
	before := strings.TrimRight(s[:i], `\`)
	return (i-len(before))%2 == 1
}

// unquote returns what a quoted string says; anything else is as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
