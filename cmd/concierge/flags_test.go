package main

import (
	"strings"
	"testing"
)

func TestGwei(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1000000000", "0.5": "500000000", "0.000000001": "1", "25.75": "25750000000", "007": "7000000000",
	} {
		var g gwei
		if err := g.Set(text); err != nil || g.wei.String() != want || g.String() != text {
			t.Errorf("%q: %s, %v; want %s", text, g.wei, err, want)
		}
	}
	for _, text := range []string{"", "0", "0.0", "-1", "+1", ".5", "5.", "1e3", "0x10", "1.0000000001", "1,5", " 1", "1_0", "1.-5", "1.2.3", "12345678901", "½"} {
		var g gwei
		if err := g.Set(text); err == nil {
			t.Errorf("%q: %s", text, g.wei)
		}
	}
}

func TestAddresses(t *testing.T) {
	const one, two = "0x0BA5ED0c6AA8c49038F819E587E2633c4A9F428a", "0xBA5ED110eFDBa3D005bfC882d75358ACBbB85842"
	var a addresses
	for _, s := range []string{one, two + ", " + strings.ToLower(one)} {
		if err := a.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if want := one + "," + two + "," + one; a.String() != want {
		t.Errorf("%s, want %s", a.String(), want)
	}
	for _, bad := range []string{"", ",", one + ",", one[:41], one + two, strings.Replace(one, "B", "b", 1), "vitalik.eth"} {
		if err := new(addresses).Set(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
