package x402_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestParseUSD(t *testing.T) {
	for _, test := range []struct {
		in   string
		want x402.Amount
		usd  string // what USD writes
	}{
		{"0", 0, "0.00"},
		{"0.0", 0, "0.00"},
		{"0.000000", 0, "0.00"},
		{"0.000001", 1, "0.000001"},
		{"0.01", 10_000, "0.01"},
		{"0.05", 50_000, "0.05"},
		{"0.1", 100_000, "0.10"},
		{"0.29", 290_000, "0.29"}, // 0.29 * 1e6 as float64 is 289999.99999999994
		{"0.123456", 123_456, "0.123456"},
		{"0.123450", 123_450, "0.12345"},
		{"1", x402.USD, "1.00"},
		{"1.1", 1_100_000, "1.10"},
		{"2.50", 2_500_000, "2.50"},
		{"2.500", 2_500_000, "2.50"},
		{"4.35", 4_350_000, "4.35"}, // 4.35 * 1e6 as float64 is 4349999.999999999
		{"25", 25_000_000, "25.00"},
		{"9007199254.740993", 9007199254740993, "9007199254.740993"}, // 2^53+1 units
		{"9223372036854.775807", math.MaxInt64, "9223372036854.775807"},
	} {
		t.Run(test.in, func(t *testing.T) {
			got, err := x402.ParseUSD(test.in)
			if err != nil || got != test.want {
				t.Fatalf("ParseUSD = %d, %v; want %d", got, err, test.want)
			}
			if got.USD() != test.usd {
				t.Errorf("USD = %q, want %q", got.USD(), test.usd)
			}
			if again, err := x402.ParseUSD(got.USD()); err != nil || again != got {
				t.Errorf("ParseUSD(USD) = %d, %v", again, err)
			}
		})
	}
}

func TestParseUSDRefuses(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     error
	}{
		{"empty", "", x402.ErrNumber},
		{"point alone", ".", x402.ErrNumber},
		{"nothing before the point", ".5", x402.ErrNumber},
		{"nothing after the point", "5.", x402.ErrNumber},
		{"two points", "1.2.3", x402.ErrNumber},
		{"negative", "-1", x402.ErrNumber},
		{"negative after the point", "1.-1", x402.ErrNumber},
		{"plus sign", "+1", x402.ErrNumber},
		{"dollar sign", "$1", x402.ErrNumber},
		{"currency", "1 USDC", x402.ErrNumber},
		{"exponent", "1e3", x402.ErrNumber},
		{"exponent after the point", "1.5e3", x402.ErrNumber},
		{"comma for a point", "2,50", x402.ErrNumber},
		{"thousands separator", "1,000.00", x402.ErrNumber},
		{"underscore", "1_000", x402.ErrNumber},
		{"leading zero", "01", x402.ErrNumber},
		{"leading zeros", "00.5", x402.ErrNumber},
		{"space before", " 1", x402.ErrNumber},
		{"space after", "1 ", x402.ErrNumber},
		{"line feed", "1.5\n", x402.ErrNumber},
		{"letter among the decimals", "1.2x4", x402.ErrNumber},
		{"hex", "0x10", x402.ErrNumber},
		{"not a number", "NaN", x402.ErrNumber},
		{"infinite", "Inf", x402.ErrNumber},
		{"full-width digit", "１", x402.ErrNumber},
		{"7 decimals", "0.0000001", x402.ErrRange},
		{"7 decimals, all zero", "0.0000000", x402.ErrRange},
		{"one unit above int64", "9223372036854.775808", x402.ErrRange},
		{"above int64", "9223372036855", x402.ErrRange},
		{"a million digits", strings.Repeat("9", 1_000_000), x402.ErrRange},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := x402.ParseUSD(test.in)
			checkClass(t, err, test.want)
			if got != 0 {
				t.Errorf("and returned %d", got)
			}
		})
	}
}

