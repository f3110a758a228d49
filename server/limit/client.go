package limit

import "net/netip"

// Client returns who is counted at an address such as "192.0.2.1:443": an IPv4
// address, or the /64 of an IPv6 one, which is what a single customer has; of this
// machine's own, the address. What is no address is all one client.
func Client(remote string) netip.Prefix {
	at, _ := netip.ParseAddrPort(remote)
	addr := at.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() || addr.IsLoopback() {
		bits = addr.BitLen()
	}
	client, _ := addr.Prefix(bits)
	return client
}
