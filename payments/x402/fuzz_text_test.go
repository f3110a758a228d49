package x402_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
)

// FuzzParse reads one text as everything that a member of a payment can be: what
// is taken is written as it was, but for the case of hex digits, and nothing is
// taken for two kinds of things.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "50000", "-1", "+1", "1e6", "0x10", "010", strings.Repeat("9", 78), strings.Repeat("9", 79), payer, payTo,
		strings.ToLower(payer), nonce, "0x", "eip155:84532", "eip155:0", "eip155:9223372036854775807", "eip155:9223372036854775808", "base", "base-sepolia"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kinds := 0
		check := func(written string, err error) {
			if err != nil {
				checkOneClass(t, err)
				return
			}
			if kinds++; !strings.EqualFold(written, s) {
				t.Errorf("%q is written %q", s, written)
			}
		}
		n, err := x402.ParseUint256(s)
		check(n.String(), err)
		kinds = 0 // an amount is a number too
		amount, err := x402.ParseAtomic(s)
		if check(amount.String(), err); err == nil && (amount < 0 || amount.Uint256() != n) {
			t.Errorf("%q is %d as an amount, and %s as a number", s, int64(amount), n)
		}
		address, err := x402.ParseAddress(s)
		check(address.String(), err)
		hash, err := x402.ParseBytes32(s)
		check(hash.String(), err)
		network, err := x402.ParseNetwork(s)
		if check(string(network), err); err == nil {
			if id, err := network.ChainID(); err != nil || x402.EVM(id) != network {
				t.Errorf("%q is chain %d, %v", s, id, err)
			}
		}
		if named, err := x402.NetworkV1(s); err == nil && named.Name(1) != s {
			t.Errorf("%q is %q, which is called %q", s, named, named.Name(1))
		}
		if kinds > 1 {
			t.Errorf("%q is %d kinds of things", s, kinds)
		}
	})
}

// A header says what its JSON says: there is no second reading of it.
func FuzzDecodeHeaders(f *testing.F) {
	for _, raw := range requests(f) {
		f.Add(toBase64(raw))
	}
	for _, r := range receipts {
		f.Add(toBase64([]byte(r.raw)))
	}
	for _, value := range vectorHeaders(f) {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		required, err := x402.DecodeRequiredHeader(value)
		if err != nil {
			checkOneClass(t, err)
		} else if again, err := x402.DecodeRequired(fromBase64(t, value)); err != nil || !cmp.Equal(required, again) {
			t.Errorf("request: %v\n%s", err, cmp.Diff(required, again))
		}
		receipt, err := x402.DecodeReceiptHeader(value)
		if err != nil {
			checkOneClass(t, err)
		} else if again, err := x402.DecodeReceipt(fromBase64(t, value)); err != nil || !cmp.Equal(again, receipt) {
			t.Errorf("receipt: %v\n%s", err, cmp.Diff(receipt, again))
		}
	})
}
