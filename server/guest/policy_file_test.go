package guest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// defaults is what holds without a file.
func defaults() guest.Policy {
	perDay, perHost, ask := x402.Amount(guest.DefaultPerDay), x402.Amount(guest.DefaultPerHost), x402.Amount(guest.DefaultAskAbove)
	return guest.Policy{Network: x402.BaseSepolia, MaxPrice: guest.DefaultMaxPrice, PerDay: &perDay, PerHost: &perHost, AskAbove: &ask}
}

func TestPolicySays(t *testing.T) {
	usdc, _, _ := x402.USDC(x402.BaseSepolia)
	trusted, err := x402.ParseAddress(payee)
	if err != nil {
		t.Fatal(err)
	}
	amount := func(a x402.Amount) *x402.Amount { return &a }
	for name, c := range map[string]struct {
		text   string
		change func(*guest.Policy)
	}{
		"nothing":          {"", func(*guest.Policy) {}},
		"a comment":        {"# per_day = \"1\"\n", func(*guest.Policy) {}},
		"per_payment":      {`per_payment = "0.000001"`, func(p *guest.Policy) { p.MaxPrice = 1 }},
		"nothing paid":     {`per_payment = "0"`, func(p *guest.Policy) { p.MaxPrice = 0 }},
		"per_day":          {`per_day = "7.5"`, func(p *guest.Policy) { p.PerDay = amount(7_500_000) }},
		"per_host":         {`per_host = "3"`, func(p *guest.Policy) { p.PerHost = amount(3 * x402.USD) }},
		"ask_above":        {`ask_above = "0"`, func(p *guest.Policy) { p.AskAbove = amount(0) }},
		"networks":         {`networks = ["base", "base-sepolia"]`, func(*guest.Policy) {}},
		"networks, devnet": {`networks = ["devnet"]`, func(*guest.Policy) {}},
		"networks, CAIP-2": {`networks = ["eip155:84532"]`, func(*guest.Policy) {}},
		"assets":           {`assets = ["usdc"]`, func(*guest.Policy) {}},
		"assets, address":  {`assets = ["` + payee + `", "` + usdc.String() + `"]`, func(*guest.Policy) {}},
		"payees":           {`payees = ["` + payee + `"]`, func(p *guest.Policy) { p.Payees = []x402.Address{trusted} }},
	} {
		t.Run(name, func(t *testing.T) {
			want := defaults()
			c.change(&want)
			got, err := guest.ParsePolicy(c.text, x402.BaseSepolia)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestPolicyRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, why string }{
		"unknown key":        {`per_week = "1"`, `unknown key "per_week"`},
		"unknown table":      {"[limits]\nper_day = \"1\"", `unknown key "limits`},
		"misspelt":           {`Per-Day = "1"`, `unknown key`},
		"in capitals":        {`PER_DAY = "1"`, `unknown key "PER_DAY"`},
		"capital networks":   {`Networks = ["base"]`, `unknown key "Networks"`},
		"capital payees":     {`Payees = []`, `unknown key "Payees"`},
		"dotted":             {`per_day.usd = "1"`, ""},
		"twice":              {"per_day = \"1\"\nper_day = \"2\"", "already"},
		"integer":            {`per_day = 5`, "in quotes"},
		"float":              {`per_payment = 0.1`, "in quotes"},
		"infinite":           {`per_payment = inf`, "in quotes"},
		"list":               {`per_payment = ["1"]`, "in quotes"},
		"7 decimals":         {`per_host = "0.0000001"`, "decimals"},
		"negative":           {`ask_above = "-1"`, "not a plain decimal number"},
		"signed":             {`per_day = "+1"`, "not a plain decimal number"},
		"exponent":           {`per_day = "1e3"`, "not a plain decimal number"},
		"empty amount":       {`per_day = ""`, "not a plain decimal number"},
		"with a dollar sign": {`per_day = "$1"`, "not a plain decimal number"},
		"2^256":              {`per_day = "115792089237316195423570985008687907853269984665640564039457584007913129639936"`, ""},
		"empty networks":     {`networks = []`, "networks does not have eip155:84532"},
		"other network":      {`networks = ["base"]`, "networks does not have eip155:84532"},
		"no network":         {`networks = ["mars"]`, ""},
		"empty assets":       {`assets = []`, "assets does not have USDC"},
		"other asset":        {`assets = ["` + payee + `"]`, "assets does not have USDC"},
		"empty payees":       {`payees = []`, "payees is empty"},
		"payee by name":      {`payees = ["ada"]`, ""},
		"wrong checksum":     {`payees = ["` + strings.Replace(payee, "B", "b", 1) + `"]`, "checksum"},
		"not TOML":           {`per_day: "1"`, ""},
		"broken off":         {`per_day = "1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := guest.ParsePolicy(c.text, x402.BaseSepolia)
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%+v, %v; want an error with %q", got, err, c.why)
			}
		})
	}
	if _, err := guest.ParsePolicy("", x402.EVM(1)); err == nil {
		t.Error("a policy for a network whose USDC is not known")
	}
}

// The file that is written for a person says what holds without one, also where
// it is commented out.
func TestDefaultPolicy(t *testing.T) {
	for name, text := range map[string]string{"as written": guest.DefaultPolicy,
		"with what is commented out, but for the payee": regexp.MustCompile(`(?m)^# (networks|assets) =`).ReplaceAllString(guest.DefaultPolicy, "$1 =")} {
		if got, err := guest.ParsePolicy(text, x402.BaseSepolia); err != nil || !reflect.DeepEqual(got, defaults()) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	withPayee := strings.Replace(guest.DefaultPolicy, "# payees", "payees", 1)
	if got, err := guest.ParsePolicy(withPayee, x402.BaseSepolia); err != nil || len(got.Payees) != 1 {
		t.Errorf("with a payee: %+v, %v", got, err)
	}
}

func TestPolicyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.toml")
	file := guest.PolicyFile{Path: path, Network: x402.BaseSepolia}
	if got, err := file.Current(); err != nil || !reflect.DeepEqual(got, defaults()) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	write(t, path, `per_payment = "2"`)
	for ceiling, want := range map[x402.Amount]x402.Amount{1 * x402.USD: 1 * x402.USD, 3 * x402.USD: 2 * x402.USD} {
		file.MaxPrice = &ceiling
		if got, err := file.Current(); err != nil || got.MaxPrice != want {
			t.Errorf("a ceiling of $%s: $%s, %v", ceiling.USD(), got.MaxPrice.USD(), err)
		}
	}
	const limit = 64 << 10
	write(t, path, strings.Repeat("#", limit))
	if _, err := file.Current(); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	write(t, path, strings.Repeat("#", limit)+"\n")
	if _, err := file.Current(); !errors.Is(err, guest.ErrPolicy) {
		t.Errorf("more than 64 KiB: %v", err)
	}
	write(t, path, "per_day = 1")
	if _, err := file.Current(); !errors.Is(err, guest.ErrPolicy) || !strings.Contains(err.Error(), path) {
		t.Errorf("an error does not name the file: %v", err)
	}
}

// The file counts as it is when a payment is asked for, and while it can't be
// read nothing is paid.
func TestPolicyFileBetweenPayments(t *testing.T) {
	p := newPlace(t)
	payer := p.account(t, 10*x402.USD)
	path := filepath.Join(t.TempDir(), "policy.toml")
	write(t, path, `per_payment = "0.05"`)
	c := config(t, payer)
	c.Policy = guest.PolicyFile{Path: path, Network: x402.BaseSepolia}
	h := dial(t, p.url, c)
	book := func(event string) error {
		_, err := h.Book(t.Context(), guest.Wish{EventID: event})
		return err
	}
	if err := book(p.event(t, "The first", "0.05", 0)); err != nil {
		t.Fatal(err)
	}
	payer.must(t, 1)

	second := p.event(t, "The second", "0.05", 0)
	write(t, path+".new", `per_payment = "0.04"`)
	if err := os.Rename(path+".new", path); err != nil { // as editors do it
		t.Fatal(err)
	}
	if err := book(second); !errors.Is(err, guest.ErrTooExpensive) {
		t.Errorf("under the new policy: %v", err)
	}
	for what, spoil := range map[string]func() error{
		"not to be understood": func() error { return os.WriteFile(path, []byte("per_payment = 9"), 0o600) },
		// Whoever runs the tests may be allowed to read every file, but no directory.
		"not to be read": func() error { return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := book(second); !errors.Is(err, guest.ErrPolicy) {
			t.Errorf("a policy %s: %v", what, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	payer.must(t, 1)
	if err := book(second); err != nil { // there is no file now
		t.Error(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzPolicy(f *testing.F) {
	for _, text := range []string{"", guest.DefaultPolicy, `per_payment = "0.000001"`, `payees = ["` + payee + `"]`,
		`networks = ["base"]`, "per_day = 5", "[per_day]\n", `assets = ["USDC"]`, "per_host = \"1\"\r\nper_host = \"2\""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := guest.ParsePolicy(string(text), x402.BaseSepolia)
		if err != nil {
			return
		}
		if p.MaxPrice < 0 || *p.PerDay < 0 || *p.PerHost < 0 || *p.AskAbove < 0 {
			t.Fatalf("%q allows less than nothing: %+v", text, p)
		}
		var again bytes.Buffer
		for key, amount := range map[string]x402.Amount{"per_payment": p.MaxPrice, "per_day": *p.PerDay, "per_host": *p.PerHost, "ask_above": *p.AskAbove} {
			again.WriteString(key + ` = "` + amount.USD() + "\"\n")
		}
		if len(p.Payees) > 0 {
			again.WriteString("payees = [")
			for _, one := range p.Payees {
				again.WriteString(`"` + one.String() + `",`)
			}
			again.WriteString("]\n")
		}
		if q, err := guest.ParsePolicy(again.String(), x402.BaseSepolia); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%q is %+v, and written again %+v (%v)", text, p, q, err)
		}
	})
}
