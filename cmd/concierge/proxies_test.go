package main

import "testing"

func TestProxyFlags(t *testing.T) {
	for _, c := range []struct {
		flags proxyFlags
		ok    bool
	}{
		{proxyFlags{header: "x-forwarded-for"}, true},
		{proxyFlags{trusted: []string{"127.0.0.1", "10.0.0.0/8", "2001:db8::/32"}, header: "forwarded"}, true},
		{proxyFlags{trusted: []string{"proxy.example.org"}, header: "forwarded"}, false},
		{proxyFlags{trusted: []string{"0.0.0.0/0"}, header: "x-forwarded-for"}, false},
		{proxyFlags{trusted: []string{"::/0"}, header: "x-forwarded-for"}, false},
		{proxyFlags{header: "x-real-ip"}, false},
	} {
		if p, err := c.flags.open(); (err == nil) != c.ok || err == nil && len(p.Trusted) != len(c.flags.trusted) {
			t.Errorf("%+v: %v, %v", c.flags, p, err)
		}
	}
}
