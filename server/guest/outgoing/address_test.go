package outgoing

import (
	"net/netip"
	"testing"
)

func TestAllowed(t *testing.T) {
	lan := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/10")}
	for address, want := range map[string]bool{
		"1.1.1.1":                true,
		"172.15.255.255":         true,
		"172.32.0.1":             true,
		"100.128.0.1":            true,
		"223.255.255.255":        true,
		"2606:4700:4700::1111":   true,
		"::ffff:1.1.1.1":         true,
		"64:ff9b::101:101":       true,
		"0.0.0.0":                false,
		"0.1.2.3":                false,
		"10.0.0.1":               false,
		"100.64.0.1":             false,
		"100.100.100.200":        false,
		"127.0.0.1":              false,
		"127.255.255.254":        false,
		"168.63.129.16":          false,
		"169.254.169.254":        false,
		"172.16.0.1":             false,
		"172.31.255.255":         false,
		"192.0.0.192":            false,
		"192.168.1.1":            false,
		"198.18.0.1":             false,
		"203.0.113.7":            false,
		"224.0.0.1":              false,
		"255.255.255.255":        false,
		"::":                     false,
		"::1":                    false,
		"::7f00:1":               false, // IPv4-compatible
		"::ffff:127.0.0.1":       false,
		"::ffff:169.254.169.254": false,
		"::ffff:0:7f00:1":        false, // IPv4-translated
		"64:ff9b::7f00:1":        false,
		"64:ff9b::a9fe:a9fe":     false,
		"64:ff9b:1::a00:1":       false, // NAT64 of one's own
		"100::1":                 false, // discarded
		"2001::1":                false,
		"2001:db8::1":            false,
		"2002:7f00:1::":          false,
		"3fff::1":                false,
		"5f00::1":                false, // segment routing
		"fd00:ec2::254":          false,
		"fe80::1":                false,
		"fe80::1%eth0":           false,
		"fec0::1":                false,
		"ff02::1":                false,
	} {
		a := netip.MustParseAddr(address)
		if allowed(a, nil) != want {
			t.Errorf("%s: %t", address, !want)
		}
		ours := address == "fe80::1" || address == "fe80::1%eth0"
		if allowed(a, lan) != (want || ours) {
			t.Errorf("%s with others allowed: %t", address, !want)
		}
	}
	for _, address := range []string{"10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"} {
		if !allowed(netip.MustParseAddr(address), lan) {
			t.Errorf("%s is not allowed", address)
		}
	}
	if allowed(netip.Addr{}, nil) {
		t.Error("no address at all is allowed")
	}
}

func TestParseAllow(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.2.3":            "10.1.2.3/32",
		"10.1.2.3/8":          "10.0.0.0/8",
		"::1":                 "::1/128",
		"::ffff:127.0.0.1":    "127.0.0.1/32",
		"fd00::/8":            "fd00::/8",
		"0.0.0.0/0":           "0.0.0.0/0",
		"":                    "",
		"localhost":           "",
		"10.0.0.0/33":         "",
		"010.0.0.1":           "",
		"fe80::1%eth0":        "",
		"::ffff:10.0.0.0/104": "",
	} {
		p, err := ParseAllow(in)
		if (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("%q: %s, %v", in, p, err)
		}
	}
}

// Whatever form an address has, it is judged alike, and what Go says not to be
// global is not dialled.
func FuzzAllowed(f *testing.F) {
	for _, s := range []string{"\x7f\x00\x00\x01", "\xa9\xfe\xa9\xfe", "\x01\x01\x01\x01", "\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x00\x00\x01"} {
		f.Add([]byte(s), "10.0.0.0/8")
	}
	f.Fuzz(func(t *testing.T, raw []byte, allow string) {
		if p, err := ParseAllow(allow); err == nil {
			again, err := ParseAllow(p.String())
			if err != nil || again != p {
				t.Errorf("%q is %s, which is %s, %v", allow, p, again, err)
			}
			if !allowed(p.Addr(), []netip.Prefix{p}) {
				t.Errorf("%q does not allow %s", allow, p.Addr())
			}
		}
		a, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		is := allowed(a, nil)
		if c := canonical(a); is && (!c.IsGlobalUnicast() || c.IsPrivate() || c.IsLoopback() || c.IsLinkLocalUnicast() || c.IsMulticast() || c.IsUnspecified()) {
			t.Errorf("%s is dialled", a)
		}
		if c := canonical(a); c.Is4() {
			four := c.As4()
			mapped := netip.AddrFrom16(c.As16())
			translated := netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 12: four[0], 13: four[1], 14: four[2], 15: four[3]})
			if allowed(c, nil) != is || allowed(mapped, nil) != is || allowed(translated, nil) != is {
				t.Errorf("%s is judged by its form", a)
			}
		}
		if allowed(a.WithZone("eth0"), nil) != is {
			t.Errorf("%s is judged by its zone", a)
		}
	})
}
