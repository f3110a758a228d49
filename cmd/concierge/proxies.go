package main

import (
	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/forwarded"
)

// proxyFlags are about the reverse proxies in front of a server.
type proxyFlags struct {
	trusted []string
	header  string
}

func (p *proxyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&p.trusted, "trusted-proxy", nil, "an address, or a block of them such as 10.0.0.0/8, of a reverse proxy that says whose requests it passes on; repeat it or separate by commas")
	cmd.Flags().StringVar(&p.header, "trusted-proxy-header", string(forwarded.XForwardedFor), "the header in which it says so: x-forwarded-for (and x-forwarded-proto) or forwarded (RFC 7239)")
}

func (p *proxyFlags) open() (forwarded.Proxies, error) {
	all := forwarded.Proxies{Header: forwarded.Header(p.header)}
	if all.Header != forwarded.XForwardedFor && all.Header != forwarded.Forwarded {
		return all, misuse("--trusted-proxy-header %q: want %s or %s", p.header, forwarded.XForwardedFor, forwarded.Forwarded)
	}
	for _, s := range p.trusted {
		block, err := forwarded.ParseTrusted(s)
		switch {
		case err != nil:
			return all, misuse("--trusted-proxy %q: want an address such as 10.0.0.1, or a block of them such as 10.0.0.0/8", s)
		case block.Bits() == 0:
			return all, misuse("--trusted-proxy %s: every client could say that it is another; name the proxy's own addresses", s)
		}
		all.Trusted = append(all.Trusted, block)
	}
	return all, nil
}
