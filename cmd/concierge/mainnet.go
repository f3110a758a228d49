package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/events-concierge/concierge/payments/x402"
)

// mainnet refuses a command that would move real money and was not meant to, or not
// like this. The consent to it is in a file and nowhere else: a flag or a variable is
// too soon copied from somewhere.
func (s *configured) mainnet(command string, flags *pflag.FlagSet) error {
	network := flags.Lookup("network")
	if network == nil || network.Value.String() != onBase || !settles(command) {
		return nil
	}
	if wrong := s.unfitForMainnet(flags); len(wrong) > 0 {
		return &usageError{errors.Join(wrong...)}
	}
	return nil
}

// unfitForMainnet returns what mainnet refuses; each says what to do behind its colon.
func (s *configured) unfitForMainnet(flags *pflag.FlagSet) (wrong []error) {
	if !s.consent {
		wrong = append(wrong, fmt.Errorf("--network base settles in real money, and needs your consent: put %s = true into %s", consentKey, s.place()))
	}
	if f := flags.Lookup("cors-origin"); f != nil && slices.Contains(f.Value.(pflag.SliceValue).GetSlice(), "*") {
		wrong = append(wrong, errors.New(`--cors-origin "*" lets every page on the web call this server, which --network base does not take: name the origins of your pages`))
	}
	if f := flags.Lookup("registration"); f != nil && f.Value.String() == "open" {
		wrong = append(wrong, errors.New("--registration open has everybody make wallets on your machine, which --network base does not take: use invite or closed"))
	}
	return wrong
}

// settles reports whether a command moves money from an account that it holds for
// others. A Guest pays from its person's own wallet, within their policy.
func settles(command string) bool {
	return slices.Contains([]string{"serve", "facilitator", "mcp host"}, command)
}

// place is where a key is to be written.
func (s *configured) place() string {
	file := s.path
	if file == "" {
		file = configName + " (make one with 'concierge config init')"
	}
	if s.env != "" {
		return "[env." + s.env + "] of " + file
	}
	return file
}

// testAccounts are those of the words "test test test test test test test test test
// test test junk", which Hardhat and Anvil have on every machine. Whatever is sent to
// one of them on a real network, somebody takes.
const testAccounts = `
0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266
0x70997970c51812dc3a010c7d01b50e0d17dc79c8
0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc
0x90f79bf6eb2c4f870365e785982e1f101e93b906
0x15d34aaf54267db7d7c367839aaf71a00a2c6a65
0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc
0x976ea74026e726554db657fa54763abd0c3a0aa9
0x14dc79964da2c08b23698b3d3cc7ca32193d9955
0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f
0xa0ee7a142d267c1f36714e4a8f75612f20a79720
0xbcd4042de499d14e55001ccbb24a551f3b954096
0x71be63f3384f5fb98995898a86b02fb2426c5788
0xfabb0ac9d68b0b445fb7357272ff202c5651694a
0x1cbd3b2770909d4e10f157cabc84c7264073c9ec
0xdf3e18d64bc6a983f673ab319ccae4f1a57c7097
0xcd3b766ccdd6ae721141f452c550ca635964ce71
0x2546bcd3c84621e976d8185a91a922ae77ecec30
0xbda5747bfd65f08deb54cb465eb87d40e51b197e
0xdd2fd4581271e230360230f9337d5c0430bf44c0
0x8626f6940e2eb28930efb4cef49b2d1f2c9c1199
`

// refuseTestAccount refuses an account whose key everybody has, where its money is
// real.
func (n *networkFlags) refuseTestAccount(gas x402.Address) error {
	if n.name != onBase || !slices.Contains(strings.Fields(testAccounts), strings.ToLower(gas.String())) {
		return nil
	}
	return fmt.Errorf("the account %s is a test account of Hardhat and Anvil, whose key everybody has: it can't pay for gas on base; use an account of your own", gas)
}
