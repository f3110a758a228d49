package main

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// What is drawn is the code, module for module, with its margin.
func TestDrawQR(t *testing.T) {
	const text = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	var plain, colored strings.Builder
	if err := drawQR(&plain, text, false); err != nil {
		t.Fatal(err)
	}
	if err := drawQR(&colored, text, true); err != nil {
		t.Fatal(err)
	}
	if bare := strings.NewReplacer("\x1b[97;40m", "", "\x1b[0m", "").Replace(colored.String()); bare != plain.String() || bare == colored.String() {
		t.Errorf("colors change more than the colors:\n%s", colored.String())
	}
	dark := map[rune][2]bool{'█': {false, false}, '▀': {false, true}, '▄': {true, false}, ' ': {true, true}}
	lines := strings.Split(strings.TrimSuffix(plain.String(), "\n"), "\n")
	for row, line := range lines {
		modules := []rune(line)
		if len(modules) != code.Size+2*quiet {
			t.Fatalf("line %d has %d characters", row, len(modules))
		}
		for column, character := range modules {
			for half, is := range dark[character] {
				x, y := column-quiet, 2*row+half-quiet
				beyond := y >= code.Size+quiet // half a line that is no part of it
				if is != (code.Black(x, y) || beyond) {
					t.Fatalf("%d, %d is dark: %v", x, y, is)
				}
			}
		}
	}
	if len(lines) != (code.Size+2*quiet+1)/2 {
		t.Errorf("%d lines", len(lines))
	}
	if err := drawQR(&plain, strings.Repeat("x", 10_000), false); err == nil {
		t.Error("more than a code can hold is drawn")
	}
}
