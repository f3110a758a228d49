package outgoing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// special are the IPv4 addresses that are not of the public internet, by IANA's
// special-purpose registries (RFC 6890), with those that clouds give to services of
// theirs; and what is not public of IPv6's global unicast.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // behind a carrier's NAT; Alibaba's metadata
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's platform
	"169.254.0.0/16",   // link-local; the metadata of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // relays to 6to4
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
	"2001::/23",        // protocol assignments, with Teredo
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4
	"3fff::/20",        // documentation
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// canonical is the address that packets to a reach: the IPv4 address within a mapped
// one and within one of NAT64.
func canonical(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// allowed reports whether a may be dialled: it is public, or in one of allow.
func allowed(a netip.Addr, allow []netip.Prefix) bool {
	a = canonical(a)
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(allow, contains) ||
		(a.Is4() || globalUnicast.Contains(a)) && !slices.ContainsFunc(special, contains)
}

// ParseAllow parses an address, such as 10.1.2.3, or a block of them, such as
// 10.0.0.0/8, for [Options]. Blocks of IPv4 addresses in IPv6's form are refused:
// what they are compared with is in IPv4's.
func ParseAllow(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%.60q is no IP address, and no block of them such as 10.0.0.0/8", s)
		}
		a = canonical(a)
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || canonical(p.Addr()) != p.Addr() {
		return netip.Prefix{}, fmt.Errorf("%.60q is no block of IP addresses such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}