func TestUSDOfExtremes(t *testing.T) {
	for _, test := range []struct {
		in   x402.Amount
		want string
	}{
		{-1, "-0.000001"},
		{-2_500_000, "-2.50"},
		{999_999, "0.999999"},
		{1_000_001, "1.000001"},
		{math.MaxInt64, "9223372036854.775807"},
		{math.MinInt64 + 1, "-9223372036854.775807"},
		{math.MinInt64, "-9223372036854.775808"},
	} {
		if got := test.in.USD(); got != test.want {
			t.Errorf("USD(%d) = %q, want %q", int64(test.in), got, test.want)
		}
	}
}

func TestParseAtomic(t *testing.T) {
	for in, want := range map[string]x402.Amount{"0": 0, "1": 1, "50000": 50_000, "9223372036854775807": math.MaxInt64} {
		got, err := x402.ParseAtomic(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("ParseAtomic(%s) = %d, %v, written %s", in, int64(got), err, got)
		}
		if back, err := got.Uint256().Amount(); err != nil || back != got {
			t.Errorf("%s through Uint256 = %d, %v", in, int64(back), err)
		}
	}
	for in, want := range map[string]error{
		"": x402.ErrNumber, "-1": x402.ErrNumber, "+1": x402.ErrNumber, "1.0": x402.ErrNumber, "1e6": x402.ErrNumber,
		"007": x402.ErrNumber, "0x1": x402.ErrNumber, " 1": x402.ErrNumber,
		"9223372036854775808": x402.ErrRange, "18446744073709551616": x402.ErrRange, strings.Repeat("9", 78): x402.ErrRange,
	} {
		t.Run("refuse "+in, func(t *testing.T) {
			_, err := x402.ParseAtomic(in)
			checkClass(t, err, want)
		})
	}
}

func TestAmountInJSON(t *testing.T) {
	raw, err := json.Marshal(map[string]x402.Amount{"amount": 50_000})
	if err != nil || string(raw) != `{"amount":"50000"}` {
		t.Fatalf("%s, %v", raw, err)
	}
	var a x402.Amount
	if err := json.Unmarshal([]byte(`"50000"`), &a); err != nil || a != 50_000 {
		t.Errorf("%d, %v", int64(a), err)
	}
	for _, in := range []string{`50000`, `5e4`, `"5e4"`, `"-5"`, `""`, `"9223372036854775808"`} {
		if err := json.Unmarshal([]byte(in), &a); err == nil {
			t.Errorf("%s was taken", in)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		name string
		each x402.Amount
		n    int
		want x402.Amount
		err  error
	}{
		{"three seats", 2_500_000, 3, 7_500_000, nil},
		{"no seats", 2_500_000, 0, 0, nil},
		{"free seats", 0, math.MaxInt, 0, nil},
		{"the most there is", math.MaxInt64, 1, math.MaxInt64, nil},
		{"just fits", math.MaxInt64 / 7, 7, math.MaxInt64 / 7 * 7, nil},
		{"just too much", math.MaxInt64/2 + 1, 2, 0, x402.ErrRange},
		{"wraps around to a positive number", 1 << 62, 5, 0, x402.ErrRange},
		{"wraps around to zero", 1 << 32, 1 << 32, 0, x402.ErrRange},
		{"both at most", math.MaxInt64, math.MaxInt, 0, x402.ErrRange},
		{"negative price", -1, 1, 0, x402.ErrRange},
		{"negative seats", 1, -1, 0, x402.ErrRange},
		{"both negative", -1, -1, 0, x402.ErrRange},
		{"least price", math.MinInt64, 1, 0, x402.ErrRange},
		{"least of both", math.MinInt64, math.MinInt, 0, x402.ErrRange},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.each.Times(test.n)
			if test.err != nil {
				checkClass(t, err, test.err)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%d, want %d", int64(got), int64(test.want))
			}
		})
	}
}

// Money is never a float: neither here nor by way of a conversion.
func TestNoFloats(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if strings.Contains(strings.ToLower(n.Name), "float") {
					t.Errorf("%s uses %s", name, n.Name)
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					t.Errorf("%s has the number %s", name, n.Value)
				}
			}
			return true
		})
	}
}
