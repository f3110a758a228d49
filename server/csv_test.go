package server

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/events-concierge/concierge/payments/x402"
)

func TestCells(t *testing.T) {
	for in, want := range map[string]string{"": "", "Ada": "Ada", "=1+1": "'=1+1", "+49": "'+49", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", " =1": "' =1",
		"\uFEFF=1": "'\uFEFF=1", "\uFF1D1": "'\uFF1D1", "|cmd": "'|cmd", "2.50": "2.50", "a=b": "a=b", "مرحبا": "مرحبا"} {
		if got := cell(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzTicket(f *testing.F) {
	for _, s := range []string{"rsvp_0123", "https://events.example.org/u/abc/rsvps/rsvp_1?x#y", "http://[::1", "/u/a/rsvps/b", "<script>", "u/a/rsvps/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		id, user := ticketOf(typed)
		if id == "" && user != "" || len(id) > 100 || len(user) > 100 || strings.ContainsAny(id+user, "/<>&?# \n") {
			t.Errorf("%q is %q of %q", typed, id, user)
		}
		if again, _ := ticketOf(id); id != "" && again != id {
			t.Errorf("%q is %q, and that %q", typed, id, again)
		}
	})
}

func FuzzCell(f *testing.F) {
	f.Add("=1+1")
	f.Fuzz(func(t *testing.T, s string) {
		got := cell(s)
		if strings.TrimPrefix(got, "'") != strings.TrimPrefix(s, "'") && got != "'"+s {
			t.Errorf("%q became %q", s, got)
		}
		if utf8.ValidString(s) && got != "" && strings.ContainsAny(got[:1], "=+-@\t\r\n|%") {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestScale(t *testing.T) {
	for _, most := range []int64{1, 4, 5, 6, 999_999, 1_000_000, 10_000_000, 123_456_789, 1 << 60} {
		step := scale(x402.Amount(most))
		if lines := (most + int64(step) - 1) / int64(step); lines > 5 || lines < 1 {
			t.Errorf("%d: %d lines of %d", most, lines, step)
		}
	}
}
