package x402

import (
	"fmt"
	"strconv"
	"strings"
)

// Network is a chain in CAIP-2 form, such as "eip155:84532". It is the only
// form used inside this project; version 1's names are translated where they
// are read and written.
type Network string

// The networks this project knows by name.
const (
	BaseSepolia Network = "eip155:84532"
	Base        Network = "eip155:8453"
)

// Network names of version 1, both ways. A switch rather than a map, so that
// nothing can change it.
func (n Network) v1Name() string {
	switch n {
	case BaseSepolia:
		return "base-sepolia"
	case Base:
		return "base"
	}
	return ""
}

// NetworkV1 translates a network name of version 1; a network without one, such
// as the embedded chain, has its CAIP-2 name there too, see [Network.Name].
// Errors: [ErrNetwork].
func NetworkV1(name string) (Network, error) {
	for _, n := range []Network{BaseSepolia, Base} {
		if n.v1Name() == name {
			return n, nil
		}
	}
	if n, err := ParseNetwork(name); err == nil && n.v1Name() == "" {
		return n, nil
	}
	return "", fmt.Errorf("%w: %.40q", ErrNetwork, name)
}

// ParseNetwork reads a CAIP-2 name of an EVM chain. Errors: [ErrNetwork].
func ParseNetwork(s string) (Network, error) {
	digits, ok := strings.CutPrefix(s, "eip155:")
	if !ok || plainDecimal(digits) != nil {
		return "", fmt.Errorf("%w: %.40q", ErrNetwork, s)
	}
	if id, err := strconv.ParseUint(digits, 10, 63); err != nil || id == 0 {
		return "", fmt.Errorf("%w: %.40q", ErrNetwork, s)
	}
	return Network(s), nil
}

// EVM returns the CAIP-2 name of the chain with this id (EIP-155).
func EVM(chainID uint64) Network { return Network("eip155:" + strconv.FormatUint(chainID, 10)) }

// ChainID returns the EIP-155 chain id. Errors: [ErrNetwork].
func (n Network) ChainID() (uint64, error) {
	if _, err := ParseNetwork(string(n)); err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimPrefix(string(n), "eip155:"), 10, 63)
}

// Name returns the network as the given x402 version writes it: CAIP-2 in
// version 2; in version 1 the short name, or CAIP-2 where there is none.
func (n Network) Name(version int) string {
	if short := n.v1Name(); version == 1 && short != "" {
		return short
	}
	return string(n)
}

// UnmarshalText implements encoding.TextUnmarshaler with [ParseNetwork].
func (n *Network) UnmarshalText(b []byte) (err error) {
	*n, err = ParseNetwork(string(b))
	return err
}

// USDC returns the token of a network that this project knows: its address
// and EIP-712 domain. ok is false for any other network.
// Source: Circle's contract addresses, read back from both chains.
func USDC(n Network) (asset Address, domain Domain, ok bool) {
	switch n {
	case BaseSepolia:
		return mustAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e"), Domain{Name: "USDC", Version: "2"}, true
	case Base:
		return mustAddress("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"), Domain{Name: "USD Coin", Version: "2"}, true
	}
	return Address{}, Domain{}, false
}

func mustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}
