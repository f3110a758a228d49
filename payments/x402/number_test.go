package x402_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestUint256(t *testing.T) {
	const most = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	for _, s := range []string{"0", "1", "10000", "18446744073709551615", "18446744073709551616", most} {
		n, err := x402.ParseUint256(s)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(n)
		if err != nil || string(raw) != quote(s) {
			t.Errorf("JSON of %s is %s, %v", s, raw, err)
		}
		if raw, err = json.Marshal(struct{ N *x402.Uint256 }{&n}); err != nil || string(raw) != `{"N":"`+s+`"}` {
			t.Errorf("JSON of a pointer to %s is %s, %v", s, raw, err)
		}
		if got := fmt.Sprintf("%s %v %s", n, n, &n); got != s+" "+s+" "+s {
			t.Errorf("%s is printed as %s", s, got)
		}
		var again x402.Uint256
		if err := json.Unmarshal([]byte(quote(s)), &again); err != nil || again != n {
			t.Errorf("%s comes back as %s, %v", s, again, err)
		}
	}
	for _, raw := range []string{`null`, `1`, `"`, `""`, `"1`, `{}`} {
		var n x402.Uint256
		if err := n.UnmarshalJSON([]byte(raw)); err == nil {
			t.Errorf("%s was taken", raw)
		}
	}
}

func TestUint256ToAmount(t *testing.T) {
	for in, want := range map[string]error{
		"9223372036854775807": nil, "9223372036854775808": x402.ErrRange, "18446744073709551615": x402.ErrRange,
		"18446744073709551616": x402.ErrRange, "36893488147419103233": x402.ErrRange,
	} {
		got, err := mustUint256(t, in).Amount()
		if want != nil {
			checkClass(t, err, want)
		} else if err != nil || got != math.MaxInt64 {
			t.Errorf("%s is %d, %v", in, int64(got), err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	// The examples of EIP-55.
	for _, s := range []string{
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
		"0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
		"0x0000000000000000000000000000000000000000",
	} {
		for form, in := range map[string]string{
			"checksum": s, "lower": strings.ToLower(s), "upper": "0x" + strings.ToUpper(s[2:]),
		} {
			a, err := x402.ParseAddress(in)
			if err != nil || a.String() != s {
				t.Errorf("%s of %s: %s, %v", form, s, a, err)
			}
			if a.IsZero() != strings.HasSuffix(s, "00000000") {
				t.Errorf("IsZero of %s", s)
			}
		}
	}
	for _, d := range damagedAddress {
		var s string
		if d.value == removed || json.Unmarshal([]byte(d.value), &s) != nil || d.value == "null" {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			a, err := x402.ParseAddress(s)
			checkClass(t, err, d.want)
			if !a.IsZero() {
				t.Errorf("and returned %s", a)
			}
		})
	}
}

func TestParseBytes32(t *testing.T) {
	const mixed = "0xABCDEFabcdef0000000000000000000000000000000000000000000000000001"
	b, err := x402.ParseBytes32(mixed)
	if err != nil || b.String() != strings.ToLower(mixed) || b[0] != 0xab || b[31] != 1 {
		t.Errorf("%s, %v", b, err)
	}
	for _, d := range damagedNonce {
		var s string
		if d.value == removed || json.Unmarshal([]byte(d.value), &s) != nil || d.value == "null" {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			b, err := x402.ParseBytes32(s)
			checkClass(t, err, d.want)
			if b != (x402.Bytes32{}) {
				t.Errorf("and returned %s", b)
			}
		})
	}
}
