package x402_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// requests returns a request for payment with one entry, in both versions.
func requests(tb testing.TB) map[string][]byte {
	tb.Helper()
	p := twoWaysToPay(tb)
	p.Accepts = p.Accepts[:1]
	v2, err := json.Marshal(p)
	if err != nil {
		tb.Fatal(err)
	}
	v1, err := json.Marshal(p.V1())
	if err != nil {
		tb.Fatal(err)
	}
	return map[string][]byte{"v1": v1, "v2": v2}
}

func TestDamagedRequired(t *testing.T) {
	list := []damage{
		{"missing", removed, x402.ErrMissing},
		{"null", `null`, x402.ErrMissing},
		{"empty", `[]`, x402.ErrMissing},
		{"object", `{}`, x402.ErrJSON},
		{"a number in it", `[1]`, x402.ErrJSON},
		{"an array in it", `[[]]`, x402.ErrJSON},
		{"a scheme that is a number", `[{"scheme": 1}]`, x402.ErrJSON},
		{"nothing but null", `[null]`, x402.ErrScheme},
	}
	for version, members := range map[string]map[string][]damage{
		"v1": {"x402Version": damagedVersion, "accepts": list, "error": {{"object", `{}`, x402.ErrJSON}}},
		"v2": {
			"x402Version": damagedVersion, "accepts": list, "error": {{"object", `{}`, x402.ErrJSON}},
			"resource":     {{"missing", removed, x402.ErrMissing}, {"null", `null`, x402.ErrMissing}, {"string", `"mcp://tool/x"`, x402.ErrJSON}},
			"resource.url": {{"number", `1`, x402.ErrJSON}},
			"extensions":   {{"array", `[]`, x402.ErrJSON}, {"string", `""`, x402.ErrJSON}},
		},
	} {
		for path, damages := range members {
			for _, d := range damages {
				t.Run(version+"/"+path+"/"+d.name, func(t *testing.T) {
					checkRequiredRefused(t, edit(t, requests(t)[version], path, d.value), d.want)
				})
			}
		}
	}
}

func TestDamagedEntry(t *testing.T) {
	extra := []damage{{"string", `"USDC"`, x402.ErrJSON}, {"name is a number", `{"name": 1}`, x402.ErrJSON}}
	for version, members := range map[string]map[string][]damage{
		"v1": {
			"maxAmountRequired": damagedNumber, "payTo": damagedAddress, "asset": damagedAddress,
			"maxTimeoutSeconds": damagedTimeout, "extra": extra,
			"resource": {{"object", `{"url": "x"}`, x402.ErrJSON}},
		},
		"v2": {
			"amount": damagedNumber, "payTo": damagedAddress, "asset": damagedAddress,
			"maxTimeoutSeconds": damagedTimeout, "extra": extra,
		},
	} {
		request := requests(t)[version]
		var w struct {
			Accepts []json.RawMessage `json:"accepts"`
		}
		if err := json.Unmarshal(request, &w); err != nil {
			t.Fatal(err)
		}
		good := string(w.Accepts[0])
		for path, damages := range members {
			for _, d := range damages {
				t.Run(version+"/"+path+"/"+d.name, func(t *testing.T) {
					broken := string(edit(t, w.Accepts[0], path, d.value))
					checkRequiredRefused(t, edit(t, request, "accepts", "["+broken+"]"), d.want)
					// A good entry doesn't make up for a broken one of ours.
					checkRequiredRefused(t, edit(t, request, "accepts", "["+good+","+broken+"]"), d.want)
				})
			}
		}
	}
}

func checkRequiredRefused(t *testing.T, raw []byte, want error) {
	t.Helper()
	got, err := x402.DecodeRequired(raw)
	checkRefused(t, err, want, "")
	if got.X402Version != 0 || got.Accepts != nil {
		t.Errorf("and returned %+v", got)
	}
	_, err = x402.DecodeRequiredHeader(toBase64(raw))
	checkRefused(t, err, want, "")
}

func TestRequiredEntryLimit(t *testing.T) {
	for version, request := range requests(t) {
		var w struct {
			Accepts []json.RawMessage `json:"accepts"`
		}
		if err := json.Unmarshal(request, &w); err != nil {
			t.Fatal(err)
		}
		entries := strings.Repeat(string(w.Accepts[0])+",", 32)
		got, err := x402.DecodeRequired(edit(t, request, "accepts", "["+strings.TrimSuffix(entries, ",")+"]"))
		if err != nil || len(got.Accepts) != 32 {
			t.Errorf("%s: %d of 32 entries, %v", version, len(got.Accepts), err)
		}
		t.Run(version+"/33 entries", func(t *testing.T) {
			checkRequiredRefused(t, edit(t, request, "accepts", "["+entries+string(w.Accepts[0])+"]"), x402.ErrTooLarge)
		})
		t.Run(version+"/33 foreign entries", func(t *testing.T) {
			checkRequiredRefused(t, edit(t, request, "accepts", "["+strings.Repeat("{},", 32)+"{}]"), x402.ErrTooLarge)
		})
	}
}

func TestDamagedRequiredBytes(t *testing.T) {
	for version, request := range requests(t) {
		v := string(request)
		for _, test := range []struct {
			name, raw string
			want      error
		}{
			{"nothing", "", x402.ErrJSON},
			{"null", "null", x402.ErrMissing},
			{"a list", "[" + v + "]", x402.ErrJSON},
			{"truncated", v[:len(v)/2], x402.ErrJSON},
			{"trailing", v + "{}", x402.ErrTrailing},
			{"oversized", v + strings.Repeat(" ", x402.MaxRequired), x402.ErrTooLarge},
			{"an HTML page", "<html>402</html>", x402.ErrJSON},
			{"payTo twice", strings.Replace(v, `"payTo":`, `"payTo":"`+payer+`","payTo":`, 1), x402.ErrJSON},
			{"payTo in two cases", strings.Replace(v, `"payTo":`, `"payto":"`+payer+`","payTo":`, 1), x402.ErrJSON},
			{"two lists of entries", strings.Replace(v, `"accepts":`, `"accepts":[],"accepts":`, 1), x402.ErrJSON},
		} {
			t.Run(version+"/"+test.name, func(t *testing.T) {
				checkRequiredRefused(t, []byte(test.raw), test.want)
			})
		}
	}
	for name, value := range map[string]string{"the JSON itself": string(requests(t)["v2"]), "line feed": "e30=\n", "URL-safe": "_-8="} {
		t.Run("header/"+name, func(t *testing.T) {
			_, err := x402.DecodeRequiredHeader(value)
			checkClass(t, err, x402.ErrBase64)
		})
	}
	t.Run("header/oversized", func(t *testing.T) {
		_, err := x402.DecodeRequiredHeader(strings.Repeat("A", 2*x402.MaxRequired))
		checkClass(t, err, x402.ErrTooLarge)
	})
}
